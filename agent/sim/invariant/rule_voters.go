package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// setVoter watches the names and the number of voters. A wiped disk that came back
// under its old name could vote twice.
func (c *Checker) setVoter(by string, cmd fleet.SetVoter) {
	if cmd.Phase == fleet.VoterPreparing {
		c.hold(raftIDsAreNew, !c.model.everRaft[cmd.ID], func() string {
			return fmt.Sprintf("voter %s is being made, and a log of that name was there before", cmd.ID)
		})
		c.model.everRaft[cmd.ID] = true
	}
	was := c.model.voters[cmd.ID]
	c.model.voters[cmd.ID] = cmd.Phase
	if was == fleet.VoterVoting && cmd.Phase == fleet.VoterRetiring && by == keeper {
		c.enoughVoters(cmd.ID)
	}
}

// keeper is the author of what the voter keeper decides.
const keeper = "keeper"

// enoughVoters says that silence shrinks nothing: a voter retires by our own action
// only where as many as are wanted stay, or an odd number of an even one, unless its
// host is to leave by somebody's word, or its log is gone. Source: cmd/skein/DESIGN.md "Voters".
func (c *Checker) enoughVoters(id fleet.RaftID) {
	h := c.model.hosts[id.Host()]
	if h == nil || h.isOut() || c.log.wiped[id] || c.log.stuck[id] {
		return
	}
	voting := 0
	for _, phase := range c.model.voters {
		voting += one(phase == fleet.VoterVoting)
	}
	want := c.wantedVoters()
	c.hold(votersStay, voting >= want || voting%2 == 1, func() string {
		return fmt.Sprintf("voter %s of %s retires, and %d voters are left of %d", id, h.name, voting, want)
	})
}

// wantedVoters is the setting, as far as there are hosts that were ever ready and
// are not to leave: an odd number.
func (c *Checker) wantedVoters() int {
	hosts := 0
	for _, h := range c.model.hosts {
		hosts += one(h.everReady && !h.isOut())
	}
	want := c.model.setVoters
	for want > hosts {
		want -= 2
	}
	return max(want, 1)
}

// isOut reports whether a host is to leave by somebody's word.
func (h *host) isOut() bool { return h.state == fleet.HostForgotten || h.draining || h.revoked }

// Stuck says that a voter was sent snapshot after snapshot and does not get ahead, so
// that it may begin anew.
func (c *Checker) Stuck(id fleet.RaftID) { c.log.stuck[id] = true }
