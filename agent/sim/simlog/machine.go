package simlog

import (
	"bytes"
	"errors"
	"fmt"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// machine is the State of one voter.
type machine struct {
	state       *fleet.State // never changed: each entry makes another
	before      *fleet.State // the last entry
	applied     uint64
	applying    bool
	subscribers []func(index uint64, t fleet.ChangeSet)
}

func newMachine(s *snapshot, state *fleet.State) machine {
	m := machine{state: state}
	if s != nil {
		m.applied = s.index
	}
	return m
}

// open is the State of a snapshot as a build reads it; an empty one where there is
// none. An error says that another build must read it.
func (s *snapshot) open(reads int) (*fleet.State, error) {
	switch {
	case s == nil:
		return fleet.New(), nil
	case s.data == nil && s.state.Fleet() != nil && s.state.Fleet().Format > reads:
		return nil, wire.ErrFormat
	case s.data == nil:
		return s.state, nil
	}
	state, err := wire.ReadStateAs(bytes.NewReader(s.data), reads)
	if err != nil && !errors.Is(err, wire.ErrFormat) {
		panic(fmt.Sprintf("simlog: a snapshot cannot be read: %v", err))
	}
	return state, err
}

// restore takes a State from the leader.
func (m *machine) restore(s *snapshot, state *fleet.State) {
	m.state, m.applied = state, s.index
	m.tell(m.state.Index(), fleet.FullChangeSet(m.state))
}

func (m *machine) tell(index uint64, t fleet.ChangeSet) {
	for _, call := range m.subscribers {
		call(index, t)
	}
}

// commitTo takes entries up to index for committed and applies them. There is
// never an index without its entry, but where a rule is broken.
func (n *Node) commitTo(index uint64) {
	n.commit = max(n.commit, min(index, n.entries.last()))
	m := &n.machine
	if m.applying { // called from inside: the loop below goes on
		return
	}
	m.applying = true
	defer func() { m.applying = false }()
	for m.applied < min(n.commit, n.entries.last()) && !n.closed {
		n.apply(n.entries.at(m.applied + 1))
	}
	n.snapshot()
}

// apply applies an entry, publishes, tells, and answers, in this order.
func (n *Node) apply(e *entry) {
	l, m := n.log, &n.machine
	if err := n.unreadable(e); err != nil {
		n.freeze(fmt.Errorf("apply entry %d: %w", e.index, err))
		return
	}
	first := l.judge.committed(n, e)
	if e.kind != kindCommand {
		m.applied = e.index
		n.answerFor(e, nil)
		return
	}
	p, known := l.past.get(e.index)
	if !known {
		p = m.apply(e)
	}
	m.before, m.state, m.applied = m.state, p.state, e.index
	if first {
		if l.cfg.Shared {
			l.past.add(e.index, p)
		}
		if f := l.cfg.Committed; f != nil {
			f(Commit{Index: e.index, Term: e.term, Leader: e.leader, Planned: e.planned, Entry: p.entry, Outcome: p.outcome,
				State: p.state})
		}
	}
	l.forget()
	m.tell(e.index, p.outcome.ChangeSet)
	n.answerFor(e, p.outcome.Results)
}

// unreadable is why this node's build must not apply an entry. Source:
// raftfsm/fleet/DESIGN.md "Formats".
func (n *Node) unreadable(e *entry) error {
	if e.kind != kindCommand || n.reads >= n.log.newest {
		return nil
	}
	decoded, err := wire.DecodeEntry(e.data)
	if err != nil {
		return err
	}
	gate := fleet.Gate{Kinds: n.log.cfg.Kinds}
	for _, item := range decoded.Items {
		if needs := gate.Needs(item.Command); needs > n.reads {
			return fmt.Errorf("%w: %s is of format %d, this build reads %d", ErrUnreadable, item.Command.Kind(), needs, n.reads)
		}
	}
	if format := n.machine.state.Outgrown(e.index, decoded, n.reads); format > 0 {
		return fmt.Errorf("%w: it raises the fleet to format %d, this build reads %d", ErrUnreadable, format, n.reads)
	}
	return nil
}

// freeze ends a node that cannot read on; its disk stays as it is.
func (n *Node) freeze(why error) {
	n.end(false)
	if f := n.log.cfg.Froze; f != nil {
		f(n.id, why)
	}
}

// forget drops what every living voter has applied.
func (l *Log) forget() {
	least := l.judge.top()
	for _, n := range l.order {
		least = min(least, n.machine.applied)
	}
	l.past.prune(least)
}

// apply decodes an entry and makes the next State.
func (m *machine) apply(e *entry) past {
	decoded, err := wire.DecodeEntry(e.data)
	if err != nil {
		panic(fmt.Sprintf("simlog: entry %d cannot be read: %v", e.index, err))
	}
	state := m.state.Clone()
	return past{state: state, entry: decoded, outcome: state.Apply(e.index, decoded)}
}

// snapshot takes one when it is time, and forgets entries well behind it.
func (n *Node) snapshot() {
	had := uint64(0)
	if n.snap != nil {
		had = n.snap.index
	}
	index := n.machine.applied
	if n.closed || index < had+uint64(n.log.cfg.SnapshotEvery) || index <= n.entries.base {
		return
	}
	s := &snapshot{index: index, state: n.machine.state}
	if n.log.cfg.Rules.SnapshotBehind && n.machine.before != nil {
		s.state = n.machine.before
	}
	s.term, _ = n.entries.term(index)
	for _, c := range n.configs {
		if c.index <= index {
			s.members = c.members
		}
	}
	if !n.log.cfg.Shared {
		var b bytes.Buffer
		if err := wire.WriteState(&b, s.state); err != nil {
			panic(fmt.Sprintf("simlog: a snapshot cannot be written: %v", err))
		}
		s.state, s.data = nil, b.Bytes()
	}
	trim := index - min(index, uint64(n.log.cfg.KeepEntries))
	n.snap = s
	n.entries.dropTo(trim)
	for len(n.configs) > 1 && n.configs[1].index <= n.entries.base {
		n.configs = n.configs[1:]
	}
	n.disk.put(&write{snap: s, trim: trim})
}

// past is what an entry came to.
type past struct {
	state   *fleet.State
	entry   fleet.Entry
	outcome fleet.Outcome
}

// history is what the newest entries came to, for the voters that follow.
type history struct {
	base uint64
	list []past // from index base; without a State where there was no command
}

// pastKept is how far a voter may lag and still find what others came to. A
// State that is kept costs what entries after it changed.
const pastKept = 1024

func (h *history) get(index uint64) (past, bool) {
	if index < h.base || index >= h.base+uint64(len(h.list)) || h.list[index-h.base].state == nil {
		return past{}, false
	}
	return h.list[index-h.base], true
}

func (h *history) add(index uint64, p past) {
	if len(h.list) == 0 {
		h.base = index
	}
	for h.base+uint64(len(h.list)) < index {
		h.list = append(h.list, past{})
	}
	h.list = append(h.list, p)
}

// prune forgets what everybody has applied.
func (h *history) prune(upTo uint64) {
	end := h.base + uint64(len(h.list))
	upTo = max(upTo+1, end-min(end, pastKept))
	if upTo <= h.base || len(h.list) == 0 {
		return
	}
	n := min(upTo-h.base, uint64(len(h.list)))
	clear(h.list[:n])
	h.list, h.base = h.list[n:], h.base+n
}
