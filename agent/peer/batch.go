package peer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"skein/agent/peer/intake"
	"skein/agent/peer/rpc"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/calls"
	"skein/runtime/seam/clock"
)

// batcher runs intake.Batcher over the log: reports of many hosts go into few entries.
type batcher struct {
	propose func(context.Context, []fleet.Item) ([]fleet.Result, uint64, error)
	leads   func() bool
	clock   clock.Clock
	in      chan intake.Event

	mu      sync.Mutex
	last    uint64 // number given to a report
	waiting map[uint64]chan<- intake.Answer
}

func newBatcher(
	propose func(context.Context, []fleet.Item) ([]fleet.Result, uint64, error), leads func() bool, c clock.Clock,
) *batcher {
	return &batcher{propose: propose, leads: leads, clock: c, in: make(chan intake.Event, intake.MaxWaiting),
		waiting: map[uint64]chan<- intake.Answer{}}
}

// add has an item of about size bytes committed with others and returns its own
// result. ErrBusy when too many wait; ErrUnknown when ctx ends first.
func (b *batcher) add(ctx context.Context, item fleet.Item, size int) (fleet.Result, uint64, error) {
	ref, done := b.register()
	defer b.forget(ref)
	select {
	case b.in <- intake.Arrived{Ref: ref, Item: item, Size: size}:
	default:
		return fleet.Result{}, 0, fmt.Errorf("%d reports wait: %w", intake.MaxWaiting, ErrBusy)
	}
	select {
	case a := <-done:
		return a.Result, a.Index, a.Err
	case <-ctx.Done():
		select {
		case b.in <- intake.GivenUp{Ref: ref}:
		default: // it is proposed all the same, which changes nothing
		}
		return fleet.Result{}, 0, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

func (b *batcher) register() (uint64, <-chan intake.Answer) {
	done := make(chan intake.Answer, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	b.waiting[b.last] = done
	return b.last, done
}

func (b *batcher) forget(ref uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiting, ref)
}

func (b *batcher) answer(a intake.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if done := b.waiting[a.Ref]; done != nil {
		done <- a
		delete(b.waiting, a.Ref)
	}
}

// run gathers until ctx ends, and returns after the batches under way.
func (b *batcher) run(ctx context.Context) {
	var rules intake.Batcher
	under := calls.New[intake.Event]()
	defer under.Wait()
	timer := time.NewTimer(intake.CallTime)
	defer timer.Stop()
	for {
		var happened []intake.Event
		select {
		case <-ctx.Done():
			return
		case e := <-b.in:
			happened = append(happened, e)
		case e := <-under.Events():
			happened = append(happened, e)
		case <-timer.C:
		}
		for range len(b.in) {
			happened = append(happened, <-b.in)
		}
		now := b.clock.Mono()
		for _, effect := range rules.Step(now, b.leads(), happened...) {
			switch e := effect.(type) {
			case intake.Propose:
				under.Begin(ctx, intake.CallTime, func(ctx context.Context) intake.Event { return b.commit(ctx, e) })
			case intake.Answer:
				b.answer(e)
			case intake.Wake:
				timer.Reset(max(0, e.At-now))
			}
		}
	}
}

// commit proposes a batch. What was sent to nobody says nothing of it.
func (b *batcher) commit(ctx context.Context, p intake.Propose) intake.Event {
	results, index, err := b.propose(ctx, p.Items)
	if rpc.NotSent(err) {
		err = fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	return intake.Committed{N: p.N, Results: results, Index: index, Err: err}
}
