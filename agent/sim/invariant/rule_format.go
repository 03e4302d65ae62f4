package invariant

import (
	"errors"
	"fmt"

	"skein/raftfsm/fleet"
)

// NewKinds says since which format kinds of command may be proposed; others may since
// the first.
func (c *Checker) NewKinds(kinds map[fleet.Kind]int) { c.newKinds = kinds }

// format judges a command by what the fleet reads. A command that came with a later
// format is not in the log, whatever State makes of it; and an agent is refused for its
// age only if it is older than the fleet's format, so that each may go back until the
// format is raised. Source: raftfsm/fleet/DESIGN.md "Formats".
func (c *Checker) format(item *fleet.Item, result *fleet.Result) {
	if item.Command == nil || c.model.format == 0 {
		return
	}
	since := max(c.newKinds[item.Command.Kind()], 1)
	c.hold(formatKept, since <= c.model.format, func() string {
		return fmt.Sprintf("%s by %s needs format %d, and the fleet is at %d", item.Command.Kind(), item.By, since,
			c.model.format)
	})
	open, ok := item.Command.(fleet.OpenSession)
	if !ok {
		return
	}
	switch {
	case errors.Is(result.Err, fleet.ErrAgentTooOld), open.TooOld && result.Err == nil && len(result.IDs) == 0:
		c.TooOld(open.Host, open.Format)
	case result.Err == nil:
		c.hold(tooOldRefused, max(open.Format, 1) >= c.model.format, func() string {
			return fmt.Sprintf("an agent of %s that reads format %d got a session; the fleet is at %d", open.Host, open.Format,
				c.model.format)
		})
	}
}

// TooOld says that an agent is refused because it reads less than the fleet's format.
// Its host may be taken for dead in the end, since nobody can tell it anything.
func (c *Checker) TooOld(id fleet.HostID, reads int) {
	c.hold(tooOldRefused, reads < c.model.format, func() string {
		return fmt.Sprintf("an agent of %s that reads format %d was refused, and the fleet is at %d", id, reads,
			c.model.format)
	})
	if h := c.model.hosts[id]; h != nil {
		h.shunned = true
	}
}

// raised judges a rise of the format that has taken effect. Hosts that are lost do not
// count, unless they vote, and by force only those that vote do.
func (c *Checker) raised(cmd fleet.RaiseFormat, after *fleet.State) {
	if after.Fleet().Format != cmd.Format {
		return // it is planned
	}
	c.model.format = cmd.Format
	for _, id := range sorted(c.model.hosts) {
		h := c.model.hosts[id]
		present := h.session > 0 && h.state != fleet.HostLost && h.state != fleet.HostForgotten
		counts := present && !cmd.Force || c.votes(h.id)
		c.hold(raisedWhenRead, !counts || h.reads >= cmd.Format, func() string {
			return fmt.Sprintf("the format is raised to %d, and %s reads %d", cmd.Format, h.name, h.reads)
		})
	}
}

// votes reports whether a host has a voter, in whatever phase.
func (c *Checker) votes(id fleet.HostID) bool {
	for voter := range c.model.voters {
		if voter.Host() == id {
			return true
		}
	}
	return false
}

// Froze says that a voter stopped at what the build of its agent does not read. Its
// host's session must have said that it reads more: the agent went back since.
func (c *Checker) Froze(id fleet.RaftID, reads int) {
	h := c.model.hosts[id.Host()]
	c.log.stuck[id] = true
	c.hold(votersRead, h == nil || h.reads > reads, func() string {
		return fmt.Sprintf("%s stopped; its agent reads format %d, and said so in session %d", id, reads, h.session)
	})
}
