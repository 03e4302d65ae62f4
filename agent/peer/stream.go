package peer

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/peer/stream"
	"skein/agent/plan"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/clock"
)

// hostStream is one host's stream at this voter: a goroutine that reads beats and
// one that writes frames.
type hostStream struct {
	host    fleet.HostID
	session uint64
	peer    trust.Peer
	conn    net.Conn
	clock   clock.Clock
	heard   *detector.Stream // of the hub, which guards it
	woken   chan struct{}
	asked   chan uint64   // the newest beat that is to be answered
	done    chan struct{} // closed by end, with why set
	once    sync.Once
	why     trust.Problem
}

func newStream(host fleet.HostID, session uint64, peer trust.Peer, conn net.Conn, c clock.Clock) *hostStream {
	return &hostStream{host: host, session: session, peer: peer, conn: conn, clock: c, woken: make(chan struct{}, 1),
		asked: make(chan uint64, 1), done: make(chan struct{})}
}

// nudge has the writer look at State.
func (s *hostStream) nudge() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// ask has the writer answer a beat, rather than an older one. For the reader only.
func (s *hostStream) ask(beat uint64) {
	select {
	case <-s.asked:
	default:
	}
	s.asked <- beat
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

// read gives beats to the hub of a port until the connection ends. It returns why.
func (s *hostStream) read(r *bufio.Reader, p *Port) error {
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(streamSilence)); err != nil {
			return errHungUp
		}
		var up stream.HostFrame
		if err := stream.ReadHostFrame(r, &up); err != nil {
			return err
		}
		if up.Capacity != nil {
			if up.Capacity.Host != s.host {
				return fmt.Errorf("capacity report of %s: %w", up.Capacity.Host, ErrForbidden)
			}
			up.Capacity.Clip()
		}
		beat := detector.Beat{WallMs: up.WallMs, Starved: up.Starved, Report: up.Capacity, Served: up.Served,
			Traffic: up.Traffic, Leaving: up.Leaving, Troubles: clipTroubles(up.Troubles)}
		if p.hub.beat(s, beat, p.state().ServedRoutes()) {
			p.detector.wake()
		}
		if up.Beat != 0 {
			p.hub.leaseAsked()
			s.ask(up.Beat)
		}
		if up.Capacity != nil {
			p.reported(*up.Capacity)
		}
	}
}

// clipTroubles bounds what a host says of entry addresses.
func clipTroubles(all []plan.EntryTrouble) []plan.EntryTrouble {
	all = all[:min(len(all), plan.MaxEntryTroubles)]
	for i := range all {
		all[i] = all[i].Clip()
	}
	return all
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
