package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// An entry of that many commands may hold a part of a class only: what is even
// in the end need not be even there.
const wholePlan = 256

// Judging a placement looks at all hosts and at the service's tasks, so it is
// done as often as pays for it: each placement saves up effort, in rows, and a
// judgement spends it. Small fleets are judged at every placement.
const (
	effortSaved = 32
	effortMost  = 1 << 16
)

// placed is what an entry placed of one revision.
type placed struct {
	service  *service
	revision fleet.RevisionID
	zones    map[string]*task // one of the tasks that went there
}

// spread judges the placements of an entry, service by service.
//
// I13, the part of placement (balance is not there yet): a task goes to a zone
// with the fewest reachable tasks to run of its revision (agent/plan/DESIGN.md
// "Decisions" 1), of all zones with a host that takes it. So when a class has been
// placed, no zone that was given any has two more than one that could have taken
// it. What the planner could not know is not held against it: hosts that opened,
// or got room, after it looked; hosts that may have looked ill to it, as any may to
// a leader that is new or was ill itself; tasks that came or went since; commands that State
// refused. Standalone tasks are not judged: they spread within a pass only.
func (c *Checker) spread(e *Entry) {
	all := c.placements(e)
	for _, p := range all {
		c.effort = min(c.effort+effortSaved, effortMost)
		cost := len(c.model.hosts) + len(p.service.live)
		if len(e.Entry.Items) >= wholePlan || c.effort < min(cost, effortMost) {
			continue
		}
		c.effort -= min(cost, effortMost)
		c.even(p, e)
	}
}

// placements gathers what placement did, unless some of it was refused.
func (c *Checker) placements(e *Entry) []*placed {
	var all []*placed
	for i := range e.Entry.Items {
		var shares []fleet.AssignTasks
		switch cmd := e.Entry.Items[i].Command.(type) {
		case fleet.AssignTasks:
			shares = []fleet.AssignTasks{cmd}
		case fleet.PlaceTasks:
			shares = cmd.Shares
		}
		if shares == nil || !isPlanner(e.Entry.Items[i].By) {
			continue
		}
		if e.Results[i].Err != nil || len(e.Results[i].Refused) > 0 {
			return nil
		}
		for _, share := range shares {
			for _, id := range share.Tasks {
				if t := c.model.tasks[id]; t != nil && t.service != nil && t.host != nil {
					all = place(all, t)
				}
			}
		}
	}
	return all
}

func place(all []*placed, t *task) []*placed {
	for _, p := range all {
		if p.service == t.service && p.revision == t.revision {
			p.zones[t.host.zone] = t
			return all
		}
	}
	return append(all, &placed{t.service, t.revision, map[string]*task{t.host.zone: t}})
}

func (c *Checker) even(p *placed, e *Entry) {
	planned := e.Planned
	if planned == 0 {
		planned = e.Index - 1
	}
	if p.service.changedBefore > planned || !c.livenessOf(e) {
		return
	}
	count := map[string]int{}
	for _, t := range p.service.live {
		if t.toRun && t.host != nil && t.revision == p.revision && t.reaches() {
			count[t.host.zone]++
		}
	}
	for _, zone := range sorted(p.zones) {
		t := p.zones[zone]
		least, found := c.emptiest(t, count, planned)
		c.hold(zonesEven, !found || count[zone] <= count[least]+1, func() string {
			return fmt.Sprintf("task %s of %s went to zone %s, which has %d of %s now; zone %s has %d, and a host that would "+
				"have taken it",
				t.id, p.service.name, zone, count[zone], p.revision, least, count[least])
		})
	}
}

// livenessOf reports whether the leader sees the fleet as it is: it has led, and has
// itself been well, for a while.
func (c *Checker) livenessOf(e *Entry) bool {
	return c.now()-c.log.termFrom >= undisturbedFor && (e.Leader == "" || c.undisturbed(e.Leader.Host(), undisturbedFor))
}

// emptiest finds the zone with the fewest tasks among those with a host that
// takes one more of a task, and did so when the planner looked.
func (c *Checker) emptiest(t *task, count map[string]int, planned uint64) (zone string, found bool) {
	for _, h := range c.model.hosts {
		better := !found || count[h.zone] < count[zone] || count[h.zone] == count[zone] && h.zone < zone
		if better && h.roomAt <= planned && h.takes(t.def) && c.undisturbed(h.id, undisturbedFor) &&
			c.around(h.id).unseen <= c.now() {
			zone, found = h.zone, true
		}
	}
	return zone, found
}

// takes reports whether one more task of a definition may be assigned to a host.
func (h *host) takes(d *definition) bool {
	if h.state != fleet.HostReady || h.cordoned || h.draining || exceeds(d.need, minus(h.capacity, h.reserved)) {
		return false
	}
	for _, p := range d.fixed {
		if h.ports[p] != nil {
			return false
		}
	}
	return true
}
