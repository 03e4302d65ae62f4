package simlog

import (
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// look takes note of what heartbeats would tell: whether the leader is heard,
// and, on a leader, whether the others are. It only arms timers and sends.
func (n *Node) look() {
	if n.closed {
		return
	}
	if n.role == leader {
		if n.hears && n.cut {
			n.lost = n.log.time.Now()
		}
		n.hears = !n.cut
		n.lookAfter()
		return
	}
	hears := n.hearsLeader()
	if n.hears && !hears {
		n.lost = n.log.time.Now()
		if f := n.log.cfg.LeaderLost; f != nil {
			f(n.id)
		}
	}
	n.hears = hears
	if hears {
		n.timeout.Stop()
		n.role, n.tries = follower, 0
		return
	}
	n.await()
}

// hearsLeader reports whether heartbeats of the leader it believes in would
// arrive, and be answered.
func (n *Node) hearsLeader() bool {
	l := n.log.live[n.leader]
	return l != nil && l.role == leader && l.term == n.term && l.peer(n.id) != nil && n.log.reach(n, n.leader)
}

// manyTries is after how many elections in vain a node asks more seldom: nothing
// changes, so the answers will not.
const manyTries = 10

// await arms the election timer, if an election can do any good now, or if there
// is a leader to be forgotten; look is called when that changes.
func (n *Node) await() {
	if n.timeout.Waiting() || n.hears || n.role == leader {
		return
	}
	if n.leader == "" && (!n.mayLead() || n.reached() < n.quorum()) {
		return
	}
	d := n.log.chance.Between(n.log.cfg.Election, 2*n.log.cfg.Election)
	if n.tries > manyTries {
		d *= 16
	}
	if n.leaderRefuses() {
		d = min(d, n.log.cfg.Lease+time.Duration(n.turn())*n.log.cfg.Turn)
	}
	n.timeout = n.after(d, n.timedOut)
}

// leaderRefuses reports whether the leader's machine says that its program is gone.
func (n *Node) leaderRefuses() bool {
	host := n.leader.Host()
	net := n.log.net
	return n.leader != "" && net.Condition(host) == virtual.Down && net.Passes(n.host, host) && net.Passes(host, n.host)
}

// turn is when this node stands, among the voters that its leader leaves.
func (n *Node) turn() (turn int) {
	for _, m := range n.members() {
		if m.Voting && m.ID != n.leader && m.ID < n.id {
			turn++
		}
	}
	return turn
}

// mayLead reports whether this node may ask for votes.
func (n *Node) mayLead() bool { return n.voting(n.id) && !n.disk.full && !n.cut }

// timedOut asks for votes: first whether they would be given.
func (n *Node) timedOut() {
	if n.look(); n.hears || n.role == leader {
		return
	}
	n.timeout.Stop()
	n.believe("")
	if !n.mayLead() {
		return
	}
	n.tries++
	n.role, n.votes = asking, map[fleet.RaftID]bool{}
	n.await()
	n.ask(n.term+1, true, false)
	n.voted(n.id)
}

// campaign asks for votes in a new term.
func (n *Node) campaign(transfer bool) {
	n.role, n.votes = candidate, map[fleet.RaftID]bool{}
	n.term, n.vote = n.term+1, n.id
	n.believe("")
	n.await()
	n.persist(func() {
		if n.role != candidate {
			return
		}
		n.cast(n.term, n.id)
		n.ask(n.term, false, transfer)
		n.voted(n.id)
	})
}

// ballot is what voters are asked.
type ballot struct {
	term            uint64
	by              fleet.RaftID
	last, lastTerm  uint64
	ahead, transfer bool // only whether they would; a leader wants it so
}

func (n *Node) ask(term uint64, ahead, transfer bool) {
	b := ballot{term, n.id, n.entries.last(), n.entries.lastTerm(), ahead, transfer}
	for _, m := range n.members() {
		if m.Voting && m.ID != n.id {
			n.send(m.ID, func(o *Node) { o.asked(b) })
		}
	}
}

// asked answers a candidate.
func (n *Node) asked(b ballot) {
	if n.leader != "" && n.leader != b.by && !b.transfer {
		n.answer(b, false) // it has a leader, and says only its term
		return
	}
	if !b.ahead {
		n.adopt(b.term)
	}
	upToDate := b.lastTerm > n.entries.lastTerm() || b.lastTerm == n.entries.lastTerm() && b.last >= n.entries.last()
	switch {
	case b.term < n.term || !upToDate || n.role == leader:
		n.answer(b, false)
	case b.ahead:
		n.answer(b, true)
	case n.vote == "" || n.vote == b.by:
		n.vote = b.by
		n.timeout.Stop() // whoever gives a vote waits for what comes of it
		n.await()
		n.persist(func() {
			n.cast(b.term, b.by)
			n.answer(b, true)
		})
	default:
		n.answer(b, false)
	}
}

// cast tells of a vote.
func (n *Node) cast(term uint64, by fleet.RaftID) {
	if n.log.cfg.Voted != nil {
		n.log.cfg.Voted(n.id, term, by)
	}
}

func (n *Node) answer(b ballot, yes bool) {
	term, by := n.term, n.id
	n.send(b.by, func(o *Node) { o.answered(b, by, term, yes) })
}

// answered counts a vote.
func (n *Node) answered(b ballot, by fleet.RaftID, term uint64, yes bool) {
	if term > n.term && !(yes && b.ahead) {
		n.adopt(term)
		return
	}
	switch {
	case !yes:
	case b.ahead && n.role == asking && b.term == n.term+1, !b.ahead && n.role == candidate && b.term == n.term:
		n.voted(by)
	}
}

func (n *Node) voted(by fleet.RaftID) {
	if n.voting(by) {
		n.votes[by] = true
	}
	if len(n.votes) < max(1, n.quorum()) {
		return
	}
	if n.role == asking {
		n.campaign(false)
	} else {
		n.win()
	}
}

// win begins to lead.
func (n *Node) win() {
	if n.disk.full {
		n.role = follower
		return
	}
	n.timeout.Stop()
	n.without = n.LeaderAge()
	n.role, n.votes = leader, nil
	n.believe(n.id)
	n.log.judge.elected(n)
	if f := n.log.cfg.Elected; f != nil {
		f(n.id, n.term)
	}
	n.leading = leading{from: n.entries.last() + 1, installs: map[fleet.RaftID][]time.Duration{}}
	n.follow()
	n.append(&entry{kind: kindNothing}, nil)
	n.tell(true)
	n.log.stir()
}
