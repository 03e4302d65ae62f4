package workload

import (
	"fmt"
	"slices"
	"strings"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

const (
	container = "app" // the one container of each task
	appPort   = 8080  // what it listens on, if anything

	firstFixed = 10_000
	fixedPorts = 20_000 // one a service: up to 29,999, below the dynamic ones
)

// definition is a task of one container of a size.
func definition(name string, s size) fleet.TaskDef {
	c := fleet.Container{Name: container, Image: name + ":v1", CPU: s.cpu, Memory: s.memory, StopTimeoutS: 30}
	if s.soft {
		c.MemoryReservation = s.reserved().Memory
	}
	return fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{c}}
}

// versioned is the definition with the image of a version. Only what differs is
// copied: a fleet's rows are never written to.
func versioned(d fleet.TaskDef, version int) fleet.TaskDef {
	d.Containers = slices.Clone(d.Containers)
	name, _, _ := strings.Cut(d.Containers[0].Image, ":")
	d.Containers[0].Image = fmt.Sprintf("%s:v%d", name, version)
	return d
}

// ports gives a definition its port, or none. Fixed ones differ by service, and
// only those get one that leave most hosts free of it.
func ports(c *virtual.Chance, d *fleet.TaskDef, i int, few bool, m Mix) {
	mapping := fleet.PortMapping{ContainerPort: appPort, Protocol: fleet.TCP}
	switch at := c.Float64(); {
	case at < m.Fixed && few:
		mapping.HostPort = firstFixed + i%fixedPorts
	case at < m.Fixed+m.Dynamic:
	default:
		if c.Is(0.25) { // a choice of this package: some need no network at all
			d.NetworkMode = fleet.NetworkNone
		}
		return
	}
	d.Containers[0].PortMappings = []fleet.PortMapping{mapping}
}

// healthCheck is a request where there is a port, else a command. Intervals are
// ECS's default and a quicker one.
func healthCheck(c *virtual.Chance, d *fleet.TaskDef) *fleet.HealthCheck {
	h := &fleet.HealthCheck{IntervalS: virtual.Pick(c, 10, 30), TimeoutS: 5, Retries: 3,
		StartPeriodS: virtual.Pick(c, 0, 0, 60)}
	if len(d.Containers[0].PortMappings) > 0 {
		h.HTTP = &fleet.HTTPCheck{Port: appPort, Path: "/health"}
	} else {
		h.Command = []string{"/bin/healthy"}
	}
	return h
}
