package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// stopped is what one command of a planner stops of a service.
type stopped struct {
	service          *service
	first            *task
	healthy, running int
}

type stops []stopped

// note counts a task that is about to be stopped. It counts as healthy only if
// the planner must have known: a task that turned healthy since it looked is not
// held against it. One that a deployment wants gone and that no rule gave traffic
// to takes nothing from anybody.
func (l *stops) note(c *Checker, t *task, planned uint64) {
	if t.service == nil || c.unwanted(t.service, t.revision, planned) {
		return
	}
	known := c.model.now
	if !t.def.checked {
		known -= planAge
	}
	healthy := t.isHealthy(known) && (planned == 0 || t.healthyAt <= planned)
	for i := range *l {
		if s := &(*l)[i]; s.service == t.service {
			s.healthy += one(healthy)
			s.running += one(t.runs())
			return
		}
	}
	*l = append(*l, stopped{t.service, t, one(healthy), one(t.runs())})
}

// ownStops judges what a planner's stop leaves of a service.
//
// I1: a stop that takes a healthy task leaves ceil(desired x min%) healthy ones,
// and one that takes a RUNNING task leaves as many RUNNING ones (agent/plan
// DESIGN: rule 7 and Decision 3: where unhealthy tasks must stop first, they
// count against RUNNING, since they take nothing from the healthy ones). Stops of
// tasks that do not run are free (Decision 5). Healthy is ECS API, DeploymentConfiguration.
//
// What is wanted is what the planner saw (Entry.Planned), and tasks that fell ill
// or out of reach between its look and its entry count as they were: that is not
// our own action.
func (c *Checker) ownStops(s *stopped, planned uint64) {
	want := s.service.at(planned)
	lentHealthy, lentRunning := s.service.fellSince(planned, c.model.now)
	healthy, running := s.service.healthy+lentHealthy, s.service.running+lentRunning
	if s.healthy > 0 {
		c.hold(ownStopsKeepMinimum, healthy >= want.lower, func() string {
			return fmt.Sprintf("%s: a planner stopped %s; %d healthy are left, %d%% of %d must stay (%d)",
				s.service.name, s.what(s.healthy), healthy, want.minPer, want.desired, want.lower)
		})
	}
	if s.running > 0 {
		c.hold(ownStopsKeepRunning, running >= want.lower, func() string {
			return fmt.Sprintf("%s: a planner stopped %s; %d running are left, %d%% of %d must stay (%d)",
				s.service.name, s.what(s.running), running, want.minPer, want.desired, want.lower)
		})
	}
	c.replacedFirst(s, want, healthy)
}

func (s *stopped) what(n int) string {
	if n == 1 {
		return "task " + string(s.first.id)
	}
	return fmt.Sprintf("%d tasks (%s and others)", n, s.first.id)
}

// replacedFirst is I2: where floor(desired x max%) exceeds desired, a planner
// stops a healthy task only when as many healthy ones as are desired stay. A
// scale-in is covered by the lower number that is desired then; a stop of tasks
// that are not healthy takes nothing away.
func (c *Checker) replacedFirst(s *stopped, want setting, healthy int) {
	if s.healthy == 0 || want.upper <= want.desired {
		return
	}
	c.hold(replacementFirst, healthy >= want.desired, func() string {
		return fmt.Sprintf("%s: a planner stopped %s before their replacements were healthy; %d healthy are left of %d, "+
			"and %d%% leaves room for %d",
			s.service.name, s.what(s.healthy), healthy, want.desired, want.maxPer, want.upper)
	})
}

// assignable is the first half of I3: tasks are assigned to hosts that are ready
// (so neither silent nor lost), not cordoned and not draining.
func (c *Checker) assignable(h *host, n int) {
	c.hold(onlyOpenHosts, h.state == fleet.HostReady && !h.cordoned && !h.draining, func() string {
		return fmt.Sprintf("%d tasks were assigned to %s, which is %s (cordoned: %v, draining: %v)", n, h.name, h.state,
			h.cordoned, h.draining)
	})
}

// fits is the second half: what is reserved never exceeds capacity by an
// assignment. A host that shrank may hold more than it has, but is given nothing
// then. Unconfirmed tasks keep their reservation (raftfsm/fleet/DESIGN.md).
func (c *Checker) fits(h *host) {
	c.hold(withinCapacity, !exceeds(h.reserved, h.capacity), func() string {
		return fmt.Sprintf("%s holds cpu %d, memory %d after an assignment, and has %d and %d",
			h.name, h.reserved.CPU, h.reserved.Memory, h.capacity.CPU, h.capacity.Memory)
	})
}
