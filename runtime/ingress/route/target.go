package route

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/upstream"
)

const (
	// ejectFirst is how long a target that could not be connected to is left alone before it
	// is tried again; each further failure doubles it, up to ejectMost.
	ejectFirst = 250 * time.Millisecond
	ejectMost  = 30 * time.Second
	// ejectForget is how long a target must have been well for its back-off to begin anew.
	ejectForget = time.Minute
)

// Target is one task's address in one group, for as long as it is in tables or has
// something open.
type Target struct {
	Group fleet.TargetGroupName
	Noun  fleet.Target // as of when the address was first seen; its state is the table's
	Pool  *upstream.Pool
	// Series are the counters of the target's group and revision.
	Series *Series
	// Cookie is the value that stands for the target.
	Cookie string

	Requests Counter

	memory   *Memory
	open     atomic.Int64
	leaving  atomic.Bool // it drains, or is in no table
	ejection atomic.Pointer[Ejection]

	trying   atomic.Bool
	mu       sync.Mutex // of what follows
	tries    int        // failures in a row
	wellFrom time.Duration
}

// Ejection says why a target gets nothing from this host.
type Ejection struct {
	Since  time.Time
	Reason string
	// Next is when it is tried again, on the monotonic clock.
	Next time.Duration
}

// take counts one more request or connection at the target; not ok: it is leaving. It
// counts first and looks after: whoever marks a target as leaving and then sees nothing open
// knows that nothing follows.
func (t *Target) take() bool {
	t.open.Add(1)
	if t.leaving.Load() {
		t.Release()
		return false
	}
	return true
}

// Release says that one request or connection at the target has ended.
func (t *Target) Release() {
	if t.open.Add(-1) == 0 && t.leaving.Load() {
		t.memory.wake()
	}
}

// Open is how many requests and connections the target has.
func (t *Target) Open() int64 { return t.open.Load() }

// Leaving reports whether the target gets nothing new.
func (t *Target) Leaving() bool { return t.leaving.Load() }

// Ejected returns the ejection; nil: there is none.
func (t *Target) Ejected() *Ejection { return t.ejection.Load() }

// Eject takes the target out until Readmit, or, if it is out, until later. It reports
// whether it was in.
func (t *Target) Eject(now time.Time, mono time.Duration, reason string) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ejection.Load() == nil && mono-t.wellFrom > ejectForget {
		t.tries = 0
	}
	pause := min(ejectFirst<<min(t.tries, 10), ejectMost)
	t.tries++
	// Spread over the hosts of a fleet, which all see a target fail at once.
	pause += time.Duration(rand.Int64N(int64(pause) / 4))
	since := now
	if was := t.ejection.Load(); was != nil {
		since = was.Since
	}
	was := t.ejection.Swap(&Ejection{Since: since, Reason: reason, Next: mono + pause})
	if was == nil {
		t.Series.Ejections.Add(1)
	}
	return was == nil
}

// Readmit lets the target have requests again.
func (t *Target) Readmit(mono time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wellFrom = mono
	t.ejection.Store(nil)
}

// Trying claims the trial of an ejected target; not ok: another is under way.
func (t *Target) Trying() bool { return t.trying.CompareAndSwap(false, true) }

// Tried ends a trial.
func (t *Target) Tried() { t.trying.Store(false) }
