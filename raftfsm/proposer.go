package raftfsm

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/failpoint"
)

// proposer packs proposals into entries.
type proposer struct {
	node  *Node
	queue chan *proposal
	slots chan struct{} // one for each entry under way
	idle  chan struct{} // told when an entry returns

	mu       sync.RWMutex // held while queueing
	refusing bool
}

func newProposer(n *Node) *proposer {
	return &proposer{
		node:  n,
		queue: make(chan *proposal, maxWaiting),
		slots: make(chan struct{}, maxInFlight),
		idle:  make(chan struct{}, 1),
	}
}

func (q *proposer) submit(ctx context.Context, p *proposal, limit time.Duration) ([]fleet.Result, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	doubt := q.node.leading.inDoubt()
	if q.node.cutOff() { // since it was looked at
		return nil, 0, fmt.Errorf("%w: %w", ErrNotLeader, ErrStalled)
	}
	if err := q.enqueue(p); err != nil {
		return nil, 0, err
	}
	select {
	case a := <-p.done:
		return a.results, a.index, a.err
	case <-doubt:
		if p.taken.CompareAndSwap(false, true) {
			return nil, 0, fmt.Errorf("%w: %w", ErrNotLeader, ErrStalled)
		}
		return nil, 0, fmt.Errorf("%w: %w", ErrUnknown, ErrStalled)
	case <-ctx.Done():
	}
	if p.taken.CompareAndSwap(false, true) {
		return nil, 0, fmt.Errorf("%w: not sent before %w", ErrStalled, context.Cause(ctx))
	}
	return nil, 0, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
}

func (q *proposer) enqueue(p *proposal) error {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.refusing {
		return ErrClosed
	}
	select {
	case q.queue <- p:
		return nil
	default:
		return fmt.Errorf("%w: %d", ErrBusy, maxWaiting)
	}
}

// refuse ends the taking of proposals.
func (q *proposer) refuse() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refusing = true
}

// drain waits until nothing is under way.
func (q *proposer) drain(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for range maxInFlight {
		select {
		case q.slots <- struct{}{}:
		case <-timer.C:
			return
		}
	}
}

// run sends proposals until the node stops.
func (q *proposer) run() {
	var next *proposal
	for {
		if next == nil {
			select {
			case next = <-q.queue:
			case <-q.node.stop:
				q.abandon()
				return
			}
		}
		batch, rest := q.gather(next)
		next = rest
		select {
		case q.slots <- struct{}{}:
			q.send(batch)
		case <-q.node.stop:
			answerAll(batch, ErrClosed)
			if next != nil {
				answerAll([]*proposal{next}, ErrClosed)
			}
			q.abandon()
			return
		}
	}
}

// abandon answers what is still queued.
func (q *proposer) abandon() {
	for {
		select {
		case p := <-q.queue:
			answerAll([]*proposal{p}, ErrClosed)
		default:
			return
		}
	}
}

// gather makes an entry of what waits. An entry under way gives others a moment
// to come along; with none under way there is nothing to wait for. rest did not
// fit.
func (q *proposer) gather(first *proposal) (batch []*proposal, rest *proposal) {
	batch = []*proposal{first}
	items, bytes := len(first.items), first.bytes
	var timer <-chan time.Time
	if len(q.slots) > 0 {
		t := time.NewTimer(gatherFor)
		defer t.Stop()
		timer = t.C
	}
	for items < MaxEntryItems && bytes < MaxEntryBytes {
		p := q.take(timer)
		if p == nil {
			return batch, nil
		}
		items, bytes = items+len(p.items), bytes+p.bytes
		if items > MaxEntryItems || bytes > MaxEntryBytes {
			return batch, p
		}
		batch = append(batch, p)
	}
	return batch, nil
}

// take returns the next proposal, waiting for one until the timer or until
// nothing is under way; nil when there is none.
func (q *proposer) take(timer <-chan time.Time) *proposal {
	for {
		select {
		case p := <-q.queue:
			return p
		default:
		}
		if timer == nil || len(q.slots) == 0 {
			return nil
		}
		select {
		case p := <-q.queue:
			return p
		case <-q.idle:
		case <-timer:
			return nil
		case <-q.node.stop:
			return nil
		}
	}
}

// send hands an entry to the library; it holds a slot until it is answered.
func (q *proposer) send(batch []*proposal) {
	batch, data, err := q.entry(batch)
	if err != nil || len(batch) == 0 {
		answerAll(batch, err)
		q.release()
		return
	}
	// Where the library does not take it for so long, its disk stalls.
	future := q.node.raft.Apply(data, q.node.cfg.Timing.Stall)
	go func() {
		defer q.release()
		q.finish(batch, future)
	}()
}

func (q *proposer) release() {
	<-q.slots
	select {
	case q.idle <- struct{}{}:
	default:
	}
}

// entry takes the proposals whose callers still wait and makes one entry of them.
func (q *proposer) entry(waiting []*proposal) (batch []*proposal, data []byte, err error) {
	var items [][]byte
	for _, p := range waiting {
		if p.taken.CompareAndSwap(false, true) {
			batch = append(batch, p)
			items = append(items, p.encoded...)
		}
	}
	if len(batch) == 0 {
		return nil, nil, nil
	}
	data, err = wire.JoinItems(q.node.FleetTime(), items)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnencodable, err)
	}
	return batch, data, err
}

// finish waits for an entry to be applied and answers its callers.
func (q *proposer) finish(batch []*proposal, future raft.ApplyFuture) {
	if err := outcomeOf(future.Error()); err != nil {
		answerAll(batch, err)
		return
	}
	if err := failpoint.Hit("raftfsm/before-answer"); err != nil {
		answerAll(batch, fmt.Errorf("%w: %w", ErrUnknown, err))
		return
	}
	out, ok := future.Response().(fleet.Outcome)
	if !ok {
		// It is committed, but this node could not apply it.
		answerAll(batch, fmt.Errorf("%w: %v", ErrUnknown, future.Response()))
		return
	}
	results := out.Results
	for _, p := range batch {
		p.done <- answer{results: results[:len(p.items):len(p.items)], index: future.Index()}
		results = results[len(p.items):]
	}
}

func answerAll(batch []*proposal, err error) {
	for _, p := range batch {
		p.done <- answer{err: err}
	}
}
