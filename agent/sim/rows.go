package sim

import (
	"crypto/sha256"
	"fmt"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// rows compares what voters have made of one log. What a voter has read from its disk,
// or was sent as a snapshot, is unproven until its rows have been compared with those
// of another voter at the same index.
type rows struct {
	w        *World
	first    *agent // of those that have applied the newest entry
	unproven map[fleet.RaftID]bool
	compared time.Duration
}

// rowsComparedEvery bounds how often States are compared: it reads all rows of both.
const rowsComparedEvery = 5 * time.Second

// opened says that a voter goes by what its disk holds.
func (r *rows) opened(id fleet.RaftID) {
	if !r.w.cfg.Large {
		r.unproven[id] = true
	}
}

// applied compares a voter with the first that came to the same index, if either is
// unproven.
func (r *rows) applied(a *agent) {
	w := r.w
	switch s := a.node.State(); {
	case s == w.truth:
		r.first = a
		return
	case r.first == nil || r.first.node == nil || s.Index() != w.truth.Index():
		return
	}
	id, other := a.node.ID(), r.first.node.ID()
	if !r.unproven[id] && !r.unproven[other] || w.time.Now() < r.compared+rowsComparedEvery {
		return
	}
	r.compared = w.time.Now()
	delete(r.unproven, id)
	delete(r.unproven, other)
	w.sometimes("the rows of a voter that was opened anew are compared")
	if hashOf(a.node.State()) != hashOf(w.truth) {
		w.watch.fail("rows", fmt.Sprintf("%s and %s have other rows at index %d, and one of them was opened anew", id, other,
			w.truth.Index()))
	}
}

// hashOf is the sum of all rows of a State.
func hashOf(s *fleet.State) [sha256.Size]byte {
	sum := sha256.New()
	if err := wire.WriteState(sum, s); err != nil {
		panic(fmt.Sprintf("sim: a State cannot be written: %v", err)) // the sum takes all
	}
	return [sha256.Size]byte(sum.Sum(nil))
}
