// Package relay knows the way from a voter to the leader. Usually that is the link to
// it. A voter whose link is cut, or whose log stalls so that it does not know who leads,
// asks the other voters how far they are, and goes through the nearest.
//
// It holds the rules only: when others are asked, which way is taken, and how many calls
// are left on it. The peer port and the simulator make the calls; what is brought to
// the leader is theirs.
package relay

import (
	"fmt"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

const (
	// MaxAway bounds how far a voter may be from the leader: the leader is 1 away
	// from whoever asks, a voter with a link to it 2, and two others may stand in
	// between. In a fleet of three voters 3 is the most.
	MaxAway = 4
	// Kept is how long a way to the leader counts after it was last seen to work.
	Kept = time.Second
	// AskEvery is how often a voter without a link to the leader looks for
	// another way, and AskFor bounds one question.
	AskEvery = 250 * time.Millisecond
	AskFor   = 500 * time.Millisecond
)

// Relay is what one voter knows of its way to the leader.
//
// Not safe for concurrent use. The zero value knows no way.
type Relay struct {
	leader  fleet.HostID  // that answered last
	heard   time.Duration // when it did
	through fleet.HostID  // the voter to go through; empty for none
	away    int           // of the leader, through that voter
	found   time.Duration // when it said so
	again   time.Duration // not to ask before
	asking  bool
}

// Place is what a voter's log says of the leader.
type Place struct {
	Self   fleet.HostID
	Leads  bool         // this voter does
	Leader fleet.HostID // empty when the log knows none
}

// Word is how far a voter says that it is from the leader; see Away.
type Word struct {
	Voter fleet.HostID
	Away  int
}

// Hop is whom to call next, and what it may do.
type Hop struct {
	To      fleet.HostID
	Through bool // it is not known to lead: it passes on what it is told
	Left    int  // calls that it may make: none where it is called as the leader
}

// Hear notes that the leader has answered.
func (r *Relay) Hear(now time.Duration, leader fleet.HostID) {
	r.leader, r.heard, r.through = leader, now, ""
}

// linked reports whether the leader has answered this voter within Kept.
func (r *Relay) linked(now time.Duration, at Place) bool {
	return at.Leader != "" && r.leader == at.Leader && now-r.heard < Kept
}

// way is the voter to go through, and how far the leader is that way.
func (r *Relay) way(now time.Duration) (through fleet.HostID, away int, ok bool) {
	return r.through, r.away, r.through != "" && now-r.found < Kept
}

// Away is how many calls it takes a voter that asks to reach the leader through this
// one; 0 when this voter knows no way, or only one through the voter that asks, so that
// nothing circles.
func (r *Relay) Away(now time.Duration, at Place, asker fleet.HostID) int {
	if at.Leads {
		return 1
	}
	if r.linked(now, at) {
		return 2
	}
	if through, away, ok := r.way(now); ok && through != asker && away < MaxAway {
		return away + 1
	}
	return 0
}

// Ask reports whether the other voters are to be asked now how far they are. Answered is
// to follow.
func (r *Relay) Ask(now time.Duration, at Place) bool {
	if at.Leads || r.linked(now, at) || r.asking || now < r.again {
		return false
	}
	r.asking, r.again = true, now+AskEvery
	return true
}

// Answered notes the nearest of those that answered, if it is near enough. Of several
// the first by name is taken, so that voters choose alike.
func (r *Relay) Answered(now time.Duration, words []Word) {
	r.asking = false
	var best Word
	for _, w := range words {
		if w.Away <= 0 || w.Away > MaxAway {
			continue
		}
		if best.Away == 0 || w.Away < best.Away || w.Away == best.Away && w.Voter < best.Voter {
			best = w
		}
	}
	if best.Away > 0 {
		r.through, r.away, r.found = best.Voter, best.Away, now
	}
}

// Next is whom to call with what only the leader does, with at most so many calls until
// it is there. ErrNotLeader when none is left, ErrNoLeader when no way is known; nothing
// was asked of anybody then.
func (r *Relay) Next(now time.Duration, at Place, calls int) (Hop, error) {
	if calls <= 0 {
		return Hop{}, fmt.Errorf("%s does not lead, and may call nobody who does: %w", at.Self, protocol.ErrNotLeader)
	}
	known := at.Leader != "" && at.Leader != at.Self
	if known && r.linked(now, at) {
		return Hop{To: at.Leader}, nil
	}
	if through, _, ok := r.way(now); ok && through != at.Leader {
		return Hop{To: through, Through: true, Left: calls - 1}, nil
	}
	if known {
		return Hop{To: at.Leader}, nil
	}
	return Hop{}, protocol.ErrNoLeader
}

// Moved reports whether a call that is under way would go another way now, so that its
// answer is not waited for: another leads, or the leader answers no more and another
// voter is the way. One through a voter goes on when the link works again: it has
// passed the cut.
func (r *Relay) Moved(now time.Duration, at Place, hop Hop) bool {
	if !hop.Through && at.Leader != "" && at.Leader != hop.To {
		return true
	}
	through, _, ok := r.way(now)
	return ok && through != hop.To && !r.linked(now, at)
}

// CheckLeft refuses a bound that no voter of the fleet sets.
func CheckLeft(left int) error {
	if left < 0 || left > MaxAway {
		return fmt.Errorf("%d calls left, at most %d: %w", left, MaxAway, protocol.ErrMalformed)
	}
	return nil
}
