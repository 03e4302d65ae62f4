//go:build e2e

package network

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"skein/agent/converge/porttest"
)

// envActor makes this binary a task's process instead of a test.
const envActor = "SKEIN_TEST_ACTOR"

func TestMain(m *testing.M) {
	if actor := os.Getenv(envActor); actor != "" {
		os.Exit(act(actor))
	}
	os.Exit(porttest.Isolated(m))
}

// act is what a process in a namespace of its own does: "serve NAME" answers on
// TCP and UDP port 80; "ask" dials the addresses it reads and prints answers.
func act(actor string) int {
	word, name, _ := strings.Cut(actor, " ")
	switch word {
	case "serve":
		go serveUDP(name)
		return serveTCP(name)
	case "ask":
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			network, addr, _ := strings.Cut(lines.Text(), " ")
			fmt.Println(dial(network, addr))
		}
		return 0
	}
	return 2
}

func serveTCP(name string) int {
	l, err := net.Listen("tcp4", ":80")
	if err != nil {
		return 1
	}
	fmt.Println("ready")
	for {
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		fmt.Fprintln(c, name)
		c.Close()
	}
}

func serveUDP(name string) {
	c, err := net.ListenPacket("udp4", ":80")
	if err != nil {
		return
	}
	buf := make([]byte, 100)
	for {
		_, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = c.WriteTo([]byte(name+"\n"), from)
	}
}

// dial returns one line from an address, empty when nobody answers. UDP is asked
// from one fixed port, so that all questions are one flow.
func dial(network, addr string) string {
	d := net.Dialer{Timeout: 300 * time.Millisecond}
	if network == "udp4" {
		d.LocalAddr = &net.UDPAddr{Port: 5555}
	}
	c, err := d.Dial(network, addr)
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond))
	if network == "udp4" {
		_, _ = c.Write([]byte("?"))
	}
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

// actor starts this binary in a network namespace of its own.
func actor(t *testing.T, what string) (*exec.Cmd, io.Writer, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envActor+"="+what)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start in a network namespace of its own: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, in, bufio.NewReader(out)
}

const hostAddr, outsideAddr, metadataAddr = "10.9.0.1", "10.9.0.2", "169.254.169.254"

// world is the host (this namespace) with a neighbour outside.
type world struct {
	pid int
	in  io.Writer
	out *bufio.Reader
}

func newWorld(t *testing.T) *world {
	t.Helper()
	neighbour, in, out := actor(t, "ask")
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "uplink"
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerNamespace = "eth0", netlink.NsPid(neighbour.Process.Pid)
	must(t, netlink.LinkAdd(pair))
	t.Cleanup(func() { _ = netlink.LinkDel(pair) })
	link, err := netlink.LinkByName("uplink")
	must(t, err)
	must(t, netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(hostAddr + "/24"))}))
	must(t, netlink.LinkSetUp(link))
	ns, err := openNamespace(neighbour.Process.Pid)
	must(t, err)
	defer ns.Close()
	must(t, within(ns, func(h *netlink.Handle) error {
		peer, err := h.LinkByName("eth0")
		if err != nil {
			return err
		}
		return errors.Join(
			h.AddrAdd(peer, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(outsideAddr + "/24"))}),
			h.AddrAdd(peer, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(metadataAddr + "/32"))}),
			h.LinkSetUp(peer))
	}))
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index,
		Dst: ipNet(netip.MustParsePrefix(metadataAddr + "/32")), Scope: netlink.SCOPE_LINK}))
	return &world{neighbour.Process.Pid, in, out}
}

func (w *world) ask(t *testing.T, network string, hostPort int) string {
	t.Helper()
	fmt.Fprintf(w.in, "%s %s:%d\n", network, hostAddr, hostPort)
	line, err := w.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the neighbour ended: %v", err)
	}
	return strings.TrimSpace(line)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T) *Network {
	t.Helper()
	n, err := Open(t.Context(), Config{Reserved: []int{22}})
	must(t, err)
	t.Cleanup(func() { clean(t) })
	return n
}

// clean takes the test's network apart, as a reboot would.
func clean(t *testing.T) {
	links, _, err := taskLinks()
	must(t, err)
	for _, l := range links {
		if link, missing := netlink.LinkByName(l.name); missing == nil {
			_ = netlink.LinkDel(link)
		}
	}
	if bridge, missing := netlink.LinkByName(defaultBridge); missing == nil {
		must(t, netlink.LinkDel(bridge))
	}
	_ = netlink.RouteDel(aliasRoute(t))
	c, err := connection()
	must(t, err)
	c.DelTable(table())
	_ = c.Flush()
}

func task(t *testing.T, name string) int {
	t.Helper()
	cmd, _, out := actor(t, "serve "+name)
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("task %s: %q, %v", name, line, err)
	}
	return cmd.Process.Pid
}

func end(t *testing.T, pid int) {
	t.Helper()
	must(t, unix.Kill(pid, unix.SIGKILL))
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil && !errors.Is(err, unix.ECHILD) {
		t.Fatal(err)
	}
}
