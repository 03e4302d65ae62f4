//go:build e2e

package entry

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"skein/agent/converge/porttest"
)

// envActor makes this binary a machine in a network namespace of its own.
const envActor = "SKEIN_TEST_ACTOR"

func TestMain(m *testing.M) {
	if actor := os.Getenv(envActor); actor != "" {
		os.Exit(obeyLines(actor))
	}
	os.Exit(porttest.Isolated(m))
}

const bridgeName = "segment"

// segment is one network of machines: a bridge in the test's namespace.
type segment struct{ bridge netlink.Link }

func newSegment(t *testing.T) *segment {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeName
	noSnooping := false
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &noSnooping}))
	bridge, err := netlink.LinkByName(bridgeName)
	must(t, err)
	t.Cleanup(func() { _ = netlink.LinkDel(bridge) })
	must(t, netlink.LinkSetUp(bridge))
	return &segment{bridge}
}

// machine is a host or a client: this binary in a network namespace of its own.
type machine struct {
	t       *testing.T
	name    string
	process *exec.Cmd
	port    string // the segment's side of its link
	in      io.Writer
	out     *bufio.Reader
}

func host4(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, 0, byte(n)}) }
func host6(n int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fd00:9::%d", n)) }

// machine plugs machine n into the segment: 10.9.0.n and fd00:9::n.
func (s *segment) machine(t *testing.T, n int) *machine {
	t.Helper()
	m := &machine{t: t, name: fmt.Sprint("m", n), port: fmt.Sprint("port", n)}
	m.process = exec.Command("/proc/self/exe")
	m.process.Env = append(os.Environ(), fmt.Sprintf("%s=%d", envActor, n))
	m.process.Stderr = os.Stderr
	m.process.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		Pdeathsig: unix.SIGKILL}
	in, err := m.process.StdinPipe()
	must(t, err)
	out, err := m.process.StdoutPipe()
	must(t, err)
	must(t, m.process.Start())
	t.Cleanup(m.kill)
	m.in, m.out = in, bufio.NewReader(out)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = m.port, s.bridge.Attrs().Index
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerNamespace = "eth0", netlink.NsPid(m.process.Process.Pid)
	must(t, netlink.LinkAdd(pair))
	m.plug(true)
	m.line("plugged")
	m.expect("ready")
	return m
}

func (m *machine) plug(in bool) {
	m.t.Helper()
	link, err := netlink.LinkByName(m.port)
	must(m.t, err)
	if in {
		must(m.t, netlink.LinkSetUp(link))
	} else {
		must(m.t, netlink.LinkSetDown(link))
	}
}

// kill ends the machine as a lost power supply does: the link first.
func (m *machine) kill() {
	if link, err := netlink.LinkByName(m.port); err == nil {
		_ = netlink.LinkDel(link)
	}
	_ = m.process.Process.Kill()
	_ = m.process.Wait()
}

func (m *machine) line(format string, args ...any) { fmt.Fprintf(m.in, format+"\n", args...) }

func (m *machine) read() string {
	m.t.Helper()
	line, err := m.out.ReadString('\n')
	if err != nil {
		m.t.Fatalf("%s ended: %v", m.name, err)
	}
	return strings.TrimSpace(line)
}

func (m *machine) expect(want string) {
	m.t.Helper()
	if got := m.read(); got != want {
		m.t.Fatalf("%s says %q, want %q", m.name, got, want)
	}
}

func (m *machine) do(command string, args any) string {
	m.t.Helper()
	text, err := json.Marshal(args)
	must(m.t, err)
	m.line("%s %s", command, text)
	return m.read()
}

// hold has the machine hold exactly the addresses.
func (m *machine) hold(want ...Address) {
	m.t.Helper()
	if got := m.do("hold", want); got != "ok" {
		m.t.Fatalf("%s: %s", m.name, got)
	}
}

// renew gives the machine a lease from now on.
func (m *machine) renew(d time.Duration) {
	m.t.Helper()
	m.do("renew", Lease{Until: d})
}

func (m *machine) status() (out []Status) {
	m.t.Helper()
	must(m.t, json.Unmarshal([]byte(m.do("status", nil)), &out))
	return out
}

// answers waits until the machine answers for all it holds, or for none.
func (m *machine) answers(want bool) {
	m.t.Helper()
	var last []Status
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); waitStep() {
		last = m.status()
		good := len(last) > 0
		for _, s := range last {
			good = good && s.Answering == want
		}
		if good {
			return
		}
	}
	m.t.Fatalf("%s does not come to answering=%v: %+v", m.name, want, last)
}

func waitStep() {
	timer := time.NewTimer(5 * time.Millisecond)
	<-timer.C
}

// who asks the segment for the address's holder, past all caches, and says the link
// addresses that answered within 300 ms.
func (m *machine) who(addr netip.Addr) (answers []string) {
	m.t.Helper()
	must(m.t, json.Unmarshal([]byte(m.do("who", addr)), &answers))
	return answers
}

func (m *machine) mac() string {
	m.t.Helper()
	return m.do("mac", nil)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// obeyLines is what a machine does: it serves, and obeys the lines that it reads.
func obeyLines(number string) int {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	if !in.Scan() {
		return 1
	}
	a := &actor{name: "m" + number}
	if err := a.start(number); err != nil {
		fmt.Fprintln(os.Stderr, a.name, err)
		return 1
	}
	fmt.Println("ready")
	for in.Scan() {
		word, args, _ := strings.Cut(in.Text(), " ")
		fmt.Println(a.obey(word, []byte(args)))
	}
	return 0
}

type actor struct {
	name   string
	holder *Holder
}

func (a *actor) start(number string) error {
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscan(number, &n); err != nil {
		return err
	}
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/eth0/accept_dad", []byte("0"), 0)
	lo, errLo := netlink.LinkByName("lo")
	eth, errEth := netlink.LinkByName("eth0")
	if err := errors.Join(errLo, errEth); err != nil {
		return err
	}
	for _, p := range []netip.Prefix{netip.PrefixFrom(host4(n), 24), netip.PrefixFrom(host6(n), 64)} {
		ipNet := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
		if err := netlink.AddrAdd(eth, &netlink.Addr{IPNet: ipNet, Flags: unix.IFA_F_NODAD}); err != nil {
			return err
		}
	}
	if err := errors.Join(netlink.LinkSetUp(lo), netlink.LinkSetUp(eth)); err != nil {
		return err
	}
	a.holder = Open(Config{})
	return a.serve()
}

func (a *actor) obey(word string, args []byte) string {
	switch word {
	case "hold":
		var want []Address
		if err := json.Unmarshal(args, &want); err != nil {
			return err.Error()
		}
		for i := range want {
			want[i].NotBefore += a.holder.config.Clock.Mono() // told from now on
		}
		if err := a.holder.Hold(background, want); err != nil {
			return strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		return "ok"
	case "renew":
		var lease Lease
		if err := json.Unmarshal(args, &lease); err != nil {
			return err.Error()
		}
		lease.Until += a.holder.config.Clock.Mono()
		a.holder.Renew(lease)
		return "ok"
	case "status":
		return asJSON(a.holder.Status())
	case "restart": // of the agent
		if err := a.holder.Close(); err != nil {
			return err.Error()
		}
		a.holder = Open(Config{})
		return "ok"
	case "mac":
		return ownLink().Attrs().HardwareAddr.String()
	case "who":
		var addr netip.Addr
		if err := json.Unmarshal(args, &addr); err != nil {
			return err.Error()
		}
		return asJSON(askSegment(addr))
	case "own":
		own, err := ownAddresses()
		if err != nil {
			return err.Error()
		}
		return asJSON(len(own))
	case "sh":
		out, err := exec.Command("sh", "-c", strings.Trim(string(args), `"`)).CombinedOutput()
		return strings.ReplaceAll(fmt.Sprint(string(out), err), "\n", "; ")
	}
	return a.asClient(word, args)
}

func asJSON(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func ownLink() netlink.Link {
	l, err := netlink.LinkByName("eth0")
	if err != nil {
		panic(err)
	}
	return l
}

// askSegment sends a probe and gathers who says that the address is its own.
func askSegment(addr netip.Addr) []string {
	attrs := ownLink().Attrs()
	s, err := openSocket(link{name: "eth0", index: attrs.Index, mac: mac(attrs.HardwareAddr)}, family(addr))
	if err != nil {
		return []string{err.Error()}
	}
	defer s.close()
	if err := errors.Join(s.listen([]netip.Addr{addr}), s.file.SetReadDeadline(time.Now().Add(300*time.Millisecond)),
		s.send(probe(s.link.mac, addr))); err != nil {
		return []string{err.Error()}
	}
	out := []string{}
	buf := make([]byte, maxFrame)
	for {
		n, err := s.read(buf)
		if err != nil {
			slices.Sort(out)
			return slices.Compact(out)
		}
		if h, ok := parse(buf[:n]); ok && h.claimed == addr {
			out = append(out, net.HardwareAddr(h.from[:]).String())
		}
	}
}
