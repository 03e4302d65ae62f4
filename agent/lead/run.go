package lead

import (
	"context"
	"sync"
	"time"

	"skein/raftfsm/fleet"
)

const (
	// LivenessEvery is how often sights are looked at where nobody says that they
	// changed: a beat of a host's stream (MECHANICS 4).
	LivenessEvery = 250 * time.Millisecond
	// ProposeFor bounds one proposal: longer than UnknownAfter, so that it is the
	// loop that gives up.
	ProposeFor = 2 * UnknownAfter
	// BarrierFor bounds one barrier; a leader that cannot pass it tries again.
	BarrierFor = 5 * time.Second
	// RegainAfter is how long a loop that stepped down waits before it plans again
	// if it still leads, as the only voter does: a new barrier then proves what
	// became of its proposals.
	RegainAfter = 5 * time.Second
)

// Leader carries out what a Loop decides. See New.
type Leader struct {
	cfg  Config
	loop *Loop

	mu      sync.Mutex
	applied *Applied // what Subscribe brought since the last step, or nil
	stats   Stats

	wake      chan struct{} // something was applied
	barrier   chan barrier
	proposed  chan Event
	timer     *time.Timer
	calls     sync.WaitGroup // goroutines of this leader
	duties    *duties
	proposals proposalLog
	notices   int           // of leadership, so far
	regain    time.Duration // not to plan again before, after a step down
	waiting   bool          // a barrier is under way
}

// barrier is how a barrier ended that was begun after so many notices.
type barrier struct {
	notice int
	err    error
}

// New returns a Leader with the standard planners. It does nothing before Run.
func New(cfg Config) *Leader {
	return &Leader{
		cfg:       cfg,
		loop:      NewLoop(cfg.NewID, Planners()...),
		wake:      make(chan struct{}, 1),
		barrier:   make(chan barrier, 1),
		proposed:  make(chan Event, 1),
		duties:    &duties{log: cfg.Logger, all: cfg.Duties},
		proposals: proposalLog{log: cfg.Logger},
	}
}

// Stats returns what has been counted; it may be called from any goroutine.
func (l *Leader) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats.clone()
}

// Run plans whenever this agent leads, until ctx ends; it returns nil then,
// after everything it started has returned.
func (l *Leader) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	unsubscribe := l.cfg.Log.Subscribe(l.onApplied)
	l.timer = time.NewTimer(0)
	look := time.NewTicker(LivenessEvery)
	leadership := l.cfg.Log.Leadership()
	defer func() {
		cancel()
		unsubscribe()
		look.Stop()
		l.timer.Stop()
		l.duties.stop()
		l.calls.Wait()
	}()
	for {
		events := []Event(nil)
		select {
		case <-ctx.Done():
			return nil
		case leads, open := <-leadership:
			if !open {
				leadership = nil // the log is closed; look sees to the rest
			}
			// True while leading means that a loss in between went unnoticed.
			events = append(events, LostLeadership{})
			l.notices++
			if leads {
				l.startBarrier(ctx)
			}
		case b := <-l.barrier:
			events = l.afterBarrier(ctx, events, b)
		case e := <-l.proposed:
			events = append(events, e)
		case <-l.cfg.FailureDetector.Changed():
			events = append(events, LivenessChanged{l.cfg.FailureDetector.Liveness()})
		case <-look.C:
			events = l.poll(ctx, events)
		case <-l.wake:
		case <-l.timer.C:
		}
		l.step(ctx, append(events, l.takeApplied()...))
	}
}

// poll takes the sights where they do not announce themselves, and makes up for
// a leadership notice that was missed.
func (l *Leader) poll(ctx context.Context, events []Event) []Event {
	leads := l.cfg.Log.IsLeader()
	if leads && !l.loop.Leading() {
		l.startBarrier(ctx)
	}
	if !leads && l.loop.Leading() {
		events = append(events, LostLeadership{})
	}
	if leads {
		events = append(events, LivenessChanged{l.cfg.FailureDetector.Liveness()})
	}
	return events
}

// startBarrier begins to lead: planning starts when the barrier has passed.
func (l *Leader) startBarrier(ctx context.Context) {
	if l.waiting || l.cfg.Clock.Mono() < l.regain {
		return
	}
	l.waiting = true
	notice := l.notices
	l.calls.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, BarrierFor)
		defer cancel()
		l.barrier <- barrier{notice, l.cfg.Log.Barrier(ctx)}
	})
}

func (l *Leader) afterBarrier(ctx context.Context, events []Event, b barrier) []Event {
	l.waiting = false
	switch {
	case !l.cfg.Log.IsLeader() || l.loop.Leading():
		return events
	case b.notice != l.notices: // it passed in an earlier term
		l.startBarrier(ctx)
		return events
	case b.err != nil:
		l.cfg.Logger.Warn("barrier not passed", "err", b.err)
		return events // look tries again
	}
	return append(events, LivenessChanged{l.cfg.FailureDetector.Liveness()}, BecameLeader{l.cfg.Log.State()})
}

// onApplied runs in the goroutine that applies: it keeps State and what was
// touched together, so that the two always fit.
func (l *Leader) onApplied(_ uint64, t fleet.ChangeSet) {
	state := l.cfg.Log.State()
	l.mu.Lock()
	if l.applied == nil {
		l.applied = &Applied{}
	}
	l.applied.State = state
	l.applied.ChangeSet.Merge(t)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Leader) takeApplied() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.applied == nil {
		return nil
	}
	e := *l.applied
	l.applied = nil
	return []Event{e}
}

func (l *Leader) step(ctx context.Context, events []Event) {
	now := Instant{Wall: l.cfg.Log.FleetTime(), Mono: l.cfg.Clock.Mono()}
	led := l.loop.Leading()
	effects := l.loop.Step(now, events...)
	if leads := l.loop.Leading(); leads != led {
		l.turned(ctx, leads)
	}
	l.mu.Lock()
	l.stats = l.loop.Stats()
	l.mu.Unlock()
	for _, e := range effects {
		l.carryOut(ctx, now, e)
	}
}

func (l *Leader) turned(ctx context.Context, leads bool) {
	if leads {
		l.cfg.Logger.Info("planning started", "index", l.cfg.Log.State().Index())
		l.duties.start(ctx)
		return
	}
	l.cfg.Logger.Info("planning stopped")
	l.duties.stop()
}

func (l *Leader) carryOut(ctx context.Context, now Instant, e Effect) {
	switch e := e.(type) {
	case Propose:
		for _, items := range e.Entries {
			l.proposals.write(now.Mono, items)
		}
		l.propose(ctx, e)
	case Probe:
		l.cfg.FailureDetector.Probe(e.Hosts)
	case StepDown:
		l.regain = now.Mono + RegainAfter
		l.cfg.Logger.Warn("leader stepped down", "reason", e.Why)
		l.transfer()
	case HandOver:
		l.cfg.Logger.Warn("leadership handed over", "reason", e.Why)
		l.transfer()
	case Wake:
		l.timer.Reset(max(0, e.At-now.Mono))
	}
}

func (l *Leader) propose(ctx context.Context, p Propose) {
	l.calls.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, ProposeFor)
		defer cancel()
		e := l.commit(ctx, p)
		select {
		case l.proposed <- e:
		case <-ctx.Done():
		}
	})
}

func (l *Leader) commit(ctx context.Context, p Propose) Event {
	done := ProposalDone{N: p.N}
	for _, items := range p.Entries {
		results, index, err := l.cfg.Log.Propose(ctx, items)
		if err != nil && l.cfg.NotProposed != nil && l.cfg.NotProposed(err) {
			done.NotProposed = err
			return done
		}
		if err != nil {
			return ProposalUnknown{N: p.N, Err: err}
		}
		done.Index = index
		done.Results = append(done.Results, results...)
	}
	return done
}

func (l *Leader) transfer() {
	l.calls.Go(func() {
		if err := l.cfg.Log.Transfer(); err != nil {
			l.cfg.Logger.Warn("leadership not transferred", "err", err)
		}
	})
}
