package fleet

import "time"

// Stamper makes the stamps of one proposer, so that fleet time goes on whatever
// its wall clock does. State never lets time go back: after a clock was ahead and
// was set right, the wall clock is behind fleet time, and stamps of it would make
// fleet time stand still, with every deadline in it, until the wall clock has
// caught up. Until then a Stamper goes on from what State has by the proposer's
// monotonic clock, at half its pace: deadlines come late, and the wall clock
// catches up.
//
// The zero value is ready for use; not safe for concurrent use.
type Stamper struct {
	from Time          // fleet time at the moment...
	at   time.Duration // ...by the monotonic clock; from 0: the wall clock leads
}

// Stamp is fleet time now: now is that of State, wall and mono are the proposer's
// clocks.
func (s *Stamper) Stamp(now, wall Time, mono time.Duration) Time {
	if wall >= now {
		s.from = 0
		return wall
	}
	// What State has may be a stamp of ours; what is above it is somebody else's.
	if s.from == 0 || now > s.from.Add((mono-s.at)/2) {
		s.from, s.at = now, mono
	}
	return s.from.Add((mono - s.at) / 2)
}
