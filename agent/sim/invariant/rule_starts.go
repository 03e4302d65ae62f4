package invariant

import (
	"fmt"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// The crash back-off. Source: raftfsm/fleet/DESIGN.md "Crash back-off".
const (
	lastingRun   fleet.Time = 10_000
	firstBackOff fleet.Time = 1_000
	mostBackOff  fleet.Time = 300_000
)

// clockJump is how much faster than the clock the fleet's time may move without
// anything being measured wrong by it: a leader whose clock is off by more hands over.
const clockJump = 2 * time.Second

// starts judges the tasks that a planner has just created.
//
// No start of the current revision before its back-off is over, unless the failure that
// began it came after the planner looked; other revisions have back-offs of their own. Not
// more starts than are missing: the tasks of the revision
// that are healthy or may turn healthy, new ones included, are at most as many as
// are desired. And stop-after work has one copy: one that still runs where nobody
// hears it counts as present, so that it is not replaced before its host has ended
// it. Source: agent/plan/DESIGN.md "service".
func (c *Checker) starts(s *service, revision fleet.RevisionID, planned uint64) {
	if revision == s.revision && (planned == 0 || s.failedAtIndex <= planned) {
		c.hold(backOffKept, c.model.now >= s.notBefore, func() string {
			return fmt.Sprintf("%s: a planner starts tasks at %s, %d rounds of starts have failed and the next is due at %s",
				s.name, c.model.now, s.failures, s.notBefore)
		})
	}
	if s.changedBefore > planned && planned > 0 {
		return // what the planner counted is not what is there now
	}
	want, present := s.at(planned), 0
	for _, t := range s.live {
		present += one(t.revision == revision && t.replace == 0 && t.toRun && t.reaches() && !t.isUnhealthy(c.model.now))
	}
	c.hold(missingStart, present <= want.desired, func() string {
		return fmt.Sprintf("%s: %d tasks of %s are healthy or may turn so after a planner's starts, and %d are desired",
			s.name, present, revision, want.desired)
	})
	if s.stopAfter == 0 {
		return
	}
	present, most := c.copies(s, present, want.desired)
	unheard := c.runUnheard(s)
	c.hold(oneCopy, present+len(unheard) <= most, func() string {
		return fmt.Sprintf("%s: %d of %d tasks are there after a planner's starts, and these run on hosts that nobody "+
			"hears: %v",
			s.name, present, most, unheard)
	})
}

// copies are how many tasks of a service there are, and how many are wanted: of one revision,
// or of all that a deployment has beside each other, since any may be the one that runs
// unheard.
func (c *Checker) copies(s *service, present, desired int) (there, wanted int) {
	if s.goals == nil || len(s.goals.of) < 2 {
		return present, desired
	}
	for _, goal := range s.goals.of {
		if !goal.Held {
			wanted += goal.Desired
		}
	}
	for _, t := range s.live {
		goal, listed := s.goals.of[t.revision]
		there += one(listed && !goal.Held && t.replace == 0 && t.toRun && t.reaches() && !t.isUnhealthy(c.model.now))
	}
	return there, wanted
}

// runUnheard lists the tasks of a stop-after service whose containers run on hosts
// that the fleet calls silent or lost, though their agents could have ended them. Who was
// asked to stop is waited for no longer than elsewhere. An agent could not where its machine or
// agent did not go on, or a fault kept it from acting; nor is it to where the fleet's clock jumped
// or the service's onDisconnect changed.
func (c *Checker) runUnheard(s *service) (running []fleet.TaskID) {
	for _, h := range c.model.hosts {
		if h.state != fleet.HostSilent && h.state != fleet.HostLost {
			continue
		}
		w := c.around(h.id)
		could := w.condition == virtual.Up && w.since <= h.silentAt && !w.impaired && w.impairedUntil <= h.silentAt &&
			c.model.jumpedAt <= h.silentAt && s.stopAfterAt+time.Minute <= h.silentAt && !c.cloned[h.id]
		if !could {
			continue
		}
		for _, t := range h.held {
			if t.service == s && (t.toRun || t.cause == fleet.CauseHostLost) && c.runsAnywhere(t) {
				running = append(running, t.id)
			}
		}
	}
	return running
}

// runsAnywhere reports whether a container of a task runs on a machine of its host.
func (c *Checker) runsAnywhere(t *task) bool {
	for _, m := range c.byHost[t.host.id] {
		if r := m.tasks[t.id]; r != nil && r.runs() {
			return true
		}
	}
	return false
}

// runs reports whether a container was let run and has not ended.
func (r *remains) runs() bool {
	for _, k := range r.containers {
		if k.alive && k.started {
			return true
		}
	}
	return false
}

// failed counts the end of a task that nobody asked for, if it failed to start or ran
// for less than lastingRun. Of one round only the first counts: tasks made before
// the last back-off was over make no new one. Where State may count a failure that
// is not counted here its back-off is longer, never shorter.
func (c *Checker) failed(t *task, r *fleet.TaskReport, heard bool) {
	s := t.service
	if s == nil || s.draining || t.revision != s.revision {
		return
	}
	if ranFor(t, r, c.model.now) >= lastingRun {
		s.lasted()
		return
	}
	if !heard || !t.ended || t.created < s.roundFrom {
		return
	}
	if s.anyLasting(c.model.now) {
		s.failures = 0
	}
	s.failures++
	pause := firstBackOff
	for n := 1; n < s.failures && pause < mostBackOff; n++ {
		pause *= 2
	}
	s.notBefore, s.failedAtIndex = c.model.now+min(pause, mostBackOff), c.log.index
	s.roundFrom = s.notBefore
}

// lasted forgets the failures: a task of the present revision has lasted.
func (s *service) lasted() { s.failures, s.notBefore = 0, 0 }

// anyLasting reports whether a task of the present revision has lasted.
func (s *service) anyLasting(now fleet.Time) bool {
	for _, t := range s.live {
		if t.revision == s.revision && t.last == fleet.TaskRunning && now >= t.started+lastingRun {
			return true
		}
	}
	return false
}

// ranFor is how long a task was RUNNING, by its host's stamps where it sends both.
func ranFor(t *task, r *fleet.TaskReport, now fleet.Time) fleet.Time {
	switch {
	case r.StartedAt > 0 && r.StoppedAt > 0:
		return r.StoppedAt - r.StartedAt
	case t.started == 0:
		return 0
	}
	return now - t.started
}
