package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// batcher gathers reports of many hosts into few entries. The leader waits a
// moment for more; another voter sends on what it has, since the leader gathers.
type batcher struct {
	propose func(context.Context, []fleet.Item) ([]fleet.Result, uint64, error)
	leads   func() bool
	in      chan batchedItem
	slots   chan struct{}
}

type batchedItem struct {
	ctx  context.Context
	item fleet.Item
	size int
	done chan<- committed
}

type committed struct {
	result fleet.Result
	index  uint64
	err    error
}

func newBatcher(
	propose func(context.Context, []fleet.Item) ([]fleet.Result, uint64, error), leads func() bool,
) *batcher {
	return &batcher{propose: propose, leads: leads, in: make(chan batchedItem, maxGathering),
		slots: make(chan struct{}, batchesInFlight)}
}

// add has an item of about size bytes committed with others and returns its own
// result. ErrBusy when too many wait; ErrUnknown when ctx ends first.
func (b *batcher) add(ctx context.Context, item fleet.Item, size int) (fleet.Result, uint64, error) {
	done := make(chan committed, 1)
	select {
	case b.in <- batchedItem{ctx: ctx, item: item, size: size, done: done}:
	default:
		return fleet.Result{}, 0, fmt.Errorf("%d reports wait: %w", maxGathering, ErrBusy)
	}
	select {
	case c := <-done:
		return c.result, c.index, c.err
	case <-ctx.Done():
		return fleet.Result{}, 0, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// run gathers until ctx ends, and returns after the batches under way.
func (b *batcher) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			for range cap(b.slots) {
				b.slots <- struct{}{}
			}
			return
		case first := <-b.in:
			batch := b.fill(ctx, first)
			select {
			case b.slots <- struct{}{}:
			case <-ctx.Done():
				finish(batch, nil, 0, ErrUnknown)
				continue
			}
			go func() {
				defer func() { <-b.slots }()
				b.commit(ctx, batch)
			}()
		}
	}
}

// fill gathers what is there, and on the leader what comes in a moment.
func (b *batcher) fill(ctx context.Context, first batchedItem) []batchedItem {
	batch, size := []batchedItem{first}, first.size
	var moment <-chan time.Time
	if b.leads() {
		timer := time.NewTimer(gather)
		defer timer.Stop()
		moment = timer.C
	}
	for len(batch) < gatherItems && size < gatherBytes {
		select {
		case next := <-b.in:
			batch, size = append(batch, next), size+next.size
			continue
		default:
		}
		if moment == nil {
			return batch
		}
		select {
		case next := <-b.in:
			batch, size = append(batch, next), size+next.size
		case <-moment:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

func (b *batcher) commit(ctx context.Context, batch []batchedItem) {
	// What nobody waits for any more is not written: its host sends it again.
	live := batch[:0]
	for _, g := range batch {
		if g.ctx.Err() == nil {
			live = append(live, g)
		}
	}
	if len(live) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	b.settle(ctx, live)
}

// settle commits a batch. One that is refused as a whole is parted until the item
// that cannot be committed is alone: only its host is told so, since a host drops
// a report that is refused. To propose an item again is safe, by its number.
func (b *batcher) settle(ctx context.Context, batch []batchedItem) {
	items := make([]fleet.Item, len(batch))
	for i, g := range batch {
		items[i] = g.item
	}
	results, index, err := b.propose(ctx, items)
	if err == nil && len(results) != len(items) {
		err = fmt.Errorf("%d results for %d commands: %w", len(results), len(items), ErrUnknown)
	}
	if half := len(batch) / 2; half > 0 && err != nil && !passes(err) {
		b.settle(ctx, batch[:half])
		b.settle(ctx, batch[half:])
		return
	}
	finish(batch, results, index, err)
}

// passes reports whether an error says nothing of what was proposed: the same
// again may be taken later, or elsewhere.
func passes(err error) bool {
	return NotSent(err) || slices.ContainsFunc(
		[]error{ErrNotLeader, ErrNoLeader, ErrUnknown, ErrStalled, ErrBusy, ErrBehind, ErrNotHere, context.Canceled,
			context.DeadlineExceeded},
		func(e error) bool { return errors.Is(err, e) })
}

func finish(batch []batchedItem, results []fleet.Result, index uint64, err error) {
	for i, g := range batch {
		c := committed{index: index, err: err}
		if err == nil {
			c.result = results[i]
		}
		g.done <- c
	}
}
