package invariant

import (
	"fmt"
	"time"

	"skein/raftfsm/fleet"
)

// The pace of mass silence. Source: agent/plan/DESIGN.md "hosts".
const (
	silenceWindow  fleet.Time = 600_000
	silenceEvery   fleet.Time = 10_000
	silencesAtOnce            = 3
	silencePercent            = 5
)

// paced says that mass silence is slowed: of the hosts that fell silent within the
// window and are not back, only so many did at once, and each later one some time
// after the one before. It is asked before the host counts as silent.
func (c *Checker) paced(h *host) {
	if !c.model.planning {
		return
	}
	all, lately, newest := 0, 0, fleet.Time(0)
	for _, o := range c.model.hosts {
		all += one(o.state != fleet.HostForgotten)
		if o.state != fleet.HostSilent && o.state != fleet.HostLost {
			continue
		}
		lately += one(o.silentSince > c.model.now-silenceWindow)
		newest = max(newest, o.silentSince)
	}
	quick := max(silencesAtOnce, all*silencePercent/100)
	c.hold(silencePaced, lately < quick || c.model.now >= newest+silenceEvery, func() string {
		return fmt.Sprintf("%s is silenced at %s, after %d others within 10 minutes, the newest at %s; %d may be at once",
			h.name, c.model.now, lately, newest, quick)
	})
}

// halfHeard says that a leader to which more than half of the fleet is silent takes
// itself for the one that is cut off. Silent hosts that are heard again are not silent
// to it. Source: cmd/skein/DESIGN.md "Silence".
func (c *Checker) halfHeard(h *host) {
	if !c.model.planning || c.model.hostsChangedBefore > c.model.pass && c.model.pass > 0 {
		return
	}
	silent, members := 0, 0
	for _, o := range c.model.hosts {
		silent += one(o == h || o.state == fleet.HostSilent && !c.heardAgain(o))
		members += one(o.state == fleet.HostSilent || o.state == fleet.HostReady)
	}
	c.hold(halfIsHeard, 2*silent <= members, func() string {
		return fmt.Sprintf("%s is silenced, and %d of %d hosts are silent then", h.name, silent, members)
	})
}

// entryAge is planAge by the checker's clock. An entry that its leader could not commit in
// one term may be committed by the next: what it says is as old as the plan.
const entryAge = time.Duration(planAge) * time.Millisecond

// heardAgain reports whether a leader may rightly have heard a silent host when it planned, up
// to entryAge ago. One voter that has its stream is enough: voters tell the leader what they
// hear, though a session takes a majority of them. What was heard before the host fell silent
// does not count, or hosts could be silenced one by one within entryAge.
func (c *Checker) heardAgain(h *host) bool {
	w := c.around(h.id)
	return w.audible() || w.audibleUntil > h.silentAt && c.now()-w.audibleUntil <= entryAge
}
