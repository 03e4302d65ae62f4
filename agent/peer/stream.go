package peer

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/clock"
)

// stream is one host's stream at this voter: a goroutine that reads beats and
// one that writes frames.
type hostStream struct {
	host    fleet.HostID
	session uint64
	peer    trust.Peer
	conn    net.Conn
	clock   clock.Clock
	opened  time.Duration // monotonic

	heard    atomic.Int64 // monotonic, of the last byte
	suspect  atomic.Int64 // see arrivals
	starved  atomic.Bool
	clockOff atomic.Int64 // ms, the host's clock minus ours; see noClock
	woken    chan struct{}
	done     chan struct{} // closed by end, with why set
	once     sync.Once
	why      trust.Problem
	arrivals arrivals // of the reader only
	told     int64    // clockOff as the leader has it; of the hub only
	capacity atomic.Pointer[fleet.CapacityReport]
	reported *fleet.CapacityReport // capacity as the leader has it; of the hub only
}

// noClock is the offset of a clock that was not measured.
const noClock = math.MinInt64

func newStream(host fleet.HostID, session uint64, peer trust.Peer, conn net.Conn, c clock.Clock) *hostStream {
	s := &hostStream{host: host, session: session, peer: peer, conn: conn, clock: c, opened: c.Mono(),
		woken: make(chan struct{}, 1), done: make(chan struct{}), told: noClock}
	s.clockOff.Store(noClock)
	s.heard.Store(int64(s.opened))
	s.suspect.Store(int64(protocol.SuspectAfter))
	return s
}

func (s *hostStream) lastHeard() time.Duration    { return time.Duration(s.heard.Load()) }
func (s *hostStream) suspectAfter() time.Duration { return time.Duration(s.suspect.Load()) }

// nudge has the writer look at State.
func (s *hostStream) nudge() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// end has the writer say why and close; the first reason counts.
func (s *hostStream) end(why trust.Problem) {
	s.once.Do(func() {
		s.why = why
		close(s.done)
	})
}

// errHungUp is the host's own end of a stream.
var errHungUp = errors.New("the host hung up")

// read takes beats until the connection ends. It returns why.
func (s *hostStream) read(r *bufio.Reader, take func(fleet.CapacityReport)) error {
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(streamSilence)); err != nil {
			return errHungUp
		}
		var up stream.HostFrame
		if err := stream.ReadHostFrame(r, &up); err != nil {
			return err
		}
		now := s.clock.Mono()
		gap := now - s.lastHeard()
		s.arrivals.add(gap)
		if up.WallMs != 0 && inStep(gap) {
			s.clockOff.Store(offMs(up.WallMs, s.clock.Now()))
		}
		s.suspect.Store(int64(s.arrivals.suspectAfter()))
		s.heard.Store(int64(now))
		s.starved.Store(up.Starved)
		if up.Capacity == nil {
			continue
		}
		if up.Capacity.Host != s.host {
			return fmt.Errorf("capacity report of %s: %w", up.Capacity.Host, ErrForbidden)
		}
		up.Capacity.Clip()
		s.capacity.Store(up.Capacity)
		take(*up.Capacity)
	}
}

// inStep reports whether a beat came when it should have. One that was held up on
// the way, or that catches up after one, tells a time that has passed: an observer
// that stood still would find all clocks behind.
func inStep(gap time.Duration) bool {
	return gap >= protocol.HostBeat/2 && gap <= protocol.HostBeat*3/2
}

// offMs is how far a clock that tells wall is ahead of ours.
func offMs(wall int64, ours time.Time) int64 {
	most := maxClockOff.Milliseconds()
	at := ours.UnixMilli()
	return min(max(wall, at-most), at+most) - at
}

// write sends one frame; a host that does not take it in time loses its stream.
func (s *hostStream) write(d stream.VoterFrame) error {
	for _, part := range d.Pieces() {
		if err := s.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
			return err
		}
		if err := wire.WriteFrame(s.conn, part); err != nil {
			return err
		}
	}
	return nil
}

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
