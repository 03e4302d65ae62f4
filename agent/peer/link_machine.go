package peer

import (
	"errors"
	"fmt"
	"time"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// linkMachine decides which voter a host talks to, and what next. It is pure:
// each step takes the time, the voters known and one event, and returns what to
// do. Results come back as events that carry the attempt they belong to; those
// of an earlier attempt are ignored.
type linkMachine struct {
	self   fleet.HostID
	jitter func(time.Duration) time.Duration // 0 to its argument

	phase   linkPhase
	voter   fleet.HostID
	attempt uint64
	since   time.Duration // of the phase
	heard   time.Duration
	retryAt time.Duration

	session      uint64 // 0: none is open
	sessionTries int
	epoch, index uint64      // newest intent accepted
	synced       bool        // the whole part as of (epoch, index) was accepted in this session
	partial      *VoterFrame // parts of a frame that is not whole yet
	leaderAge    time.Duration
	streams      int // at the voter, for the spread after its loss

	passed map[fleet.HostID]*passedOver
}

type linkPhase uint8

const (
	linkIdle linkPhase = iota
	linkSession
	linkDialling
	linkUp
)

func (p linkPhase) String() string {
	return [...]string{"idle", "opening a session", "dialling", "up"}[p]
}

// passedOver is why a voter is not asked right now.
type passedOver struct {
	until time.Duration
	tries int
	stale time.Duration // its leader was old; asked only when all are
}

func newLinkMachine(self fleet.HostID, jitter func(time.Duration) time.Duration) *linkMachine {
	return &linkMachine{self: self, jitter: jitter, passed: map[fleet.HostID]*passedOver{}}
}

// step handles one event, then sees what is due.
func (m *linkMachine) step(now time.Duration, roster trust.Roster, event any) []any {
	var out []any
	switch e := event.(type) {
	case linkOpened:
		out = m.opened(now, e)
	case linkDialled:
		out = m.dialled(now, e)
	case linkFrame:
		out = m.frame(now, e)
		if m.phase == linkUp {
			return out // linkTaken follows at once: what was delivered counts first
		}
	case linkTaken:
		out = m.taken(now, e)
	case linkEnded:
		if e.attempt == m.attempt && m.phase == linkUp {
			out = m.lose(now, e.err)
		}
	case linkOldSession:
		if e.session == m.session && m.session != 0 {
			out = m.lose(now, fleet.ErrOldSession)
		}
	}
	return append(out, m.advance(now, roster)...)
}

// wake is when step wants a tick at the latest.
func (m *linkMachine) wake(now time.Duration) time.Duration {
	switch m.phase {
	case linkUp:
		return min(m.heard+VoterSilence+time.Millisecond, now+VoterBeat)
	case linkIdle:
		return max(m.retryAt, now+time.Millisecond)
	default:
		return now + VoterBeat
	}
}

func (m *linkMachine) opened(now time.Duration, e linkOpened) []any {
	if e.attempt != m.attempt || m.phase != linkSession {
		return nil
	}
	if e.err != nil {
		return m.lose(now, e.err)
	}
	m.enter(now, linkIdle)
	m.retryAt = now
	if e.grant.Session != m.session {
		m.session, m.synced = e.grant.Session, false
	}
	m.accept(e.grant.Epoch, e.grant.Index)
	return []any{doRoster{e.grant.Roster}, doSendAges{m.session}}
}

func (m *linkMachine) dialled(now time.Duration, e linkDialled) []any {
	if e.attempt != m.attempt || m.phase != linkDialling {
		return nil
	}
	if e.err != nil {
		return m.lose(now, e.err)
	}
	m.enter(now, linkUp)
	m.heard, m.leaderAge = now, 0
	return nil
}

func (m *linkMachine) frame(now time.Duration, e linkFrame) []any {
	if e.attempt != m.attempt || m.phase != linkUp {
		return nil
	}
	d := e.frame
	m.heard = now
	if d.Kind == KindClose {
		why := trust.Problem{Code: "malformed", Message: "the voter ended the stream without a reason"}
		if d.Why != nil {
			why = *d.Why
		}
		return m.lose(now, why.Err(codes))
	}
	if err := m.fits(d); err != nil {
		return m.lose(now, err)
	}
	if m.partial != nil {
		whole, err := m.partial.joined(d)
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
	m.streams, m.leaderAge = d.Streams, ms(d.LeaderAgeMs)
	var out []any
	if d.Roster != nil {
		out = append(out, doRoster{*d.Roster})
	}
	return append(out, doDeliver{attempt: m.attempt, frame: d})
}

// fits refuses what is older than what was accepted (I9) or of another session.
func (m *linkMachine) fits(d VoterFrame) error {
	switch {
	case d.Session != m.session:
		return fmt.Errorf("frame of session %d, ours is %d: %w", d.Session, m.session, ErrMalformed)
	case d.Epoch < m.epoch || d.Epoch == m.epoch && d.Index < m.index:
		return fmt.Errorf("frame of epoch %d index %d, accepted %d and %d: %w", d.Epoch, d.Index, m.epoch, m.index, ErrBehind)
	case d.Kind != KindSnapshot && !m.synced:
		return fmt.Errorf("no snapshot to begin with: %w", ErrMalformed)
	}
	return nil
}

func (m *linkMachine) taken(now time.Duration, e linkTaken) []any {
	if e.attempt != m.attempt || m.phase != linkUp {
		return nil
	}
	if e.err != nil {
		m.synced = false // begin again with a snapshot
		return m.lose(now, e.err)
	}
	if e.frame.Kind == KindSnapshot {
		m.synced = true
	}
	m.accept(e.frame.Epoch, e.frame.Index)
	delete(m.passed, m.voter)
	if now-m.since > homeAgain {
		m.sessionTries = 0
	}
	return nil
}

func (m *linkMachine) accept(epoch, index uint64) {
	if epoch > m.epoch || epoch == m.epoch && index > m.index {
		m.epoch, m.index = epoch, index
	}
}

// lose ends what is under way with the present voter because of err.
func (m *linkMachine) lose(now time.Duration, err error) []any {
	out := []any{doNote{voter: m.voter, err: err}}
	was := m.phase
	if was == linkUp {
		out = append(out, doClose{why: err})
	}
	if errors.Is(err, fleet.ErrOldSession) {
		m.session, m.synced = 0, false
		m.sessionTries++
	}
	m.passOver(now, err, was)
	m.enter(now, linkIdle)
	m.retryAt = now
	switch {
	case errors.Is(err, ErrCloned):
		m.retryAt += clonedPause // every voter would say the same
	case m.sessionTries > 0 && m.session == 0:
		// Perhaps another agent with our identity: do not fight over it.
		m.retryAt += m.backoff(m.sessionTries)
	case was == linkUp:
		m.retryAt += m.jitter(min(time.Duration(m.streams)*reconnectJitter, maxReconnectJitter))
	}
	return out
}

func (m *linkMachine) enter(now time.Duration, phase linkPhase) {
	m.phase, m.since, m.partial = phase, now, nil
}

// advance does what is due.
func (m *linkMachine) advance(now time.Duration, roster trust.Roster) []any {
	var out []any
	if m.phase == linkUp {
		out = m.reconsider(now, roster)
	}
	if m.phase != linkIdle || now < m.retryAt {
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
		m.enter(now, linkSession)
		return append(out, doOpen{attempt: m.attempt, voter: voter})
	}
	m.enter(now, linkDialling)
	at := position{epoch: m.epoch, index: m.index, session: m.session, resume: m.synced}
	return append(out, doDial{attempt: m.attempt, voter: voter, at: at})
}

// reconsider leaves a voter that is silent, or has heard no leader for long when
// another may have, or is this host itself when there is another.
func (m *linkMachine) reconsider(now time.Duration, roster trust.Roster) []any {
	if now-m.heard > VoterSilence {
		return m.lose(now, fmt.Errorf("no byte for %s: %w", VoterSilence, ErrNoVoter))
	}
	stale := m.leaderAge > StaleLeader || m.leaderAge < 0 && now-m.since > StaleLeader
	if stale && m.other(now, roster, true) {
		m.passedOf(m.voter).stale = now + staleFor
		return m.lose(now, fmt.Errorf("it has heard no leader for %s: %w", m.leaderAge, ErrNoLeader))
	}
	if m.voter == m.self && now-m.since > homeAgain && m.other(now, roster, false) {
		return m.lose(now, fmt.Errorf("a stream to oneself shows nobody a sign of life: %w", ErrTryOther))
	}
	return nil
}
