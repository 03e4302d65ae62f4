package detector

import (
	"time"

	"skein/agent/peer/protocol"
)

// arrivals measures how late a host's beats come, to be slower to suspect a host
// whose beats are late anyway. It keeps the third largest
// gap of the last 5 to 10 minutes, about the 99.9th percentile of its beats:
// single outages do not count.
type arrivals struct {
	now, before [3]time.Duration // largest gaps, descending
	seen        int
}

// arrivalWindow is 5 minutes of beats.
const arrivalWindow = 1200

func (a *arrivals) add(gap time.Duration) {
	if a.seen++; a.seen > arrivalWindow {
		a.before, a.now, a.seen = a.now, [3]time.Duration{}, 1
	}
	for i, g := range a.now {
		if gap > g {
			copy(a.now[i+1:], a.now[i:2])
			a.now[i] = gap
			return
		}
	}
}

// suspectAfter is SuspectAfter for a host whose beats are on time: 250 ms, the
// beat itself, and four times what they are late.
func (a *arrivals) suspectAfter() time.Duration {
	late := max(a.now[2], a.before[2]) - protocol.HostBeat
	return min(max(protocol.SuspectAfter, protocol.HostBeat+4*late), maxSuspectAfter)
}
