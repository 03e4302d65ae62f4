package effects

import (
	"time"

	"skein/raftfsm/fleet"
)

// Inbox is a host's rules about requests: which begin a run, and what the others are
// answered. It is one life of the agent: whatever ran in an earlier one has ended with
// it, and is told by its session. Not safe for concurrent use. See NewInbox.
type Inbox struct {
	knows   func(kind string) bool
	fence   Fence
	session uint64 // 0: none was opened
	runs    map[fleet.EffectID]*run
	running int
}

// run is the newest attempt of an effect that this host began.
type run struct {
	attempt int
	over    bool
	at      time.Duration // when it ended
	answer  Answer
}

// NewInbox returns an Inbox of an agent without a session. knows reports whether there
// is a runner for a kind.
func NewInbox(knows func(kind string) bool) *Inbox {
	return &Inbox{knows: knows, runs: map[fleet.EffectID]*run{}}
}

// Opened takes note of the session that the agent has from now on. Nothing that runs
// was handed in it: the runs are to be ended, since others may be handed elsewhere.
func (b *Inbox) Opened(session uint64) (end []fleet.EffectID) {
	if session == b.session {
		return nil
	}
	b.session = session
	for id, r := range b.runs {
		if !r.over {
			end = append(end, id)
		}
	}
	return end
}

// Take decides about a request. Where begin is true, the caller begins the run and says
// when it has ended; else the answer is what there is to say now.
func (b *Inbox) Take(now time.Duration, wall fleet.Time, r Request) (begin bool, a Answer) {
	if r.Fence.Before(b.fence) {
		return false, Answer{Refusal: OlderLeader}
	}
	b.fence = r.Fence
	if r.Session != b.session || r.Session == 0 {
		return false, Answer{Refusal: OtherSession}
	}
	if known := b.runs[r.ID]; known != nil {
		switch {
		case r.Attempt < known.attempt:
			return false, Answer{Refusal: OlderAttempt}
		case r.Attempt > known.attempt && !known.over:
			return false, Answer{Refusal: UnderWay}
		case r.Attempt == known.attempt && !known.over:
			return false, Answer{Running: true}
		case r.Attempt == known.attempt:
			return false, known.answer
		}
	}
	b.forget(now)
	switch {
	case !b.knows(r.Kind):
		return false, Answer{Refusal: UnknownKind}
	case r.WithinMs <= 0 || wall >= r.Until:
		return false, Answer{Refusal: TooLate}
	case b.running >= MaxRunning || len(b.runs) >= MaxKept:
		return false, Answer{Refusal: Busy}
	}
	b.runs[r.ID] = &run{attempt: r.Attempt}
	b.running++
	return true, Answer{}
}

// Ended takes what came of a run.
func (b *Inbox) Ended(now time.Duration, id fleet.EffectID, attempt int, a Answer) {
	r := b.runs[id]
	if r == nil || r.attempt != attempt || r.over {
		return
	}
	r.over, r.at, r.answer = true, now, a.Bounded()
	b.running--
}

// forget drops answers that no request on its way can ask for any more.
func (b *Inbox) forget(now time.Duration) {
	for id, r := range b.runs {
		if r.over && now-r.at >= KeepFor {
			delete(b.runs, id)
		}
	}
}
