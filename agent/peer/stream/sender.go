package stream

import (
	"slices"
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
	asked   uint64                  // the host's newest beat that is to be answered; 0: none
	watch   []fleet.TargetGroupName // as the host has it
}

// View is what a frame tells beside State.
type View struct {
	State     *fleet.State
	LeaderAge time.Duration // negative: no leader was heard
	Streams   int           // of this voter
	// Confirmed is how long ago State was confirmed to be the newest, taken before State;
	// negative: never.
	Confirmed time.Duration
	NoLeader  bool
	// Watch are the target groups of which hosts are to tell. It is shared, and goes with
	// the next frame, a beat at the latest.
	Watch []fleet.TargetGroupName
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

// Asked says that a beat of the host is to be answered.
func (s *Sender) Asked(beat uint64) { s.asked = beat }

// Due is when Next has a frame, at the latest.
func (s *Sender) Due() time.Duration {
	switch {
	case s.sending:
		return protocol.Never
	case s.asked != 0:
		return 0
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
	if now < s.beatAt && s.asked == 0 && !s.sent.due(v.State, h) {
		return nil, nil
	}
	// What the host does not know it need not skip: that it may is checked before
	// anything is placed there (State.NeedsFormat).
	f := s.sent.frame(v.State, h)
	if !slices.Equal(s.watch, v.Watch) {
		f.Watch, s.watch = &Watch{Groups: v.Watch}, v.Watch
	}
	f = fleet.AsRead(f, h.ReadsFormat())
	f.LeaderAgeMs, f.Streams = v.LeaderAge.Milliseconds(), v.Streams
	if s.asked != 0 {
		f.Lease, s.asked = v.answer(s.asked), 0
	}
	s.sending, s.beatAt = true, now+protocol.VoterBeat
	return &f, nil
}

// answer is what a host is told of its lease.
func (v View) answer(beat uint64) *LeaseWord {
	w := &LeaseWord{Beat: beat, AgeMs: -1, NoLeader: v.NoLeader}
	if v.Confirmed >= 0 {
		w.AgeMs = (v.Confirmed + time.Millisecond - 1).Milliseconds()
	}
	return w
}

// Sent says that the frame under way was taken.
func (s *Sender) Sent() { s.sending = false }
