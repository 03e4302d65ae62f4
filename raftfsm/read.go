package raftfsm

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Barrier waits until this node, as leader, has applied everything that was
// committed when it was called. Errors: ErrNotLeader, ErrUnknown.
func (n *Node) Barrier(ctx context.Context) error {
	term := n.Term()
	err := n.ask(ctx, "barrier", func(limit time.Duration) raft.Future { return n.raft.Barrier(limit) })
	if err == nil && n.Term() == term {
		n.term.barrier.Store(term)
	}
	return err
}

// Verify asks a quorum whether this node still leads, and returns once State
// holds everything that was committed when it was called. Call it before a
// consistent answer and before acting outside the log. Errors: ErrNotLeader,
// ErrUnknown.
//
// A new leader does not know what its predecessors committed before an entry of
// its own term commits, so the first call of a term passes a barrier.
func (n *Node) Verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Propose)
	defer cancel()
	commit := n.raft.CommitIndex()
	if err := n.settle(ctx); err != nil {
		return err
	}
	defer n.transport.pace.rush()()
	err := n.ask(ctx, "verify leadership", func(time.Duration) raft.Future { return n.raft.VerifyLeader() })
	if err != nil {
		return err
	}
	return n.awaitApplied(ctx, n.lastApplicable(commit))
}

// settled is what this node has done in its term of leadership.
type settled struct {
	barrier atomic.Uint64 // the newest term in which a barrier passed
	asking  chan struct{} // holds one: a barrier serves all who wait for it
}

func newSettled() settled { return settled{asking: make(chan struct{}, 1)} }

// settle passes a barrier once a term. Of those who come at the same time one
// asks and the others wait for it.
func (n *Node) settle(ctx context.Context) error {
	for n.term.barrier.Load() != n.Term() {
		select {
		case n.term.asking <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("wait for the barrier of this term: %w: %w", ErrUnknown, context.Cause(ctx))
		}
		var err error
		if n.term.barrier.Load() != n.Term() {
			err = n.Barrier(ctx)
		}
		<-n.term.asking
		if err != nil {
			return err
		}
	}
	return nil
}

// lastApplicable is the index of the last entry up to commit that the state
// machine is given; the library keeps its own entries to itself.
func (n *Node) lastApplicable(commit uint64) uint64 {
	for at := commit; at > n.AppliedIndex(); at-- {
		kind, ok := n.store.kindOf(at)
		if !ok {
			return 0 // compacted, so it is applied
		}
		if kind == raft.LogCommand || kind == raft.LogConfiguration {
			return at
		}
	}
	return 0
}

// awaitApplied waits until State holds an index.
func (n *Node) awaitApplied(ctx context.Context, index uint64) error {
	reached, cancel := n.machine.progress.await(index)
	defer cancel()
	select {
	case <-reached:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for index %d to be applied: %w: %w", index, ErrUnknown, context.Cause(ctx))
	case <-n.broken:
		return fmt.Errorf("wait for index %d to be applied: %w: %w", index, ErrUnknown, *n.failed.Load())
	case <-n.stop:
		return fmt.Errorf("wait for index %d to be applied: %w: %w", index, ErrUnknown, ErrClosed)
	}
}
