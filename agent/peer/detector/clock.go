package detector

import (
	"math"
	"time"

	"skein/agent/peer/protocol"
)

// noClock is the offset of a clock that was not measured, in ms.
const noClock = math.MinInt64

// inStep reports whether a beat came when it should have. One that was held up on
// the way, or that catches up after one, tells a time that has passed: an observer
// that stood still would find all clocks behind.
func inStep(gap time.Duration) bool {
	return gap >= protocol.HostBeat/2 && gap <= protocol.HostBeat*3/2
}

// OffMs is how far a clock that tells wall, in ms, is ahead of ours; bounded.
func OffMs(wall int64, ours time.Time) int64 {
	most := maxClockOff.Milliseconds()
	at := ours.UnixMilli()
	return min(max(wall, at-most), at+most) - at
}

// Off is a difference between clocks that somebody told in ms; bounded.
func Off(told int64) time.Duration {
	most := maxClockOff.Milliseconds()
	return ms(min(max(told, -most), most))
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
