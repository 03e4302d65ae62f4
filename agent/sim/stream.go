package sim

import (
	"time"

	"skein/agent/peer/link"
	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/agent/sim/virtual"
	"skein/agent/trust"
)

// voterStream runs a voter's end of a host's stream over the simulated network.
type voterStream struct {
	voter   *agent
	to      *agent
	attempt uint64
	session uint64
	sender  *stream.Sender
	opened  bool // the host has the answer to its dial, before which no frame comes on a connection
	sending bool
	timer   *virtual.Timer
	closed  bool
}

// changed says that State has changed for the host.
func (s *voterStream) changed() {
	s.sender.Changed()
	s.arm()
}

// arm sends what is due soon. Beats are not: see hostLink.
func (s *voterStream) arm() {
	now := s.voter.w.time.Now()
	if due := s.sender.Due(); due <= now+stream.Coalesce && s.opened && !s.closed {
		s.timer.Stop()
		s.timer = s.voter.life.After(max(0, due-now)+s.voter.w.chance.Between(0, time.Millisecond), s.push)
	}
}

// push sends what is due.
func (s *voterStream) push() {
	f := s.next()
	if f == nil {
		return
	}
	s.sending = true
	s.send(*f)
}

// next is the frame that is due, or nil.
func (s *voterStream) next() *stream.VoterFrame {
	if s.closed || !s.opened || s.sending || s.voter.node == nil || s.voter.life.Over() {
		return nil
	}
	f, err := s.sender.Next(s.voter.w.time.Now(), stream.View{
		State: s.voter.node.State(), LeaderAge: s.voter.leaderAge(), Streams: len(s.voter.serves.streams),
	})
	if err != nil {
		s.end(err)
		return nil
	}
	if f == nil {
		s.arm()
	}
	return f
}

// beat brings the beat that a stream which flows has brought by now.
func (s *voterStream) beat() {
	f := s.next()
	switch {
	case f == nil:
	case f.Kind == stream.KindBeat:
		s.sender.Sent()
		s.to.link.frame(s, *f)
	default:
		s.sending = true
		s.send(*f)
	}
}

// send sends a frame; the next goes out when it has arrived.
func (s *voterStream) send(f stream.VoterFrame) {
	a, w := s.to, s.voter.w
	f = read(w, f, s.voter.build, a.build)
	w.net.Carry(s.voter.id, a.id, func() {
		if s.closed || a.life.Over() {
			return
		}
		a.link.frame(s, f)
		s.staleAgain(f)
		w.net.Carry(a.id, s.voter.id, s.sent)
	})
}

// staleAgain delivers a frame once more, when it is old.
func (s *voterStream) staleAgain(f stream.VoterFrame) {
	w, a := s.voter.w, s.to
	if !w.chance.Is(w.cfg.Tuning.StaleFrame) {
		return
	}
	a.life.After(w.chance.Between(time.Second, time.Minute), func() {
		w.sometimes("an old frame comes again")
		_ = a.link.deliverAs(f) // a refusal is what is hoped for
	})
}

// sent goes on after a frame, at the voter.
func (s *voterStream) sent() {
	if s.closed {
		return
	}
	s.sending = false
	s.sender.Sent()
	if s.voter.w.chance.Is(s.voter.w.cfg.Tuning.StreamCut) {
		s.voter.w.sometimes("a stream breaks after a frame")
		s.end(errNoAnswer)
		return
	}
	s.arm()
}

// end ends the stream and tells the host why.
func (s *voterStream) end(why error) {
	s.close()
	s.voter.w.detectors.Cut(s.to.id, s.voter.id)
	problem, _ := trust.ProblemOf(why, protocol.Codes)
	a := s.to
	s.voter.w.net.Carry(s.voter.id, a.id, func() {
		if !a.life.Over() {
			a.link.frame(s, stream.VoterFrame{Kind: stream.KindClose, Why: &problem, LeaderAgeMs: -1})
		}
	})
	// If that word gets lost, the silence tells.
	a.life.After(link.VoterSilence, a.link.look)
}

// close ends the stream at this end; closing twice, or nil, is harmless.
func (s *voterStream) close() {
	if s != nil && !s.closed {
		s.closed = true
		s.timer.Stop()
		s.voter.serves.forget(s)
	}
}
