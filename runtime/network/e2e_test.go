//go:build e2e

package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"skein/agent/converge"
	"skein/agent/converge/porttest"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

func TestNetworkKeepsTheContract(t *testing.T) {
	porttest.Network(t, func(t *testing.T) porttest.NetworkFixture {
		w := newWorld(t)
		return porttest.NetworkFixture{
			Network: open(t),
			Reopen:  func(t *testing.T) converge.Network { return open(t) },
			Task:    task, End: end,
			Connect: connectIn,
			Ask:     func(t *testing.T, hostPort int) string { return w.ask(t, "tcp4", hostPort) },
			Leads: func(t *testing.T, hostPort int) netip.AddrPort {
				got, err := readBack()
				must(t, err)
				for _, m := range got.maps {
					if m.key == (portKey{fleet.TCP, hostPort}) {
						return m.to
					}
				}
				return netip.AddrPort{}
			},
			Step: waitStep,
		}
	})
}

func bridgedSpec(name string, pid int, protocol fleet.Protocol, hostPort int) port.NetworkSpec {
	return port.NetworkSpec{
		Task: porttest.TaskOf(name), PID: pid, Mode: fleet.NetworkBridge,
		Ports: []fleet.PortBinding{{Container: "main", ContainerPort: 80, HostPort: hostPort, Protocol: protocol}},
	}
}

func setup(t *testing.T, n *Network, name string, pid int, protocol fleet.Protocol, hostPort int) netip.Addr {
	t.Helper()
	addr, err := n.Setup(t.Context(), bridgedSpec(name, pid, protocol, hostPort))
	must(t, err)
	return addr
}

func TestHostPortsAreReachedFromEverySide(t *testing.T) {
	w := newWorld(t)
	n := open(t)
	pidA, pidB := task(t, "a"), task(t, "b")
	addrA := setup(t, n, "a", pidA, fleet.TCP, 8080)
	setup(t, n, "b", pidB, fleet.TCP, 8081)
	if got := w.ask(t, "tcp4", 8080); got != "a" {
		t.Errorf("from outside: %q", got)
	}
	if got := dial("tcp4", hostAddr+":8080"); got != "a" {
		t.Errorf("from the host itself: %q", got)
	}
	if got := dial("tcp4", addrA.String()+":80"); got != "a" {
		t.Errorf("from the host by the task's address: %q", got)
	}
	if got := dialIn(t, pidB, "tcp4", hostAddr+":8080"); got != "a" {
		t.Errorf("from another task by the host's port: %q", got)
	}
	if got := dialIn(t, pidA, "tcp4", hostAddr+":8080"); got != "a" {
		t.Errorf("from the task itself by the host's port: %q", got)
	}
	if got := dialIn(t, pidB, "tcp4", addrA.String()+":80"); got != "a" {
		t.Errorf("from another task by its address: %q", got)
	}
	if got := dial("tcp4", "127.0.0.1:8080"); got != "" {
		t.Errorf("loopback answers %q: route_localnet must stay 0", got)
	}
}

func dialIn(t *testing.T, pid int, network, addr string) string {
	t.Helper()
	ns, err := openNamespace(pid)
	must(t, err)
	defer ns.Close()
	var answer string
	must(t, within(ns, func(*netlink.Handle) error { answer = dial(network, addr); return nil }))
	return answer
}

// connectIn opens a connection to a port of its own in the network of a process.
func connectIn(t *testing.T, pid, port int) (closeIt func()) {
	t.Helper()
	ns, err := openNamespace(pid)
	must(t, err)
	defer ns.Close()
	var client, server net.Conn
	must(t, within(ns, func(*netlink.Handle) error {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		defer l.Close()
		if client, err = net.DialTimeout("tcp", l.Addr().String(), 5*time.Second); err != nil {
			return err
		}
		server, err = l.Accept()
		return err
	}))
	closeIt = func() { _, _ = client.Close(), server.Close() }
	t.Cleanup(closeIt)
	return closeIt
}

func TestTasksReachTheWorldUnderTheHostsAddress(t *testing.T) {
	newWorld(t)
	n := open(t)
	pid := task(t, "a")
	setup(t, n, "a", pid, fleet.TCP, 8080)
	if _, err := net.DialTimeout("tcp4", metadataAddr+":9", 15*time.Second); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("the host dials the metadata address: %v, want refused", err)
	}
	// The neighbour has no route to the subnet: an answer, though a refusal, means
	// that the question came from the host's address. A first packet that comes
	// before the new bridge port forwards is lost, and sent again after 1 s, 3 s, 7 s.
	ns, err := openNamespace(pid)
	must(t, err)
	defer ns.Close()
	must(t, within(ns, func(*netlink.Handle) error {
		_, err := net.DialTimeout("tcp4", outsideAddr+":9", 15*time.Second)
		if !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("dial a closed port outside: %v, want refused", err)
		}
		_, err = net.DialTimeout("tcp4", metadataAddr+":9", 200*time.Millisecond)
		var late net.Error
		if !errors.As(err, &late) || !late.Timeout() {
			t.Errorf("dial the metadata address: %v, want silence", err)
		}
		return nil
	}))
}

func TestUDPFlowsFollowTheTask(t *testing.T) {
	w := newWorld(t)
	n := open(t)
	pidA, pidB := task(t, "a"), task(t, "b")
	if got := w.ask(t, "udp4", 5353); got != "" { // a flow from before the port was mapped
		t.Fatalf("nobody yet, but %q", got)
	}
	setup(t, n, "a", pidA, fleet.UDP, 5353)
	if got := w.ask(t, "udp4", 5353); got != "a" {
		t.Errorf("after the set-up: %q", got)
	}
	must(t, n.Teardown(t.Context(), porttest.TaskOf("a")))
	setup(t, n, "b", pidB, fleet.UDP, 5353)
	if got := w.ask(t, "udp4", 5353); got != "b" {
		t.Errorf("after the port went to another task: %q", got)
	}
}

func TestConnectionsOutliveAReopen(t *testing.T) {
	newWorld(t)
	n := open(t)
	pid := task(t, "a")
	setup(t, n, "a", pid, fleet.TCP, 8080)
	for i := range 20 {
		if i%5 == 0 {
			_, err := Open(t.Context(), Config{})
			must(t, err)
		}
		if got := dial("tcp4", hostAddr+":8080"); got != "a" {
			t.Fatalf("dial %d: %q", i, got)
		}
	}
}

func TestOpenCleansUpWhatWasCutOff(t *testing.T) {
	n := open(t)
	pid := task(t, "a")
	setup(t, n, "a", pid, fleet.TCP, 8080)
	setup(t, n, "b", task(t, "b"), fleet.TCP, 8081)
	// A link that never got its name, and a port map whose task has gone.
	attrs := netlink.NewLinkAttrs()
	attrs.Name = linkName("cut off")
	cutOff := netlink.NewVeth(attrs)
	cutOff.PeerName = "peer"
	must(t, netlink.LinkAdd(cutOff))
	must(t, removeLink(porttest.TaskOf("a")))
	n = open(t)
	if _, err := netlink.LinkByName(attrs.Name); !missing(err) {
		t.Errorf("the nameless link is still there: %v", err)
	}
	got, err := readBack()
	must(t, err)
	if len(got.maps) != 1 || got.maps[0].task != porttest.TaskOf("b") {
		t.Errorf("maps %+v, want b's alone", got.maps)
	}
	if got, err := n.Tasks(t.Context()); err != nil || !slices.Equal(got, []fleet.TaskID{porttest.TaskOf("b")}) {
		t.Errorf("Tasks = %v, %v", got, err)
	}
}

// waitLinkGone waits for the kernel to take down the link of an ended namespace.
func waitLinkGone(t *testing.T, task fleet.TaskID) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); linkExists(task); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the kernel keeps the link of an ended namespace")
		}
	}
}

// waitStep gives the kernel and the programs of a contract case a moment.
func waitStep() { time.Sleep(20 * time.Millisecond) }

func TestAPortOfATaskWhoseNamespaceHasGoneIsFree(t *testing.T) {
	n := open(t)
	pidA := task(t, "a")
	setup(t, n, "a", pidA, fleet.TCP, 8080)
	end(t, pidA)
	waitLinkGone(t, porttest.TaskOf("a"))
	setup(t, n, "b", task(t, "b"), fleet.TCP, 8080)
}

func TestAnotherSubnetIsRefusedWhileTasksUseTheOld(t *testing.T) {
	n := open(t)
	setup(t, n, "a", task(t, "a"), fleet.TCP, 8080)
	other := Config{Subnet: netip.MustParsePrefix("10.88.0.0/24")}
	if _, err := Open(t.Context(), other); err == nil || !strings.Contains(err.Error(), "stop the tasks") {
		t.Errorf("Open with another subnet: %v", err)
	}
	must(t, n.Teardown(t.Context(), porttest.TaskOf("a")))
	if _, err := Open(t.Context(), other); err != nil {
		t.Errorf("Open with another subnet and no tasks: %v", err)
	}
}

func TestASubnetThatTheHostUsesIsRefused(t *testing.T) {
	newWorld(t)
	_, err := Open(t.Context(), Config{Subnet: netip.MustParsePrefix("10.9.0.0/16")})
	if err == nil || !strings.Contains(err.Error(), "overlaps") {
		t.Errorf("Open: %v", err)
		clean(t)
	}
	if bridge, err := netlink.LinkByName(defaultBridge); err == nil {
		_ = netlink.LinkDel(bridge)
	}
}

func TestTheHostsOwnNamespaceIsNeverSetUp(t *testing.T) {
	n := open(t)
	_, err := n.Setup(t.Context(), bridgedSpec("a", os.Getpid(), fleet.TCP, 8080))
	if err == nil || !strings.Contains(err.Error(), "no network namespace of its own") {
		t.Errorf("Setup of this process: %v", err)
	}
	_, err = n.Setup(t.Context(), bridgedSpec("a", task(t, "a"), fleet.TCP, 22))
	if err == nil || !strings.Contains(err.Error(), "reserved") {
		t.Errorf("Setup of port 22: %v", err)
	}
}

func TestAFullMapIsReplacedWhole(t *testing.T) {
	open(t)
	p := newPortMap(Config{Bridge: defaultBridge, Subnet: DefaultSubnet, Aliases: DefaultAliases})
	_, err := p.read(t.Context())
	must(t, err)
	for _, size := range []int{elementsPerMessage, elementsPerMessage + 1, 20_000, 3, 0} {
		maps := make([]mapping, size)
		for i := range maps {
			maps[i] = mapping{portKey{fleet.TCP, 1000 + i}, porttest.TaskOf("a"), netip.MustParseAddrPort("172.29.0.9:80")}
		}
		start := time.Now()
		must(t, p.replace(t.Context(), func() []mapping { return maps }))
		t.Logf("%d ports in %v", size, time.Since(start).Round(time.Millisecond))
	}
}

func TestMarksDoNotPileUp(t *testing.T) {
	open(t)
	p := newPortMap(Config{Bridge: defaultBridge, Subnet: DefaultSubnet, Aliases: DefaultAliases})
	_, err := p.read(t.Context())
	must(t, err)
	var maps []mapping
	for i := range 2 * maxMarks {
		maps = append(maps,
			mapping{portKey{fleet.TCP, 1000 + i}, porttest.TaskOf("a"), netip.MustParseAddrPort("172.29.0.9:80")})
		must(t, p.replace(t.Context(), func() []mapping { return maps }))
	}
	got, err := readBack()
	must(t, err)
	if got.marks > maxMarks || len(got.maps) != 2*maxMarks {
		t.Errorf("%d marks, %d maps", got.marks, len(got.maps))
	}
}

func TestWhatAnotherProgramTookAwayIsPutBack(t *testing.T) {
	w := newWorld(t)
	n := open(t)
	setup(t, n, "a", task(t, "a"), fleet.TCP, 8080)
	must(t, n.Repair(t.Context()))
	flush := func() {
		c, err := connection()
		must(t, err)
		c.FlushRuleset()
		must(t, c.Flush())
	}
	flush()
	if got := w.ask(t, "tcp4", 8080); got != "" {
		t.Fatalf("without a ruleset %q answers", got)
	}
	must(t, n.Repair(t.Context()))
	if got := w.ask(t, "tcp4", 8080); got != "a" {
		t.Errorf("after the repair: %q", got)
	}
	flush()
	setup(t, n, "b", task(t, "b"), fleet.TCP, 8081)
	if a, b := w.ask(t, "tcp4", 8080), w.ask(t, "tcp4", 8081); a != "a" || b != "b" {
		t.Errorf("after another set-up: %q, %q", a, b)
	}
}

func TestSetupAndTeardownManyAtOnce(t *testing.T) {
	n := open(t)
	const tasks = 24
	pids := make([]int, tasks)
	for i := range pids {
		pids[i] = task(t, fmt.Sprint(i))
	}
	errs := make(chan error, tasks)
	start := time.Now()
	for i, pid := range pids {
		go func() {
			_, err := n.Setup(context.Background(), bridgedSpec(fmt.Sprint(i), pid, fleet.TCP, 9000+i))
			errs <- err
		}()
	}
	for range tasks {
		must(t, <-errs)
	}
	t.Logf("%d set up at once in %v", tasks, time.Since(start).Round(time.Millisecond))
	start = time.Now()
	for i := range pids {
		go func() { errs <- n.Teardown(context.Background(), porttest.TaskOf(fmt.Sprint(i))) }()
	}
	for range tasks {
		must(t, <-errs)
	}
	t.Logf("%d torn down at once in %v", tasks, time.Since(start).Round(time.Millisecond))
	if got, err := n.Tasks(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("Tasks = %v, %v", got, err)
	}
}

func TestSetupLatency(t *testing.T) {
	n := open(t)
	var up, down []time.Duration
	for i := range 20 {
		pid := task(t, fmt.Sprint(i))
		start := time.Now()
		setup(t, n, fmt.Sprint(i), pid, fleet.TCP, 8080)
		up = append(up, time.Since(start))
		start = time.Now()
		must(t, n.Teardown(t.Context(), porttest.TaskOf(fmt.Sprint(i))))
		down = append(down, time.Since(start))
	}
	slices.Sort(up)
	slices.Sort(down)
	t.Logf("set up p50 %v, p95 %v; tear down p50 %v, p95 %v", up[10], up[18], down[10], down[18])
}
