package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// order is the place of an intent: by epoch, then by index.
type order struct{ epoch, index uint64 }

func (o order) before(p order) bool {
	return o.epoch < p.epoch || o.epoch == p.epoch && o.index < p.index
}

// session is one life of an agent.
type session struct {
	host fleet.HostID
	n    uint64
}

// ballot is a voter's vote in a term.
type ballot struct {
	voter fleet.RaftID
	term  uint64
}

// order is I9 for the log: entries rise by index and never fall by term, so that
// what a leader of an older term proposed is not committed after a newer one
// began; and each term's entries come from the leader that was elected in it.
func (c *Checker) order(e *Entry) {
	l := &c.log
	c.hold(termsRise, e.Index > l.index && e.Term >= l.term, func() string {
		return fmt.Sprintf("entry %d of term %d was committed after entry %d of term %d", e.Index, e.Term, l.index, l.term)
	})
	if e.Leader != "" {
		c.lead(e.Term, e.Leader, "commits")
		c.led(e.Leader)
	}
}

// Elected says that a node won an election.
func (c *Checker) Elected(node fleet.RaftID, term uint64) { c.lead(term, node, "was elected") }

func (c *Checker) lead(term uint64, node fleet.RaftID, what string) {
	first, known := c.log.leaders[term]
	c.hold(oneLeaderATerm, !known || first == node, func() string {
		return fmt.Sprintf("%s %s in term %d, which %s leads", node, what, term, first)
	})
	if !known {
		c.log.leaders[term] = node
	}
}

// Voted says that a voter gave its vote.
func (c *Checker) Voted(voter fleet.RaftID, term uint64, candidate fleet.RaftID) {
	b := ballot{voter, term}
	other, before := c.log.votes[b]
	c.hold(oneVoteATerm, (!before || other == candidate) && !c.log.wiped[voter], func() string {
		return fmt.Sprintf("%s votes for %s in term %d; it had voted for %q, its disk was wiped: %v", voter, candidate, term,
			other, c.log.wiped[voter])
	})
	c.log.votes[b] = candidate
}

// Wiped says that a voter's log is gone. It may never vote under that id again.
func (c *Checker) Wiped(voter fleet.RaftID) { c.log.wiped[voter] = true }

// FrameAccepted says that a machine took a voter's wanted state for true.
//
// I9: within a session what a host accepts never gets older, and nobody accepts
// what was not committed. A new life of the agent may know less than the one
// before, since what was accepted last may not have been on its disk.
func (c *Checker) FrameAccepted(on Machine, n, epoch, index uint64) {
	key, at := session{on.Host, n}, order{epoch, index}
	if h := c.model.hosts[on.Host]; h != nil && !h.revoked {
		h.shunned = false
	}
	last, known := c.frames[key]
	c.hold(newestIntent, !known || !at.before(last), func() string {
		return fmt.Sprintf("%s accepts epoch %d index %d in session %d, after epoch %d index %d", on.Host, epoch, index, n,
			last.epoch, last.index)
	})
	c.hold(onlyCommitted, index <= c.log.index, func() string {
		return fmt.Sprintf("%s accepts index %d, and %d is the last that was committed", on.Host, index, c.log.index)
	})
	if !known {
		delete(c.frames, session{on.Host, n - 1})
	}
	c.frames[key] = at
	if c.accepted[on.Host].before(at) {
		c.accepted[on.Host] = at
	}
}

// Served says that a leader believes that a host serves what it is sent up to some
// index.
//
// I9: hosts say so of what they have accepted only, whatever they were sent.
func (c *Checker) Served(host fleet.HostID, served fleet.Served) {
	at := order{served.Epoch, max(served.Tasks, served.Orders)}
	accepted := c.accepted[host]
	c.hold(servedIsAccepted, !accepted.before(at), func() string {
		return fmt.Sprintf("%s is said to serve epoch %d index %d, and has accepted epoch %d index %d at most", host,
			at.epoch, at.index, accepted.epoch, accepted.index)
	})
}
