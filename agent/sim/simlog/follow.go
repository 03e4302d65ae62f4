package simlog

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// word is what a leader sends: entries, or only that it leads.
type word struct {
	by             fleet.RaftID
	term           uint64
	prev, prevTerm uint64
	entries        []*entry
	commit         uint64
	round          uint64
}

// obey reports whether a sender leads, and takes it for the leader.
func (n *Node) obey(by fleet.RaftID, term uint64) bool {
	n.adopt(term)
	if term < n.term || n.role == leader {
		return n.log.cfg.Rules.TermsIgnored && n.role != leader
	}
	n.role = follower
	n.lost = n.log.time.Now()
	n.believe(by)
	n.look()
	return true
}

// hear takes in a leader's word.
func (n *Node) hear(m word) {
	if !n.obey(m.by, m.term) {
		n.reply(m.by, reply{term: n.term, match: m.prev})
		return
	}
	r := reply{term: m.term, round: m.round}
	term, known := n.entries.term(m.prev)
	switch {
	case m.prev < n.entries.base: // all of that is in the snapshot
		r.ok, r.match = true, n.entries.base
	case !known || term != m.prevTerm:
		r.match = min(n.entries.last(), m.prev-1)
		n.reply(m.by, r)
		return
	case n.disk.full && len(m.entries) > 0:
		return // the leader tries again
	default:
		r.ok, r.match = true, m.prev+uint64(len(m.entries))
		n.take(m)
	}
	n.commitTo(min(m.commit, r.match))
	if n.closed {
		return
	}
	n.acknowledge(m.by, r)
}

// acknowledge replies once all that it says is there is on disk, unless some of
// it is replaced before.
func (n *Node) acknowledge(to fleet.RaftID, r reply) {
	if r.match <= n.durable {
		n.reply(to, r)
		return
	}
	cuts := n.cuts
	n.disk.put(&write{done: func() {
		if n.cuts == cuts {
			n.reply(to, r)
		}
	}})
}

func (n *Node) reply(to fleet.RaftID, r reply) {
	r.by, r.commit = n.id, n.commit
	n.send(to, func(o *Node) { o.replied(r) })
}

// take puts entries into the log that are not there yet, in place of others.
func (n *Node) take(m word) {
	for i, e := range m.entries {
		if term, known := n.entries.term(e.index); known && term == e.term {
			continue
		}
		n.write(m.entries[i:])
		return
	}
}

// write puts entries into the log and on disk; what is there from the first on
// is replaced.
func (n *Node) write(list []*entry) {
	from := list[0].index
	if from <= n.entries.last() {
		n.log.judge.cut(n, from)
		n.entries.cut(from)
		for len(n.configs) > 0 && n.configs[len(n.configs)-1].index >= from {
			n.configs = n.configs[:len(n.configs)-1]
		}
		n.durable = min(n.durable, from-1)
		n.cuts++
	}
	n.entries.list = append(n.entries.list, list...)
	for _, e := range list {
		n.configure(e)
	}
	cuts, last := n.cuts, n.entries.last()
	w := &write{from: from, entries: list, hint: n.machine.applied, done: func() {
		if n.cuts == cuts {
			n.durable = max(n.durable, last)
			n.written()
		}
	}}
	if n.log.cfg.Shared {
		w.known = n.machine.state
	}
	n.disk.put(w)
}

// written goes on once more entries are on disk.
func (n *Node) written() {
	if n.role != leader {
		return
	}
	n.advance()
	for _, p := range n.leading.peers {
		n.replicate(p)
	}
}

// restore takes a snapshot from the leader in place of a log that lags.
func (n *Node) restore(by fleet.RaftID, term, round uint64, snap *snapshot) {
	if !n.obey(by, term) {
		n.reply(by, reply{term: n.term})
		return
	}
	r := reply{term: term, round: round, ok: true, match: snap.index}
	if snap.index <= n.commit {
		n.acknowledge(by, r)
		return
	}
	state, err := snap.open(n.reads)
	if err != nil {
		n.freeze(fmt.Errorf("%w: restore a snapshot: %w", ErrUnreadable, err))
		return
	}
	n.snap = snap
	n.entries = entries{base: snap.index, baseTerm: snap.term}
	n.configs = []config{{snap.index, snap.members}}
	n.durable, n.commit = 0, snap.index
	n.cuts++
	cuts := n.cuts
	n.disk.put(&write{snap: snap, reset: true, done: func() {
		if n.cuts == cuts {
			n.durable = max(n.durable, snap.index)
		}
	}})
	n.acknowledge(by, r)
	n.machine.restore(snap, state)
	n.log.stir()
}
