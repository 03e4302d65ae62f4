package fake

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// Network is the twin of a task network.
type Network struct {
	alive func(pid int) bool

	mu    sync.Mutex
	fault Fault
	tasks map[fleet.TaskID]*joint
	open  map[socket]int
	next  uint32
}

// socket is a port of a process's network.
type socket struct{ pid, port int }

type joint struct {
	spec port.NetworkSpec
	addr netip.Addr
}

// Fault is what is wrong with a twin of Network or Cgroups.
type Fault struct {
	Err  error // every call fails with it
	Hang bool  // every call blocks until its context ends; set for calls made from then on
}

func (f Fault) strike(ctx context.Context) error {
	if f.Hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.Err != nil {
		return f.Err
	}
	return ctx.Err()
}

// NewNetwork makes a network on which nothing is set up. alive says whether a
// process lives, as [Containers.Alive] does.
func NewNetwork(alive func(pid int) bool) *Network {
	return &Network{alive: alive, tasks: map[fleet.TaskID]*joint{}, open: map[socket]int{}}
}

// Inject sets what is wrong from now on.
func (n *Network) Inject(fault Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = fault
}

// Reboot forgets everything, as the kernel does.
func (n *Network) Reboot() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.tasks)
	clear(n.open)
}

// Leads is the address that a host port leads to; invalid for none.
func (n *Network) Leads(protocol fleet.Protocol, hostPort int) netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, j := range n.tasks {
		for _, b := range j.spec.Ports {
			if b.Protocol == protocol && b.HostPort == hostPort {
				return netip.AddrPortFrom(j.addr, uint16(b.ContainerPort))
			}
		}
	}
	return netip.AddrPort{}
}

// Connect opens a connection to a port of a process, until it is closed.
func (n *Network) Connect(pid, port int) (closeIt func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := socket{pid, port}
	n.open[at]++
	return sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.open[at]--
	})
}

// Connections counts what [Network.Connect] opened; see converge.Network.
func (n *Network) Connections(ctx context.Context, pid int, ports []int) (int, error) {
	if err := n.strike(ctx); err != nil {
		return 0, fmt.Errorf("count connections of process %d: %w", pid, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.alive(pid) {
		return 0, fmt.Errorf("count connections of process %d: it has ended", pid)
	}
	open := 0
	for at, count := range n.open {
		if at.pid == pid && slices.Contains(ports, at.port) {
			open += count
		}
	}
	return open, nil
}

// Setup connects a task; see converge.Network.
func (n *Network) Setup(ctx context.Context, spec port.NetworkSpec) (netip.Addr, error) {
	if err := n.strike(ctx); err != nil {
		return netip.Addr{}, fmt.Errorf("set up network of task %s: %w", spec.Task, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if spec.Mode == fleet.NetworkHost {
		return netip.Addr{}, nil
	}
	if !n.alive(spec.PID) {
		return netip.Addr{}, fmt.Errorf("set up network of task %s: process %d has ended", spec.Task, spec.PID)
	}
	if spec.Mode == fleet.NetworkNone {
		return netip.Addr{}, nil
	}
	if err := n.checkPorts(spec); err != nil {
		return netip.Addr{}, fmt.Errorf("set up network of task %s: %w", spec.Task, err)
	}
	j := n.tasks[spec.Task]
	if j == nil {
		n.next++
		base := [4]byte{172, 29, 0, 1}
		binary.BigEndian.PutUint32(base[:], binary.BigEndian.Uint32(base[:])+n.next)
		j = &joint{addr: netip.AddrFrom4(base)}
		n.tasks[spec.Task] = j
	}
	j.spec = spec
	j.spec.Ports = slices.Clone(spec.Ports)
	return j.addr, nil
}

func (n *Network) checkPorts(spec port.NetworkSpec) error {
	type key struct {
		protocol fleet.Protocol
		port     int
	}
	mine := map[key]bool{}
	for _, b := range spec.Ports {
		k := key{b.Protocol, b.HostPort}
		if b.HostPort < 1 || b.HostPort > 65535 || b.ContainerPort < 1 || b.ContainerPort > 65535 || mine[k] {
			return fmt.Errorf("host port %d: out of range or given twice", b.HostPort)
		}
		mine[k] = true
	}
	for _, other := range slices.Sorted(maps.Keys(n.tasks)) {
		if other == spec.Task {
			continue
		}
		for _, b := range n.tasks[other].spec.Ports {
			if mine[key{b.Protocol, b.HostPort}] && n.alive(n.tasks[other].spec.PID) {
				return fmt.Errorf("host port %d leads to task %s: %w", b.HostPort, other, port.ErrExists)
			}
		}
	}
	return nil
}

// Teardown removes everything of a task; see converge.Network.
func (n *Network) Teardown(ctx context.Context, task fleet.TaskID) error {
	if err := n.strike(ctx); err != nil {
		return fmt.Errorf("tear down network of task %s: %w", task, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.tasks, task)
	return nil
}

// Tasks lists the tasks that have anything set up, sorted; see converge.Network.
func (n *Network) Tasks(ctx context.Context) ([]fleet.TaskID, error) {
	if err := n.strike(ctx); err != nil {
		return nil, fmt.Errorf("list task networks: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.tasks)), nil
}

func (n *Network) strike(ctx context.Context) error {
	n.mu.Lock()
	fault := n.fault
	n.mu.Unlock()
	return fault.strike(ctx)
}
