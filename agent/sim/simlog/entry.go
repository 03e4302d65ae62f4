package simlog

import (
	"slices"

	"skein/raftfsm/fleet"
)

type kind uint8

const (
	kindNothing kind = iota // a leader's first entry, or a barrier
	kindCommand
	kindMembers
)

// entry is an entry of the log. It is never changed once made, so that all
// voters hold the same one.
type entry struct {
	index, term uint64
	number      uint64 // of all entries ever made: what it is known by
	kind        kind
	data        []byte   // of a command, as on the wire
	members     []Member // by id
	leader      fleet.RaftID
	planned     uint64
}

// entries are consecutive entries behind a base, whose index and term are known.
type entries struct {
	base, baseTerm uint64
	list           []*entry
}

func (e *entries) last() uint64 { return e.base + uint64(len(e.list)) }

func (e *entries) lastTerm() uint64 {
	term, _ := e.term(e.last())
	return term
}

// term is that of an index; false where it is not known.
func (e *entries) term(index uint64) (uint64, bool) {
	switch {
	case index == e.base:
		return e.baseTerm, true
	case index < e.base || index > e.last():
		return 0, false
	}
	return e.list[index-e.base-1].term, true
}

// at is the entry of an index, which must be there.
func (e *entries) at(index uint64) *entry { return e.list[index-e.base-1] }

// between are the entries from one index to another, both included.
func (e *entries) between(from, to uint64) []*entry {
	return slices.Clone(e.list[from-e.base-1 : to-e.base])
}

// cut drops the entries from index on.
func (e *entries) cut(index uint64) {
	if index <= e.last() {
		keep := max(index, e.base+1) - e.base - 1
		clear(e.list[keep:])
		e.list = e.list[:keep]
	}
}

// dropTo forgets the entries up to index.
func (e *entries) dropTo(index uint64) {
	if index <= e.base || index > e.last() {
		return
	}
	e.baseTerm, _ = e.term(index)
	e.list = slices.Clone(e.list[index-e.base:])
	e.base = index
}

func (e *entries) clone() entries {
	return entries{e.base, e.baseTerm, slices.Clone(e.list)}
}

// snapshot is a State with its place in the log.
type snapshot struct {
	index, term uint64
	members     []Member
	state       *fleet.State // in a shared log
	data        []byte       // in one that is not
}
