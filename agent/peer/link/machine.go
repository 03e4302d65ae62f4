package link

import (
	"errors"
	"fmt"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// Machine decides which voter a host talks to, and what next. Each step takes the
// time, the voters known and one event, and returns what to do. Results come back
// as events that carry the attempt they belong to; those of an earlier attempt
// are ignored.
type Machine struct {
	self   fleet.HostID
	jitter func(time.Duration) time.Duration // 0 to its argument

	phase   phase
	voter   fleet.HostID // that is asked, or was last
	left    fleet.HostID // the voter that was lost last
	attempt uint64
	since   time.Duration // of the phase
	heard   time.Duration
	retryAt time.Duration

	session      uint64 // 0: none is open
	sessionTries int
	epoch, index uint64             // newest intent accepted
	synced       bool               // the whole part as of (epoch, index) was accepted in this session
	served       fleet.Served       // what frames brought and this host has taken
	partial      *stream.VoterFrame // parts of a frame that is not whole yet
	leaderAge    time.Duration
	streams      int // at the voter, for the spread after its loss

	passed map[fleet.HostID]*passedOver
}

type phase uint8

const (
	phaseIdle phase = iota
	phaseSession
	phaseDialling
	phaseUp
)

func (p phase) String() string {
	return [...]string{"idle", "opening a session", "dialling", "up"}[p]
}

// passedOver is why a voter is not asked right now.
type passedOver struct {
	until  time.Duration
	failed time.Duration // when it failed last
	tries  int
	stale  time.Duration // its leader was old; asked only when all are
}

// Status is how a link stands.
type Status struct {
	Up           bool
	Voter        fleet.HostID  // streamed from, or asked last
	Session      uint64        // 0: none is open
	Left         fleet.HostID  // the voter that was lost last
	Epoch, Index uint64        // newest intent accepted
	Served       fleet.Served  // zero until a frame was taken
	Heard        time.Duration // of the last frame, while Up
	LeaderAge    time.Duration // as of then; negative: the voter knows no leader
}

// NewMachine makes the link of a host that accepts nothing older than a place in
// the log. jitter draws from 0 to its argument.
func NewMachine(self fleet.HostID, epoch, index uint64, jitter func(time.Duration) time.Duration) *Machine {
	return &Machine{self: self, jitter: jitter, epoch: epoch, index: index, passed: map[fleet.HostID]*passedOver{}}
}

// Status is how the link stands now.
func (m *Machine) Status() Status {
	return Status{Up: m.phase == phaseUp, Voter: m.voter, Left: m.left, Session: m.session,
		Epoch: m.epoch, Index: m.index, Served: m.served, Heard: m.heard, LeaderAge: m.leaderAge}
}

// Step handles one event, then sees what is due.
func (m *Machine) Step(now time.Duration, roster trust.Roster, event Event) []Effect {
	var out []Effect
	switch e := event.(type) {
	case SessionOpened:
		out = m.opened(now, e)
	case Dialled:
		out = m.dialled(now, e)
	case FrameCame:
		out = m.frame(now, e)
		if m.phase == phaseUp {
			return out // FrameTaken follows at once: what was delivered counts first
		}
	case FrameTaken:
		out = m.taken(now, e)
	case StreamEnded:
		if e.Attempt == m.attempt && m.phase == phaseUp {
			out = m.lose(now, e.Err)
		}
	case SessionEnded:
		if e.Session == m.session && m.session != 0 {
			out = m.lose(now, fleet.ErrOldSession)
		}
	}
	return append(out, m.advance(now, roster)...)
}

// Wake is when Step wants a tick at the latest.
func (m *Machine) Wake(now time.Duration) time.Duration {
	switch m.phase {
	case phaseUp:
		return min(m.heard+VoterSilence+time.Millisecond, now+protocol.VoterBeat)
	case phaseIdle:
		return max(m.retryAt, now+time.Millisecond)
	default:
		return now + protocol.VoterBeat
	}
}

func (m *Machine) opened(now time.Duration, e SessionOpened) []Effect {
	if e.Attempt != m.attempt || m.phase != phaseSession {
		return nil
	}
	if e.Err != nil {
		return m.lose(now, e.Err)
	}
	m.enter(now, phaseIdle)
	m.retryAt = now
	if e.Grant.Session != m.session {
		m.session, m.synced = e.Grant.Session, false
	}
	m.accept(e.Grant.Epoch, e.Grant.Index)
	return []Effect{KeepRoster{e.Grant.Roster}, TellSession{m.session}}
}

func (m *Machine) dialled(now time.Duration, e Dialled) []Effect {
	if e.Attempt != m.attempt || m.phase != phaseDialling {
		return nil
	}
	if e.Err != nil {
		return m.lose(now, e.Err)
	}
	m.enter(now, phaseUp)
	m.heard, m.leaderAge = now, 0
	return nil
}

func (m *Machine) frame(now time.Duration, e FrameCame) []Effect {
	if e.Attempt != m.attempt || m.phase != phaseUp {
		return nil
	}
	d := e.Frame
	m.heard = now
	if d.Kind == stream.KindClose {
		why := trust.Problem{Code: "malformed", Message: "the voter ended the stream without a reason"}
		if d.Why != nil {
			why = *d.Why
		}
		return m.lose(now, why.Err(protocol.Codes))
	}
	if err := m.fits(d); err != nil {
		return m.lose(now, err)
	}
	if m.partial != nil {
		whole, err := m.partial.Joined(d)
		if err != nil {
			return m.lose(now, err)
		}
		d = whole
	}
	m.partial = nil
	if d.More {
		m.partial = &d
		return nil
	}
	m.streams, m.leaderAge = d.Streams, d.LeaderAge()
	var out []Effect
	if d.Roster != nil {
		out = append(out, KeepRoster{*d.Roster})
	}
	return append(out, Deliver{Attempt: m.attempt, Frame: d})
}

// fits refuses what is older than what was accepted (I9) or of another session.
func (m *Machine) fits(d stream.VoterFrame) error {
	switch {
	case d.Session != m.session:
		return fmt.Errorf("frame of session %d, ours is %d: %w", d.Session, m.session, protocol.ErrMalformed)
	case d.Epoch < m.epoch || d.Epoch == m.epoch && d.Index < m.index:
		return fmt.Errorf("frame of epoch %d index %d, accepted %d and %d: %w", d.Epoch, d.Index, m.epoch, m.index,
			protocol.ErrBehind)
	case !d.Complete() && !m.synced:
		return fmt.Errorf("no snapshot to begin with: %w", protocol.ErrMalformed)
	}
	return nil
}

func (m *Machine) taken(now time.Duration, e FrameTaken) []Effect {
	if e.Attempt != m.attempt || m.phase != phaseUp {
		return nil
	}
	if e.Err != nil {
		m.synced = false // begin again with a snapshot
		return m.lose(now, e.Err)
	}
	if e.Frame.Complete() {
		m.synced = true
	}
	m.accept(e.Frame.Epoch, e.Frame.Index)
	m.served = fleet.ServedAt(e.Frame.Epoch, e.Frame.Index)
	delete(m.passed, m.voter)
	if now-m.since > HomeAgain {
		m.sessionTries = 0
	}
	return nil
}

func (m *Machine) accept(epoch, index uint64) {
	if epoch > m.epoch || epoch == m.epoch && index > m.index {
		m.epoch, m.index = epoch, index
	}
}

// lose ends what is under way with the present voter because of err.
func (m *Machine) lose(now time.Duration, err error) []Effect {
	m.left = m.voter
	out := []Effect{Note{Voter: m.voter, Err: err}}
	was := m.phase
	if was == phaseUp {
		out = append(out, HangUp{Why: err})
	}
	if errors.Is(err, protocol.ErrNotHere) {
		out = append(out, AskRoster{m.voter})
	}
	if errors.Is(err, fleet.ErrOldSession) {
		m.session, m.synced = 0, false
		m.sessionTries++
	}
	m.passOver(now, err, was)
	m.enter(now, phaseIdle)
	m.retryAt = now
	switch {
	case errors.Is(err, protocol.ErrCloned):
		m.retryAt += clonedPause // every voter would say the same
	case m.sessionTries > 0 && m.session == 0:
		// Perhaps another agent with our identity: do not fight over it.
		m.retryAt += m.backoff(m.sessionTries)
	case was == phaseUp:
		m.retryAt += m.jitter(min(time.Duration(m.streams)*reconnectJitter, maxReconnectJitter))
	}
	return out
}

func (m *Machine) enter(now time.Duration, phase phase) {
	m.phase, m.since, m.partial = phase, now, nil
}

// advance does what is due.
func (m *Machine) advance(now time.Duration, roster trust.Roster) []Effect {
	var out []Effect
	if m.phase == phaseUp {
		out = m.reconsider(now, roster)
	}
	if m.phase != phaseIdle || now < m.retryAt {
		return out
	}
	voter, ok := m.choose(now, roster)
	if !ok {
		m.retryAt = m.nextChance(now, roster)
		return out
	}
	m.voter = voter
	m.attempt++
	if m.session == 0 {
		m.enter(now, phaseSession)
		return append(out, OpenSession{Attempt: m.attempt, Voter: voter})
	}
	m.enter(now, phaseDialling)
	at := stream.Position{Epoch: m.epoch, Index: m.index, Session: m.session, Resume: m.synced}
	return append(out, Dial{Attempt: m.attempt, Voter: voter, At: at})
}

// reconsider leaves a voter that is silent, or has heard no leader for long when
// another may have, or is this host itself when there is another.
func (m *Machine) reconsider(now time.Duration, roster trust.Roster) []Effect {
	if now-m.heard > VoterSilence {
		return m.lose(now, fmt.Errorf("no byte for %s: %w", VoterSilence, protocol.ErrNoVoter))
	}
	stale := m.leaderAge > StaleLeader || m.leaderAge < 0 && now-m.since > StaleLeader
	if stale && m.other(now, roster, true) {
		m.passedOf(m.voter).stale = now + staleFor
		return m.lose(now, fmt.Errorf("%s: %w", leaderless(m.leaderAge), protocol.ErrNoLeader))
	}
	if m.voter == m.self && now-m.since > HomeAgain && m.other(now, roster, false) {
		return m.lose(now, fmt.Errorf("a stream to oneself shows nobody a sign of life: %w", protocol.ErrTryOther))
	}
	return nil
}

// leaderless says for how long a voter has heard no leader.
func leaderless(age time.Duration) string {
	if age < 0 {
		return "it has heard no leader since it started"
	}
	return fmt.Sprintf("it has heard no leader for %s", age.Round(time.Millisecond))
}
