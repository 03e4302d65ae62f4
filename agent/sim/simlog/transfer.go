package simlog

import (
	"time"

	"skein/raftfsm/fleet"
)

// handing is a transfer of leadership under way: nothing is proposed meanwhile.
type handing struct {
	to   fleet.RaftID
	sent bool
	by   time.Duration
	done func(error)
}

// Transfer hands leadership to the voter that has most, and answers once this
// node leads no more, or with an error.
func (n *Node) Transfer(done func(error)) {
	n.call("transfer leadership", done, n.notLeading, n.transfer)
}

func (n *Node) transfer(done func(error)) {
	p := n.successor()
	if p == nil {
		n.after(0, func() { done(errNobody) })
		return
	}
	n.leading.handing = &handing{to: p.id, by: n.log.time.Now() + n.log.cfg.Election, done: done}
	n.after(n.log.cfg.Election, n.expire)
	n.handOn()
}

// successor is the peer to hand over to, if there is one.
func (n *Node) successor() (best *peer) {
	for _, p := range n.leading.peers {
		if n.voting(p.id) && n.log.reach(n, p.id) && (best == nil || p.match > best.match) {
			best = p
		}
	}
	return best
}

// handOn has the successor stand for election once it has everything.
func (n *Node) handOn() {
	h := n.leading.handing
	if n.role != leader || h == nil || h.sent {
		return
	}
	if p := n.peer(h.to); p != nil && p.match == n.entries.last() {
		h.sent = true
		n.elect(h.to)
	}
}

func (n *Node) elect(id fleet.RaftID) {
	term := n.term
	n.send(id, func(o *Node) {
		if o.term == term && o.role != leader && o.mayLead() {
			o.timeout.Stop()
			o.campaign(true)
		}
	})
}

// handOver gives leadership away because the disk is full, and tries again as
// long as it is.
func (n *Node) handOver() {
	if n.closed || n.role != leader || !n.disk.full {
		return
	}
	term := n.term
	n.after(transferEvery, func() {
		if n.term == term {
			n.handOver()
		}
	})
	if n.leading.handing == nil {
		n.transfer(func(error) {})
	}
}

// transferEvery is how often a leader with a full disk tries to hand over.
const transferEvery = time.Minute
