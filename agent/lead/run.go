package lead

import (
	"context"
	"sync"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/calls"
)

// ProposeFor bounds one entry's proposal: longer than UnknownAfter, so that it is
// the loop that gives up.
const ProposeFor = 2 * UnknownAfter

// Leader runs a Driver over the log, the failure detector and goroutines. See New.
type Leader struct {
	cfg    Config
	driver *Driver

	mu      sync.Mutex
	applied *Applied // what Subscribe brought since the last step, or nil
	stats   Stats

	wake      chan struct{} // something was applied
	timer     *time.Timer
	calls     *calls.Group[Event]
	duties    *duties
	proposals proposalLog
}

// New returns a Leader with the standard planners. It does nothing before Run.
func New(cfg Config) *Leader {
	return &Leader{
		cfg:       cfg,
		driver:    NewDriver(DriverConfig{NewID: cfg.NewID, Planners: Planners(), NotProposed: cfg.NotProposed}),
		wake:      make(chan struct{}, 1),
		calls:     calls.New[Event](),
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
	leadership := l.cfg.Log.Leadership()
	defer func() {
		cancel()
		unsubscribe()
		l.timer.Stop()
		l.duties.stop()
		l.calls.Wait()
	}()
	for {
		var events []Event
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-leadership:
			if !open {
				leadership = nil // the log is closed, and IsLeader says so
			}
			events = append(events, LeadershipChanged{})
		case e := <-l.calls.Events():
			events = append(events, e)
		case <-l.cfg.FailureDetector.Changed():
			events = append(events, LivenessNoticed{})
		case <-l.wake:
		case <-l.timer.C:
		}
		l.step(ctx, append(events, l.takeApplied()...)...)
	}
}

// onApplied runs in the goroutine that applies.
func (l *Leader) onApplied(_ uint64, changes fleet.ChangeSet) {
	state := l.cfg.Log.State()
	l.mu.Lock()
	if l.applied == nil {
		l.applied = &Applied{}
	}
	l.applied.Merge(state, changes)
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

func (l *Leader) step(ctx context.Context, events ...Event) {
	in := Input{
		Now:   Instant{Wall: l.cfg.Log.FleetTime(), Mono: l.cfg.Clock.Mono()},
		Leads: l.cfg.Log.IsLeader(), State: l.cfg.Log.State(),
	}
	effects := l.driver.Step(in, events...)
	l.mu.Lock()
	l.stats = l.driver.Stats()
	l.mu.Unlock()
	for _, e := range effects {
		l.carryOut(ctx, in.Now, e)
	}
}

func (l *Leader) carryOut(ctx context.Context, now Instant, e Effect) {
	switch e := e.(type) {
	case Barrier:
		l.calls.Begin(ctx, BarrierFor, func(ctx context.Context) Event { return l.barrier(ctx, e) })
	case ReadLiveness:
		l.step(ctx, LivenessChanged{
			Liveness: l.cfg.FailureDetector.Liveness(), Traffic: l.cfg.FailureDetector.Traffic(),
		})
	case ProposeEntry:
		l.proposals.write(now.Mono, e.Items)
		l.calls.Begin(ctx, ProposeFor, func(ctx context.Context) Event {
			results, index, err := l.cfg.Log.Propose(ctx, e.Items)
			return EntryDone{N: e.N, Index: index, Results: results, Err: err}
		})
	case Probe:
		l.cfg.FailureDetector.Probe(e.Hosts)
	case Watch:
		l.cfg.FailureDetector.Watch(e.Groups)
	case StartDuties:
		l.cfg.Logger.Info("planning started", "index", l.cfg.Log.State().Index())
		l.duties.start(ctx)
	case StopDuties:
		l.cfg.Logger.Info("planning stopped")
		l.duties.stop()
	case StepDown:
		l.cfg.Logger.Warn("leader stepped down", "reason", e.Why)
		l.transfer()
	case HandOver:
		l.cfg.Logger.Warn("leadership handed over", "reason", e.Why)
		l.transfer()
	case Wake:
		l.timer.Reset(max(0, e.At-now.Mono))
	}
}

func (l *Leader) barrier(ctx context.Context, b Barrier) Event {
	err := l.cfg.Log.Barrier(ctx)
	if err != nil && ctx.Err() == nil {
		l.cfg.Logger.Warn("barrier not passed", "err", err)
	}
	return BarrierDone{N: b.N, Err: err}
}

func (l *Leader) transfer() {
	l.calls.Go(func() {
		if err := l.cfg.Log.Transfer(); err != nil {
			l.cfg.Logger.Warn("leadership not transferred", "err", err)
		}
	})
}
