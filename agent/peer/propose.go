package peer

import (
	"context"
	"errors"
	"fmt"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// ProposeAnswer is the leader's answer to a forwarded proposal.
type ProposeAnswer struct {
	Index   uint64   `cbor:"1,keyasint"`
	Results []result `cbor:"2,keyasint,omitempty"`
}

// Propose commits items from any voter: here when this one leads, else through
// the leader. It waits for a leader for proposeWait at most. Errors: ErrNotHere
// on workers, ErrNoLeader when there was none in time, ErrUnknown when the items
// may have been committed (or may still be), ErrBusy, ErrStalled.
func (p *Port) Propose(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	waiting, cancel := context.WithTimeout(ctx, proposeWait)
	defer cancel()
	for {
		results, index, err := p.proposeOnce(ctx, items)
		if err == nil || !retryable(err) {
			return results, index, err
		}
		if !sleep(waiting, proposePause) {
			return nil, 0, fmt.Errorf("%w: %w", ErrNoLeader, err)
		}
	}
}

// retryable holds for errors after which nothing can have been committed, and
// another voter may lead meanwhile.
func retryable(err error) bool {
	return errors.Is(err, ErrNotLeader) || errors.Is(err, ErrNoLeader) || NotSent(err)
}

func (p *Port) proposeOnce(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	log := p.log()
	if log == nil {
		return nil, 0, ErrNotHere
	}
	if log.IsLeader() {
		results, index, err := log.Propose(ctx, items)
		return results, index, p.translate(err)
	}
	leader, ok := log.Leader()
	if !ok || leader == p.self {
		return nil, 0, ErrNoLeader
	}
	body, err := wire.EncodeEntry(fleet.Entry{Items: items})
	if err != nil {
		return nil, 0, fmt.Errorf("encode proposal: %w", err)
	}
	ctx, cancel := untilDeposed(ctx, log, leader)
	defer cancel()
	var out ProposeAnswer
	if err := p.call(ctx, leader, PathPropose, body, &out); err != nil {
		return nil, 0, err
	}
	if len(out.Results) != len(items) {
		return nil, 0, fmt.Errorf("%d results for %d commands: %w", len(out.Results), len(items), ErrMalformed)
	}
	return decodeResults(out.Results), out.Index, nil
}

// untilDeposed ends a call to a leader that stands still once another leads: it
// will not answer before the caller has given up.
func untilDeposed(ctx context.Context, log Log, leader fleet.HostID) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for sleep(ctx, proposePause) {
			if now, ok := log.Leader(); ok && now != leader {
				cancel()
			}
		}
	}()
	return ctx, cancel
}

func (p *Port) translate(err error) error {
	if err == nil || p.cfg.Translate == nil {
		return err
	}
	return p.cfg.Translate(err)
}

// proposeHere commits another voter's items. It never forwards: two voters that
// take each other for the leader would pass them for ever.
func (p *Port) proposeHere(c *call) (any, error) {
	if !c.log.IsLeader() {
		return nil, ErrNotLeader
	}
	entry, err := wire.DecodeEntry(c.body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(entry.Items) == 0 {
		return nil, fmt.Errorf("no commands: %w", ErrMalformed)
	}
	results, index, err := c.log.Propose(c.ctx, entry.Items)
	if err != nil {
		return nil, p.translate(err)
	}
	return ProposeAnswer{Index: index, Results: encodeResults(results)}, nil
}
