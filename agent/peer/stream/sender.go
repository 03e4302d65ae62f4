package stream

import (
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// Sender is a voter's end of one host's stream. It is pure: time is monotonic and
// comes with each call. Not safe for concurrent use.
type Sender struct {
	host    fleet.HostID
	session uint64
	sent    ledger
	sending bool          // a frame is under way
	changed bool          // State may have changed for the host since the last frame
	settled time.Duration // changes gather until then
	beatAt  time.Duration
}

// View is what a frame tells beside State.
type View struct {
	State     *fleet.State
	LeaderAge time.Duration // negative: no leader was heard
	Streams   int           // of this voter
}

// NewSender makes the end of a stream whose host is at a position; the first
// frame is due at once.
func NewSender(host fleet.HostID, st *fleet.State, at Position) *Sender {
	s := &Sender{host: host, session: at.Session}
	if at.Resume {
		s.sent.resume(st, host, at)
	}
	return s
}

// Changed says that State has changed for the host.
func (s *Sender) Changed() { s.changed = true }

// Due is when Next has a frame, at the latest.
func (s *Sender) Due() time.Duration {
	switch {
	case s.sending:
		return protocol.Never
	case s.changed:
		return min(s.settled, s.beatAt)
	}
	return s.beatAt
}

// Next is the frame to send now, or nil. The caller sends it and says when it was
// taken (see Sent). An error is why the stream ends.
func (s *Sender) Next(now time.Duration, v View) (*VoterFrame, error) {
	if now < s.Due() {
		return nil, nil
	}
	if err := Reached(v.State, s.host,
		Position{Epoch: s.sent.epoch, Index: s.sent.index, Session: s.session}); err != nil {
		return nil, err
	}
	h := v.State.Host(s.host)
	changed := s.changed
	s.changed = false
	if changed {
		s.settled = now + Coalesce
	}
	if now < s.beatAt && !s.sent.due(v.State, h) {
		return nil, nil
	}
	// What the host does not know it need not skip: that it may is checked before
	// anything is placed there (State.NeedsFormat).
	f := fleet.AsRead(s.sent.frame(v.State, h), h.ReadsFormat())
	f.LeaderAgeMs, f.Streams = v.LeaderAge.Milliseconds(), v.Streams
	s.sending, s.beatAt = true, now+protocol.VoterBeat
	return &f, nil
}

// Sent says that the frame under way was taken.
func (s *Sender) Sent() { s.sending = false }
