package simlog

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// judge knows what no voter can: what all of them have done. It holds them to
// what Raft promises.
type judge struct {
	tell    func(name, detail string)
	told    map[string]bool
	leaders map[uint64]fleet.RaftID // by term

	// chosen are the numbers of the entries that are committed; the first is of
	// index base + 1.
	base   uint64
	chosen []uint64
	term   uint64 // in which the last of them was committed
}

// The promises.
const (
	OneLeader   = "one leader a term"
	HasAll      = "a leader has all that was committed"
	OneEntry    = "one entry an index"
	NeverUndone = "what is applied is never replaced"
)

// remembered is how many indices are held against a voter that lags.
const remembered = 1 << 17

func newJudge(tell func(name, detail string)) judge {
	return judge{tell: tell, told: map[string]bool{}, leaders: map[uint64]fleet.RaftID{}}
}

func (j *judge) broken(name, format string, args ...any) {
	if j.tell != nil && !j.told[name] {
		j.told[name] = true
		j.tell(name, fmt.Sprintf(format, args...))
	}
}

func (j *judge) top() uint64 { return j.base + uint64(len(j.chosen)) }

// elected judges a new leader.
func (j *judge) elected(n *Node) {
	if other, ok := j.leaders[n.term]; ok {
		j.broken(OneLeader, "%s and %s in term %d", other, n.id, n.term)
	}
	j.leaders[n.term] = n.id
	top := j.top()
	// Who wins late, in a term that is over, need not have what came after it.
	if top == 0 || top <= n.entries.base || n.term < j.term {
		return
	}
	if top > n.entries.last() {
		j.broken(HasAll, "%s leads term %d with entries up to %d, and %d is committed", n.id, n.term, n.entries.last(), top)
	} else if e := n.entries.at(top); e.number != j.chosen[top-j.base-1] {
		j.broken(HasAll, "%s leads term %d with another entry at %d, of term %d, than is committed", n.id, n.term, top,
			e.term)
	}
}

// committed judges an entry that a voter takes for committed; first is true for
// the first of them.
func (j *judge) committed(n *Node, e *entry) (first bool) {
	switch top := j.top(); {
	case e.index == top+1:
		j.chosen = append(j.chosen, e.number)
		j.term = max(j.term, n.term)
		if len(j.chosen) > 2*remembered {
			j.chosen = append([]uint64(nil), j.chosen[remembered:]...)
			j.base += remembered
		}
		return true
	case e.index > top:
		j.broken(OneEntry, "%s commits %d, and nobody has committed %d", n.id, e.index, top+1)
	case e.index > j.base && j.chosen[e.index-j.base-1] != e.number:
		j.broken(OneEntry, "%s commits an entry of term %d by %s at %d, where another one is committed", n.id, e.term,
			e.leader, e.index)
	}
	return false
}

// cut judges the loss of entries from index on.
func (j *judge) cut(n *Node, index uint64) {
	if index <= n.commit {
		j.broken(NeverUndone, "%s drops %d and has committed %d", n.id, index, n.commit)
	}
}
