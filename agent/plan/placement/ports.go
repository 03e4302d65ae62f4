package placement

import (
	"hash/fnv"
	"slices"

	"skein/raftfsm/fleet"
)

// portsFree reports whether a host has the ports a task of the class needs.
func (r *fleetCapacity) portsFree(h *hostCapacity, c *class) bool {
	if c.dynamic > 0 && h.full {
		return false
	}
	for _, p := range c.fixed {
		if r.taken(h, p) {
			return false
		}
	}
	return true
}

func (r *fleetCapacity) taken(h *hostCapacity, p hostPort) bool {
	return slices.Contains(h.given, p) || r.state.PortTaken(h.host.ID, p.protocol, p.port)
}

// bind gives a task its host ports; false says that no dynamic port is left.
// The search begins at a place that the task's id gives, so that a port just
// left is not the next one taken: clients may still talk to its last holder.
func (r *fleetCapacity) bind(h *hostCapacity, c *class, task fleet.TaskID) ([]fleet.PortBinding, bool) {
	if c.ports() == 0 {
		return nil, true
	}
	settings := r.state.Fleet().Settings
	first, span := settings.DynamicPortFirst, settings.DynamicPortLast-settings.DynamicPortFirst+1
	at := hashOrder(task, span)
	bindings := make([]fleet.PortBinding, 0, c.ports())
	eachPort(c.def, func(container *fleet.Container, m *fleet.PortMapping, port int) {
		for tried := 0; port == 0 && tried < span; tried++ {
			if p := (hostPort{m.Protocol, first + at}); !r.taken(h, p) && !claimed(bindings, p) && !slices.Contains(c.fixed, p) {
				port = p.port
			}
			at = (at + 1) % max(1, span)
		}
		if port != 0 {
			bindings = append(bindings, fleet.PortBinding{Container: container.Name, ContainerPort: m.ContainerPort,
				HostPort: port, Protocol: m.Protocol})
		}
	})
	return bindings, len(bindings) == c.ports()
}

func claimed(bindings []fleet.PortBinding, p hostPort) bool {
	return slices.ContainsFunc(bindings, func(b fleet.PortBinding) bool {
		return b.HostPort == p.port && b.Protocol == p.protocol
	})
}

// hashOrder spreads task ids over n places.
func hashOrder(task fleet.TaskID, n int) int {
	if n <= 0 {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(task))
	return int(h.Sum32() % uint32(n))
}
