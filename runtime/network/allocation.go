package network

import (
	"fmt"
	"net/netip"
	"slices"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// reserve gives the task an address and its ports. added: the task was not known.
// changed: its port maps differ from what they were.
func (n *Network) reserve(spec port.NetworkSpec) (addr netip.Addr, added, changed bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, b := range spec.Ports {
		key := portKey{b.Protocol, b.HostPort}
		if other, taken := n.owner[key]; taken && other != spec.Task {
			if linkExists(other) {
				return addr, false, false, fmt.Errorf("host port %d/%s leads to task %s: %w", b.HostPort, b.Protocol, other,
					port.ErrExists)
			}
			n.release(other) // its namespace has gone, its link with it
		}
	}
	e := n.tasks[spec.Task]
	if e == nil {
		addr, err := n.allocate(spec.Task)
		if err != nil {
			return addr, false, false, err
		}
		e, added = &entry{addr: addr}, true
		n.tasks[spec.Task] = e
	}
	ports := make([]mapping, len(spec.Ports))
	for i, b := range spec.Ports {
		ports[i] = mapping{portKey{b.Protocol, b.HostPort}, spec.Task, netip.AddrPortFrom(e.addr, uint16(b.ContainerPort))}
	}
	changed = !slices.Equal(sorted(ports), sorted(e.ports))
	for _, m := range e.ports {
		delete(n.owner, m.key)
	}
	for _, m := range ports {
		n.owner[m.key] = spec.Task
	}
	e.ports = ports
	return e.addr, added, changed, nil
}

// release forgets a task's address and ports; n.mu is held. It reports whether
// ports were mapped.
func (n *Network) release(task fleet.TaskID) bool {
	e := n.tasks[task]
	if e == nil {
		return false
	}
	for _, m := range e.ports {
		if n.owner[m.key] == task {
			delete(n.owner, m.key)
		}
	}
	delete(n.tasks, task)
	return len(e.ports) > 0
}

// allocate starts from a place that the task's id decides, so that an address
// is seldom given out again soon after it was freed; n.mu is held.
func (n *Network) allocate(task fleet.TaskID) (netip.Addr, error) {
	used := make(map[netip.Addr]bool, len(n.tasks))
	for _, e := range n.tasks {
		used[e.addr] = true
	}
	first, size := hostRange(n.config.Subnet)
	start := hash(string(task)) % size
	for i := range size {
		if addr := offset(first, (start+i)%size); !used[addr] {
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("subnet %s has no free address: %d tasks", n.config.Subnet, len(n.tasks))
}

// mappings is every port map in force, in the map's order.
func (n *Network) mappings() []mapping {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []mapping
	for _, e := range n.tasks {
		out = append(out, e.ports...)
	}
	return sorted(out)
}

// restore puts back what a failed teardown took away, for the next try.
func (n *Network) restore(task fleet.TaskID, ports []mapping) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.tasks[task]
	if e == nil {
		return
	}
	for _, m := range ports {
		if _, taken := n.owner[m.key]; !taken {
			n.owner[m.key] = task
			e.ports = append(e.ports, m)
		}
	}
}
