package porttest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// NetworkFixture is a network to be tested.
type NetworkFixture struct {
	Network converge.Network
	// Reopen makes another, as after a restart of the agent.
	Reopen func(t *testing.T) converge.Network
	// Task starts a process with a network namespace of its own, which answers on
	// TCP port 80 with its name, and returns its pid. End ends it.
	Task func(t *testing.T, name string) (pid int)
	End  func(t *testing.T, pid int)
	// Connect opens a TCP connection to a port in the network of a process and keeps it
	// open until the function that it returns is called.
	Connect func(t *testing.T, pid, port int) (closeIt func())
	// Ask dials a host port from outside the host and returns the answer; empty
	// when nobody answers. Nil for twins without packets: then Leads says where a
	// host port leads.
	Ask func(t *testing.T, hostPort int) string
	// Leads is the address a TCP host port leads to, invalid for none.
	Leads func(t *testing.T, hostPort int) netip.AddrPort
	Step  func()
}

// Network runs the contract of converge.Network. open makes a fixture with
// nothing in it, once for each case.
func Network(t *testing.T, open func(t *testing.T) NetworkFixture) {
	for name, run := range networkCases {
		t.Run(name, func(t *testing.T) { run(t, open(t)) })
	}
}

func (f *NetworkFixture) setup(t *testing.T, name string, pid int, ports ...int) netip.Addr {
	t.Helper()
	addr, err := f.Network.Setup(t.Context(), bridged(name, pid, ports...))
	if err != nil {
		t.Fatalf("Setup %s: %v", name, err)
	}
	return addr
}

// bridged asks for bridge mode with host ports that lead to port 80.
func bridged(name string, pid int, ports ...int) port.NetworkSpec {
	spec := port.NetworkSpec{Task: TaskOf(name), PID: pid, Mode: fleet.NetworkBridge}
	for _, p := range ports {
		spec.Ports = append(spec.Ports, fleet.PortBinding{Container: "main", ContainerPort: 80, HostPort: p,
			Protocol: fleet.TCP})
	}
	return spec
}

// answers waits until a host port answers with a name; empty: until nobody does.
func (f *NetworkFixture) answers(t *testing.T, hostPort int, name string) {
	t.Helper()
	if f.Ask == nil {
		return
	}
	eventually(t, f.Step, "an answer of "+name, func() (bool, string) {
		got := f.Ask(t, hostPort)
		return got == name, "answer " + got
	})
}

// counts waits until so many connections to ports of a process are open.
func (f *NetworkFixture) counts(t *testing.T, pid, want int, ports ...int) {
	t.Helper()
	eventually(t, f.Step, fmt.Sprintf("%d connections to %v", want, ports), func() (bool, string) {
		got, err := f.Network.Connections(t.Context(), pid, ports)
		return err == nil && got == want, fmt.Sprint(got, err)
	})
}

var networkCases = map[string]func(t *testing.T, f NetworkFixture){
	"a bridged task is reached by its host port": func(t *testing.T, f NetworkFixture) {
		addr := f.setup(t, "a", f.Task(t, "a"), 8080)
		if !addr.Is4() || !addr.IsPrivate() {
			t.Errorf("address %s", addr)
		}
		if got := f.Leads(t, 8080); got != netip.AddrPortFrom(addr, 80) {
			t.Errorf("8080 leads to %s, want %s:80", got, addr)
		}
		f.answers(t, 8080, "a")
	},
	"tasks have addresses of their own": func(t *testing.T, f NetworkFixture) {
		seen := map[netip.Addr]bool{}
		for _, name := range []string{"a", "b", "c"} {
			addr := f.setup(t, name, f.Task(t, name))
			if seen[addr] {
				t.Errorf("%s is given twice", addr)
			}
			seen[addr] = true
		}
	},
	"setting up again changes nothing": func(t *testing.T, f NetworkFixture) {
		pid := f.Task(t, "a")
		first := f.setup(t, "a", pid, 8080)
		if second := f.setup(t, "a", pid, 8080); first != second {
			t.Errorf("address %s became %s", first, second)
		}
		f.answers(t, 8080, "a")
	},
	"setting up again sets the ports anew": func(t *testing.T, f NetworkFixture) {
		pid := f.Task(t, "a")
		f.setup(t, "a", pid, 8080)
		f.setup(t, "a", pid, 8081)
		if got := f.Leads(t, 8080); got.IsValid() {
			t.Errorf("8080 still leads to %s", got)
		}
		f.answers(t, 8081, "a")
	},
	"a task whose container was made anew is connected anew": func(t *testing.T, f NetworkFixture) {
		pid := f.Task(t, "a")
		f.setup(t, "a", pid, 8080)
		f.End(t, pid)
		f.setup(t, "a", f.Task(t, "again"), 8080)
		f.answers(t, 8080, "again")
	},
	"two tasks do not share a host port": func(t *testing.T, f NetworkFixture) {
		f.setup(t, "a", f.Task(t, "a"), 8080)
		_, err := f.Network.Setup(t.Context(), bridged("b", f.Task(t, "b"), 8080))
		if !errors.Is(err, port.ErrExists) {
			t.Errorf("Setup: %v, want ErrExists", err)
		}
		f.answers(t, 8080, "a")
		if got, err := f.Network.Tasks(t.Context()); err != nil || !slices.Equal(got, []fleet.TaskID{TaskOf("a")}) {
			t.Errorf("Tasks = %v, %v; the refused one left something", got, err)
		}
	},
	"a port is free after teardown": func(t *testing.T, f NetworkFixture) {
		f.setup(t, "a", f.Task(t, "a"), 8080)
		if err := f.Network.Teardown(t.Context(), TaskOf("a")); err != nil {
			t.Fatal(err)
		}
		if got := f.Leads(t, 8080); got.IsValid() {
			t.Errorf("8080 still leads to %s", got)
		}
		f.setup(t, "b", f.Task(t, "b"), 8080)
		f.answers(t, 8080, "b")
	},
	"teardown of nothing is no error": func(t *testing.T, f NetworkFixture) {
		f.setup(t, "a", f.Task(t, "a"), 8080)
		for range 2 {
			if err := f.Network.Teardown(t.Context(), TaskOf("a")); err != nil {
				t.Errorf("Teardown: %v", err)
			}
		}
		if err := f.Network.Teardown(t.Context(), TaskOf("never")); err != nil {
			t.Errorf("Teardown of a stranger: %v", err)
		}
		if got, err := f.Network.Tasks(t.Context()); err != nil || len(got) > 0 {
			t.Errorf("Tasks = %v, %v", got, err)
		}
	},
	"tasks in other modes have nothing on the host": func(t *testing.T, f NetworkFixture) {
		for _, mode := range []fleet.NetworkMode{fleet.NetworkHost, fleet.NetworkNone} {
			addr, err := f.Network.Setup(t.Context(), port.NetworkSpec{Task: TaskOf("a"), PID: f.Task(t, "a"), Mode: mode})
			if err != nil || addr.IsValid() {
				t.Errorf("%s: Setup = %s, %v", mode, addr, err)
			}
		}
		if got, err := f.Network.Tasks(t.Context()); err != nil || len(got) > 0 {
			t.Errorf("Tasks = %v, %v", got, err)
		}
	},
	"another opener takes up what is there": func(t *testing.T, f NetworkFixture) {
		pidA := f.Task(t, "a")
		addrA := f.setup(t, "a", pidA, 8080, 8081)
		f.setup(t, "b", f.Task(t, "b"))
		f.Network = f.Reopen(t)
		f.answers(t, 8080, "a")
		if got, err := f.Network.Tasks(t.Context()); err != nil ||
			!slices.Equal(got, []fleet.TaskID{TaskOf("a"), TaskOf("b")}) {
			t.Errorf("Tasks = %v, %v", got, err)
		}
		if got := f.setup(t, "a", pidA, 8080, 8081); got != addrA {
			t.Errorf("address %s became %s", addrA, got)
		}
		if got := f.setup(t, "c", f.Task(t, "c")); got == addrA {
			t.Errorf("%s was given twice", got)
		}
		if _, err := f.Network.Setup(t.Context(), bridged("d", f.Task(t, "d"), 8081)); !errors.Is(err, port.ErrExists) {
			t.Errorf("Setup with a taken port: %v, want ErrExists", err)
		}
	},
	"a process that has ended cannot be set up": func(t *testing.T, f NetworkFixture) {
		pid := f.Task(t, "a")
		f.End(t, pid)
		if addr, err := f.Network.Setup(t.Context(), bridged("a", pid, 8080)); err == nil {
			t.Errorf("Setup = %s", addr)
		}
		if got := f.Leads(t, 8080); got.IsValid() {
			t.Errorf("8080 leads to %s", got)
		}
		if got, err := f.Network.Tasks(t.Context()); err != nil || len(got) > 0 {
			t.Errorf("Tasks = %v, %v", got, err)
		}
	},
	"connections to a task's ports are counted while they are open": func(t *testing.T, f NetworkFixture) {
		pid, other := f.Task(t, "a"), f.Task(t, "b")
		f.setup(t, "a", pid, 8080)
		f.setup(t, "b", other, 8081)
		closeOne, closeTwo := f.Connect(t, pid, 7000), f.Connect(t, pid, 7001)
		f.counts(t, pid, 1, 7000)
		f.counts(t, pid, 2, 7000, 7001, 7000)
		f.counts(t, pid, 0, 7002)
		f.counts(t, other, 0, 7000, 7001)
		closeOne()
		f.counts(t, pid, 0, 7000)
		f.counts(t, pid, 1, 7000, 7001)
		closeTwo()
		f.counts(t, pid, 0, 7000, 7001)
		f.End(t, pid)
		if open, err := f.Network.Connections(t.Context(), pid, []int{7000}); err == nil {
			t.Errorf("a process that has ended has %d connections", open)
		}
	},
	"ports out of range or given twice are refused": func(t *testing.T, f NetworkFixture) {
		pid := f.Task(t, "a")
		for _, ports := range [][]int{{0}, {-1}, {65536}, {8080, 8080}} {
			if _, err := f.Network.Setup(t.Context(), bridged("a", pid, ports...)); err == nil {
				t.Errorf("ports %v were accepted", ports)
			}
		}
	},
}
