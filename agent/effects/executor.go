package effects

import (
	"context"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/calls"
)

// ProposeFor bounds one proposal, and VerifyFor one verification.
const (
	ProposeFor = 10 * time.Second
	VerifyFor  = 5 * time.Second
)

// Log is the leader's log as the executor needs it; *raftfsm.Node is one.
type Log interface {
	State() *fleet.State
	FleetTime() fleet.Time
	Subscribe(func(index uint64, t fleet.ChangeSet)) (cancel func())
	Propose(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error)
	// Verify asks a majority whether this voter still leads.
	Verify(ctx context.Context) error
}

// Executor runs a Driver with goroutines, for one term of leadership after the other.
type Executor struct {
	Log      Log
	Liveness func() plan.FleetLiveness
	Mono     func() time.Duration
	// Ask makes a request of a host. NotDone reports whether its error says that the
	// host surely did not take it.
	Ask     func(ctx context.Context, host fleet.HostID, r Request) (Answer, error)
	NotDone func(error) bool
	// Warn tells a person of what was refused or has to be tried again, with keys and
	// values as slog has them.
	Warn func(message string, keysAndValues ...any)
}

// Run carries effects out until ctx ends; it returns nil then, after everything it
// started has returned. It is begun once a term, after the term's barrier.
func (x *Executor) Run(ctx context.Context) error {
	under := calls.New[Event]()
	ctx, cancel := context.WithCancel(ctx)
	defer under.Wait()
	defer cancel()
	wake := make(chan struct{}, 1)
	defer x.Log.Subscribe(func(_ uint64, changes fleet.ChangeSet) {
		if Concerns(x.Log.State(), changes) {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	})()
	driver := NewDriver(x.Log.State())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var happened []Event
		select {
		case <-ctx.Done():
			return nil
		case e := <-under.Events():
			happened = append(happened, e)
		case <-wake:
		case <-timer.C:
		}
		in := Input{Wall: x.Log.FleetTime(), Mono: x.Mono(), State: x.Log.State(), Liveness: x.Liveness}
		for _, a := range driver.Step(in, happened...) {
			switch a := a.(type) {
			case Wake:
				timer.Reset(max(0, a.At-in.Mono))
			case Verify:
				under.Begin(ctx, VerifyFor, func(ctx context.Context) Event { return Verified{Err: x.Log.Verify(ctx)} })
			case Propose:
				under.Begin(ctx, ProposeFor, func(ctx context.Context) Event { return x.propose(ctx, a) })
			case Ask:
				under.Begin(ctx, CallFor, func(ctx context.Context) Event { return x.ask(ctx, a) })
			}
		}
	}
}

func (x *Executor) propose(ctx context.Context, p Propose) Event {
	results, index, err := x.Log.Propose(ctx, p.Items)
	for i, result := range results {
		if result.Err != nil {
			x.Warn("command about an effect refused", "command", p.Items[i].Command.Kind(), "err", result.Err)
		}
	}
	return Proposed{Index: index, Results: results, Err: err}
}

func (x *Executor) ask(ctx context.Context, a Ask) Event {
	answer, err := x.Ask(ctx, a.Host, a.Request)
	if err != nil && ctx.Err() == nil {
		x.Warn("host of an effect does not answer, it is asked again", "effect", a.Request.ID, "host", a.Host, "err", err)
	}
	return Answered{N: a.N, ID: a.Request.ID, Answer: answer, Err: err, NotSent: err != nil && x.NotDone(err)}
}
