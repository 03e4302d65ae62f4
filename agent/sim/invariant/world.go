package invariant

import (
	"fmt"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// calmFor is how long a host must have been up, heard and left alone before
// calling it dead is false: detection takes a second (MECHANICS 4), and what was
// seen before it may still be on its way for the time of a proposal.
const calmFor = 10 * time.Second

// surroundings is what the simulator says of a host.
type surroundings struct {
	condition virtual.Condition
	since     time.Duration // of condition
	voters    int           // that hear it and are heard
	of        int
	heardBy   time.Duration // since when a majority, valid while there is one
	cut       time.Duration // since when none at all, valid while voters is 0
	uncut     time.Duration // when the last time without any voter ended
	cutFor    time.Duration // how long that was
	faults    time.Duration // a fault touches it until then
}

func (c *Checker) around(id fleet.HostID) *surroundings {
	w := c.world[id]
	if w == nil {
		w = &surroundings{since: c.now(), heardBy: c.now(), cut: c.now()}
		c.world[id] = w
	}
	return w
}

// HostCondition says what a machine is from now on.
func (c *Checker) HostCondition(id fleet.HostID, is virtual.Condition) {
	w := c.around(id)
	if w.condition != is {
		w.condition, w.since = is, c.now()
	}
}

// Linked says how many of the voters an agent hears from now on, and is heard
// by; none means that it is cut off.
func (c *Checker) Linked(id fleet.HostID, voters, of int) {
	w := c.around(id)
	majority := 2*voters > of
	if majority && 2*w.voters <= w.of {
		w.heardBy = c.now()
	}
	if voters == 0 && w.voters > 0 {
		w.cut = c.now()
	}
	if voters > 0 && w.voters == 0 {
		w.uncut, w.cutFor = c.now(), c.now()-w.cut
	}
	w.voters, w.of = voters, of
}

// Disturbed says that a fault touches a host until a time: losses, delays, a
// starved or stalled agent, a clock that jumps.
func (c *Checker) Disturbed(id fleet.HostID, until time.Duration) {
	w := c.around(id)
	w.faults = max(w.faults, until)
}

// AllDisturbed says that a fault touches every host, or the voters, until a time.
func (c *Checker) AllDisturbed(until time.Duration) { c.calmFrom = max(c.calmFrom, until) }

// calm reports whether a host has been up, heard by a majority of voters and
// untouched by faults for a while.
func (c *Checker) calm(id fleet.HostID, d time.Duration) bool {
	w := c.world[id]
	since := c.now() - d
	return w != nil && w.condition == virtual.Up && w.since <= since &&
		2*w.voters > w.of && w.heardBy <= since && w.faults <= since && c.calmFrom <= since
}

// falseDeath says that a host that has been calm for ten seconds is not declared
// silent or lost, unless its certificate was revoked. Source: DESIGN "Fast and never wrong", reliability.md 5.5.
func (c *Checker) falseDeath(h *host, what string) {
	c.hold(noFalseDeath, h.revoked || !c.calm(h.id, calmFor), func() string {
		return fmt.Sprintf("%s was declared %s, and has been up, heard by a majority of voters and untouched for %s", h.name, what, calmFor)
	})
}

// silentLongEnough says that a host is lost only after lostAfter of silence.
// Source: MECHANICS 2.
func (c *Checker) silentLongEnough(h *host) {
	after := c.model.lostAfter
	c.hold(lostAfterSilence, h.life == fleet.HostSilent && c.model.now >= h.lifeSince+after, func() string {
		return fmt.Sprintf("%s was declared lost; it is %s since %s, now is %s, and lost means silent for %d ms", h.name, h.life, h.lifeSince, c.model.now, after)
	})
}
