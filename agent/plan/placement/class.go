package placement

import (
	"cmp"
	"slices"

	"skein/raftfsm/fleet"
)

// class is a run of identical tasks without a host.
type class struct {
	service  string // empty: standalone
	revision fleet.RevisionID
	def      *fleet.TaskDef
	tasks    []*fleet.Task // by id

	format  int // that a host's agent must read: see fleet.State.NeedsFormat
	need    fleet.Resources
	fixed   []hostPort // host ports that must be free
	dynamic int        // host ports of our choice
}

// hostPort is a port of a host.
type hostPort struct {
	protocol fleet.Protocol
	port     int
}

func newClass(s *fleet.State, tasks []*fleet.Task) class {
	def := s.TaskDef(tasks[0].TaskDef)
	c := class{format: s.NeedsFormat(tasks[0]), service: tasks[0].Service, revision: tasks[0].Revision, def: def,
		tasks: tasks, need: def.Reservation()}
	eachPort(def, func(_ *fleet.Container, m *fleet.PortMapping, port int) {
		if port == 0 {
			c.dynamic++
		} else {
			c.fixed = append(c.fixed, hostPort{m.Protocol, port})
		}
	})
	return c
}

// eachPort calls with every port a task of the definition takes from its host;
// 0 is one of the planner's choice. Source: ECS API, PortMapping.
func eachPort(def *fleet.TaskDef, call func(c *fleet.Container, m *fleet.PortMapping, port int)) {
	for i := range def.Containers {
		c := &def.Containers[i]
		for j := range c.PortMappings {
			call(c, &c.PortMappings[j], c.PortMappings[j].HostPort)
		}
	}
}

func (c *class) ports() int { return len(c.fixed) + c.dynamic }

// sameRun reports whether two tasks stand in one run of State.Unassigned.
func sameRun(a, b *fleet.Task) bool { return a.Service == b.Service && a.TaskDef == b.TaskDef }

// split parts a run by revision: one task definition may be in two revisions.
func split(run []*fleet.Task) [][]*fleet.Task {
	mixed := slices.ContainsFunc(run, func(t *fleet.Task) bool { return t.Revision != run[0].Revision })
	if !mixed {
		return [][]*fleet.Task{run}
	}
	slices.SortStableFunc(run, func(a, b *fleet.Task) int {
		_, i := a.Revision.Split()
		_, j := b.Revision.Split()
		return cmp.Compare(i, j)
	})
	var parts [][]*fleet.Task
	for from := 0; from < len(run); {
		to := from
		for to < len(run) && run[to].Revision == run[from].Revision {
			to++
		}
		parts = append(parts, run[from:to])
		from = to
	}
	return parts
}
