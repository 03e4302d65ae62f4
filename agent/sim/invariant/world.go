package invariant

import (
	"fmt"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// undisturbedFor is how long a host must have been up, heard and left alone before
// calling it dead is false: detection takes a second (cmd/skein/DESIGN.md "Silence"), and what was
// seen before it may still be on its way for the time of a proposal.
const undisturbedFor = 10 * time.Second

// surroundings is what the simulator says of a host.
type surroundings struct {
	condition     virtual.Condition
	since         time.Duration // of condition
	voters        int           // that hear it and are heard
	of            int
	audibleUntil  time.Duration // when the last voter that heard it ceased to; valid while none does
	heardBy       time.Duration // since when a majority, valid while there is one
	activeFaults  bool
	faults        time.Duration // a fault touches it until then
	unseen        time.Duration // a leader may not see it until then
	impaired      bool          // its agent cannot do what it decides
	impairedUntil time.Duration // when it last could not
	// unheard is the newest spell in which it may have heard no voter: not linked to
	// a majority of them (fewer open no session), not up, or touched by a fault.
	unheard spell
}

// spell is a stretch of time.
type spell struct{ from, until time.Duration }

// with joins two spells that touch; those that do not stay apart, and the first
// counts.
func (s spell) with(o spell) spell {
	if o.from > s.until || o.until < s.from {
		return s
	}
	return spell{min(s.from, o.from), max(s.until, o.until)}
}

// forEver is the end of what has none yet.
const forEver = time.Duration(1<<63 - 1)

func (c *Checker) around(id fleet.HostID) *surroundings {
	w := c.world[id]
	if w == nil {
		w = &surroundings{since: c.now(), heardBy: c.now()}
		w.unheard = spell{c.now(), forEver}
		c.world[id] = w
	}
	return w
}

// HostCondition says what a machine is from now on.
func (c *Checker) HostCondition(id fleet.HostID, is virtual.Condition) {
	w := c.around(id)
	if w.condition != is {
		c.muted(w, w.audible() && is != virtual.Up)
		w.condition, w.since = is, c.now()
	}
	c.listen(id, w)
}

// Linked says how many of the voters an agent hears from now on, and is heard
// by. It is to be told again when voters come or go.
func (c *Checker) Linked(id fleet.HostID, voters, of int) {
	w := c.around(id)
	if 2*voters > of && 2*w.voters <= w.of {
		w.heardBy = c.now()
	}
	c.muted(w, w.audible() && voters == 0)
	w.voters, w.of = voters, of
	c.listen(id, w)
}

// Disturbed says that a fault touches a host until a time: losses, delays, an
// agent that restarts.
func (c *Checker) Disturbed(id fleet.HostID, until time.Duration) {
	w := c.around(id)
	w.faults = max(w.faults, until)
	c.listen(id, w)
}

// SetFaults says that a fault touches a host from now on, or no longer: a starved
// agent, a runtime that does not answer, a stalled disk, a clock that is off.
func (c *Checker) SetFaults(id fleet.HostID, on bool) {
	w := c.around(id)
	if w.activeFaults && !on {
		w.faults = max(w.faults, c.now())
	}
	w.activeFaults = on
	c.listen(id, w)
}

// Impaired says that an agent cannot do what it decides from now on, or can again: its
// runtime does not answer, its disk takes nothing, it is starved.
func (c *Checker) Impaired(id fleet.HostID, on bool) {
	w := c.around(id)
	if w.impaired && !on {
		w.impairedUntil = c.now()
	}
	w.impaired = on
}

// Unseen says that a leader may rightly not see a host until a time, though it is
// well: its voter has died, and its next one has not told of it yet. Placement
// shuns such a host; nobody may take it for dead.
func (c *Checker) Unseen(id fleet.HostID, until time.Duration) {
	w := c.around(id)
	w.unseen = max(w.unseen, until)
}

// AllDisturbed says that a fault touches every host, or the voters, until a time.
func (c *Checker) AllDisturbed(until time.Duration) { c.calmFrom = max(c.calmFrom, until) }

// AllFaulty says that a fault touches every host from now on, or no longer: a
// network that loses messages.
func (c *Checker) AllFaulty(on bool) {
	if c.allFaulty && !on {
		c.AllDisturbed(c.now())
	}
	c.allFaulty = on
}

// listen keeps the spells in which a host may hear nobody: its own, and when it
// leads, that in which nobody may be led.
func (c *Checker) listen(id fleet.HostID, w *surroundings) {
	until, now := w.faults, c.now()
	if 2*w.voters <= w.of || w.condition != virtual.Up || w.activeFaults {
		until = forEver
	}
	// What ended in this very instant goes on: a thaw is told in several facts.
	switch over := w.unheard.until < now; {
	case over && until > now:
		w.unheard = spell{now, until}
	case !over:
		w.unheard.until = max(until, now)
	}
	if id == c.log.leader.Host() && until == forEver && c.unled.until <= now {
		c.unled = spell{now, forEver}
	}
}

// SteppedDown says that a leader leads no more, or would not: it lost its quorum, handed over,
// or what it proposed has not committed for long. It may go on where nobody takes the lead.
func (c *Checker) SteppedDown(node fleet.RaftID) {
	if node == c.log.leader && c.unled.until <= c.now() {
		c.unled = spell{c.now(), forEver}
	}
}

// led ends the spell without a leader: one has committed. To be elected is not
// enough, for its disk, or a majority's, may take nothing.
func (c *Checker) led(by fleet.RaftID) {
	c.log.leader = by
	if c.unled.until == forEver {
		c.unled.until = c.now()
	}
}

// heard reports whether a host is up and heard by a majority of voters.
func (c *Checker) heard(id fleet.HostID) bool {
	w := c.world[id]
	return w != nil && w.condition == virtual.Up && 2*w.voters > w.of
}

// audible reports whether a host is up and heard by a voter at least.
func (w *surroundings) audible() bool { return w.condition == virtual.Up && w.voters > 0 }

// muted notes that no voter hears a host any more.
func (c *Checker) muted(w *surroundings, is bool) {
	if is {
		w.audibleUntil = c.now()
	}
}

// undisturbed reports whether a host has been up, heard by a majority of voters and
// untouched by faults for a while, with a leader that commits: without one no
// session opens, and so no stream shows a sign of life. Nobody talks to a host whose
// certificate was revoked, or whose agent is too old.
func (c *Checker) undisturbed(id fleet.HostID, d time.Duration) bool {
	w := c.world[id]
	since := c.now() - d
	if h := c.model.hosts[id]; h != nil && h.shunned {
		return false // nobody talks to it
	}
	return w != nil && w.condition == virtual.Up && w.since <= since &&
		2*w.voters > w.of && w.heardBy <= since &&
		!w.activeFaults && w.faults <= since && !c.allFaulty && c.calmFrom <= since &&
		c.unled.until <= since
}

// falseDeath says that a host that has been calm for ten seconds is not declared
// silent or lost, unless its certificate was revoked or its agent is too old. Source: cmd/skein/DESIGN.md "Silence".
func (c *Checker) falseDeath(h *host, what string) {
	c.hold(noFalseDeath, !c.undisturbed(h.id, undisturbedFor), func() string {
		return fmt.Sprintf("%s was declared %s, and has been up, heard by a majority of voters and untouched for %s", h.name,
			what, undisturbedFor)
	})
}

// silentLongEnough says that a host is lost only after lostAfter of silence.
// Source: cmd/skein/DESIGN.md "Host lifecycle".
func (c *Checker) silentLongEnough(h *host) {
	after := c.model.lostAfter
	c.hold(lostAfterSilence, h.state == fleet.HostSilent && c.model.now >= h.stateSince+after, func() string {
		return fmt.Sprintf("%s was declared lost; it is %s since %s, now is %s, and lost means silent for %d ms", h.name,
			h.state, h.stateSince, c.model.now, after)
	})
}
