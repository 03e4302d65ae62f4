package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// Hosts that come and go. Source: agent/plan/DESIGN.md "hosts".
const (
	returnAfter    fleet.Time = 3_000
	returnFlapping fleet.Time = 15_000
	returnMost     fleet.Time = 120_000
	flapWindow     fleet.Time = 300_000
	// flapSlack is how much later than its planner decided a silence may be committed.
	flapSlack fleet.Time = 10_000
)

// flapCounted says that a silence soon after the return from another is one more in a
// row. It is asked before the host counts as silent.
func (c *Checker) flapCounted(h *host, cmd fleet.SilenceHost) {
	returned := c.model.now - h.stateSince
	if !c.model.planning || h.silentSince == 0 || h.state != fleet.HostReady {
		return
	}
	c.hold(flapsCounted, returned >= flapWindow-flapSlack || cmd.Flaps == h.flaps+1, func() string {
		return fmt.Sprintf("%s is silenced as of flap %d, %d ms after its return from flap %d", h.name, cmd.Flaps, returned,
			h.flaps)
	})
}

// heldBack says that a silent host is believed back only when it may have been heard
// without a break, in its present session, for as long as its silences in a row ask.
func (c *Checker) heldBack(h *host) {
	if !c.model.planning {
		return
	}
	hold := returnAfter
	for flap := 1; flap <= h.flaps && hold < returnMost; flap++ {
		hold = min(max(2*hold, returnFlapping), returnMost)
	}
	from := max(h.silentSince, h.sessionSince)
	c.hold(flapsHeldBack, c.model.now >= from+hold, func() string {
		return fmt.Sprintf("%s is back at %s after %d silences in a row; it fell silent, or opened its session, at %s, and "+
			"is to be heard for %d ms", h.name, c.model.now, h.flaps+1, from, hold)
	})
}
