package keeper

import (
	"context"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/calls"
)

// Log is the leader's log as the keeper needs it; *raftfsm.Node is one but for
// Members.
type Log interface {
	LeaderLog
	FleetTime() fleet.Time
	Propose(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error)
	AddNonvoter(ctx context.Context, id fleet.RaftID) error
	AddVoter(ctx context.Context, id fleet.RaftID) error
	RemoveServer(ctx context.Context, id fleet.RaftID) error
	Transfer() error
}

// Voters is how the hosts of voters are reached.
type Voters interface {
	// Ask is what a host says of its log; an error of the call is silence.
	Ask(ctx context.Context, host fleet.HostID) (Reply, error)
	// PrepareVoter hands the keys over and has an empty log opened; RetireVoter has a
	// log deleted. Both are harmless to repeat.
	PrepareVoter(ctx context.Context, id fleet.RaftID) error
	RetireVoter(ctx context.Context, id fleet.RaftID) error
}

// Keeper runs a Driver with goroutines, for one term of leadership after the other.
type Keeper struct {
	Log     Log
	Voters  Voters
	Starved func(fleet.HostID) bool
	Mono    func() time.Duration
	// Warn tells a person of what was refused or has to be tried again, with keys and
	// values as slog has them.
	Warn func(message string, keysAndValues ...any)
}

// Run keeps voters until ctx ends; it returns nil then, after everything it started
// has returned.
func (k *Keeper) Run(ctx context.Context) error {
	under := calls.New[Event]()
	ctx, cancel := context.WithCancel(ctx)
	defer under.Wait()
	defer cancel()
	driver := NewDriver(k.Mono(), 0)
	timer := time.NewTimer(LookEvery)
	defer timer.Stop()
	for {
		var happened []Event
		select {
		case <-ctx.Done():
			return nil
		case e := <-under.Events():
			happened = append(happened, e)
		case <-timer.C:
		}
		now := k.Mono()
		for _, e := range driver.Step(k.Log.FleetTime(), now, InputOf(k.Log, k.Starved), happened...) {
			switch e := e.(type) {
			case Wake:
				timer.Reset(max(0, e.At-now))
			case Ask:
				under.Begin(ctx, AskFor, func(ctx context.Context) Event {
					reply, err := k.Voters.Ask(ctx, e.ID.Host())
					return Answered{e.N, e.ID, AnswerOf(e.ID, reply, err)}
				})
			case Propose:
				under.Begin(ctx, ChangeFor, func(ctx context.Context) Event { return k.propose(ctx, e) })
			default:
				under.Begin(ctx, ChangeFor, func(ctx context.Context) Event { return k.change(ctx, e) })
			}
		}
	}
}

func (k *Keeper) propose(ctx context.Context, p Propose) Event {
	results, _, err := k.Log.Propose(ctx, p.Items)
	for i, result := range results {
		if result.Err != nil {
			k.Warn("voter change refused", "command", p.Items[i].Command, "err", result.Err)
		}
	}
	return Proposed{Err: err}
}

func (k *Keeper) change(ctx context.Context, effect Effect) Event {
	var err error
	switch e := effect.(type) {
	case HandOverKeys:
		err = k.Voters.PrepareVoter(ctx, e.ID)
	case AddNonvoter:
		err = k.Log.AddNonvoter(ctx, e.ID)
	case AddVoter:
		err = k.Log.AddVoter(ctx, e.ID)
	case RemoveServer:
		err = k.Log.RemoveServer(ctx, e.ID)
	case DeleteLog:
		err = k.Voters.RetireVoter(ctx, e.ID)
	case Transfer:
		err = k.Log.Transfer()
	}
	if err != nil && ctx.Err() == nil {
		k.Warn("voter change not carried out, it is tried again", "err", err)
	}
	return Done{Err: err}
}
