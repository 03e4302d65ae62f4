package raftfsm

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

const (
	// MaxEntryItems is how many commands one entry holds: applied in well under a
	// millisecond, so that an apply never delays a heartbeat's answer.
	MaxEntryItems = 256
	// MaxEntryBytes is the size of one entry: the library's suggested limit.
	MaxEntryBytes = 512 << 10
	// gatherFor is how long an entry waits for company while another one is under
	// way: about one commit.
	gatherFor = 2 * time.Millisecond
	// maxWaiting is how many proposals wait: at some 10,000 commands a second they
	// are sent within a fraction of a second, or never.
	maxWaiting = 1024
	// maxInFlight is how many entries are under way: enough to keep disk and
	// network busy, few enough that a stall strands little.
	maxInFlight = 16
)

// Propose puts commands into the log and waits until this node has applied
// them: one Result each, and the index of their entry. Commands of concurrent
// callers share entries; those of one call stay together and in order. The
// stamp is this node's clock.
//
// Of an error NotDone tells whether nothing was or will be done. ErrUnknown says
// that it may be done, now or later; so does the end of ctx once the entry is
// under way.
func (n *Node) Propose(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	if len(items) == 0 {
		return nil, n.AppliedIndex(), nil
	}
	p, err := n.prepare(items)
	if err != nil {
		return nil, 0, fmt.Errorf("propose: %w", err)
	}
	results, index, err := n.proposals.submit(ctx, p, n.cfg.Timing.Propose)
	if err != nil {
		return nil, 0, fmt.Errorf("propose: %w", err)
	}
	return results, index, nil
}

// prepare checks what can be known before queueing, and encodes.
func (n *Node) prepare(items []fleet.Item) (*proposal, error) {
	switch {
	case len(items) > MaxEntryItems:
		return nil, fmt.Errorf("%w: %d commands, at most %d go into one", ErrTooLarge, len(items), MaxEntryItems)
	case n.watch.stalled.Load():
		return nil, fmt.Errorf("%w: %w", ErrNotLeader, ErrStalled)
	case !n.IsLeader():
		return nil, ErrNotLeader
	}
	items, err := n.cfg.gate.Fit(items, n.format())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnencodable, err)
	}
	p := &proposal{items: items, bytes: wire.JoinOverhead, done: make(chan answer, 1)}
	for i, item := range items {
		encoded, err := wire.EncodeItem(item)
		if err != nil {
			return nil, fmt.Errorf("%w: command %d: %w", ErrUnencodable, i, err)
		}
		p.encoded = append(p.encoded, encoded)
		p.bytes += len(encoded)
	}
	if p.bytes > MaxEntryBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d go into one", ErrTooLarge, p.bytes, MaxEntryBytes)
	}
	return p, nil
}

// format is the format that proposals must keep to: that of the fleet, which only rises.
func (n *Node) format() int {
	if f := n.State().Fleet(); f != nil {
		return f.Format
	}
	return fleet.FormatVersion // of InitFleet
}

// proposal is the commands of one caller.
type proposal struct {
	items   []fleet.Item
	encoded [][]byte    // each item
	bytes   int         // of an entry of its own, at most
	taken   atomic.Bool // by the proposer, which sends it, or by the caller, who goes away
	done    chan answer
}

type answer struct {
	results []fleet.Result
	index   uint64
	err     error
}
