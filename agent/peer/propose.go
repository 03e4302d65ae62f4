package peer

import (
	"context"
	"errors"
	"fmt"

	"skein/agent/peer/intake"
	"skein/agent/peer/relay"
	"skein/agent/peer/rpc"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// ProposeAnswer is the leader's answer to a forwarded proposal.
type ProposeAnswer struct {
	Index   uint64       `cbor:"1,keyasint"`
	Results []rpc.Result `cbor:"2,keyasint,omitempty"`
}

// Propose commits items from any voter: here when this one leads, else by the
// leader, through another voter where there is no link to it. It waits for a leader for intake.ProposeWait
// at most. Errors: ErrNotHere on workers, ErrNoLeader when there was none in time, ErrUnknown when
// the items may have been committed (or may still be), ErrBusy, ErrStalled.
func (p *Port) Propose(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	waiting, cancel := context.WithTimeout(ctx, intake.ProposeWait)
	defer cancel()
	for {
		results, index, err := p.proposeOnce(ctx, items)
		if err == nil || !retryable(err) {
			return results, index, err
		}
		if !sleep(waiting, intake.ProposePause) {
			return nil, 0, fmt.Errorf("%w: %w", ErrNoLeader, err)
		}
	}
}

// retryable holds for errors after which nothing can have been committed, and
// another voter may lead meanwhile.
func retryable(err error) bool {
	return intake.AgainElsewhere(err) || rpc.NotDone(err) && rpc.NotSent(err)
}

func (p *Port) proposeOnce(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	log := p.log()
	if log == nil {
		return nil, 0, ErrNotHere
	}
	return p.proposeBy(ctx, log, items, relay.MaxAway)
}

// proposeBy commits items here when this voter leads, else by the way it knows to
// the leader, with at most so many calls.
func (p *Port) proposeBy(ctx context.Context, log Log, items []fleet.Item, calls int) ([]fleet.Result, uint64, error) {
	if log.IsLeader() {
		results, index, err := log.Propose(ctx, items)
		return results, index, p.translate(err)
	}
	hop, err := p.nextHop(log, calls)
	if err != nil {
		return nil, 0, err
	}
	// A leader of an older build reads entries strictly: it gets no more than the
	// fleet's format has.
	if f := log.State().Fleet(); f != nil {
		if items, err = (fleet.Gate{}).Fit(items, f.Format); err != nil {
			return nil, 0, err
		}
	}
	body, err := wire.EncodeEntry(fleet.Entry{Items: items})
	if err != nil {
		return nil, 0, fmt.Errorf("encode proposal: %w", err)
	}
	ctx, _, cancel := p.untilMoved(ctx, log, hop)
	defer cancel()
	var out ProposeAnswer
	if hop.Through {
		err = p.proposeThrough(ctx, hop, body, &out)
	} else {
		err = p.call(ctx, hop.To, PathPropose, body, &out)
	}
	if err != nil {
		return nil, 0, err
	}
	if len(out.Results) != len(items) {
		return nil, 0, fmt.Errorf("%w: %d results for %d commands: %w", ErrUnknown, len(out.Results), len(items),
			ErrMalformed)
	}
	return rpc.DecodeResults(out.Results), out.Index, nil
}

// proposeThrough goes through another voter. One that holds no log any more has
// done nothing: another way is looked for.
func (p *Port) proposeThrough(ctx context.Context, hop relay.Hop, entry []byte, out *ProposeAnswer) error {
	err := p.call(ctx, hop.To, PathRelay, relayed{Left: hop.Left, Entry: entry}, out)
	if errors.Is(err, ErrNotHere) {
		return fmt.Errorf("%s: %v: %w", hop.To, err, ErrNoLeader)
	}
	return err
}

func (p *Port) translate(err error) error {
	if err == nil || p.cfg.Translate == nil {
		return err
	}
	return p.cfg.Translate(err)
}

// proposeHere commits another voter's items. It forwards nothing: the sender takes this
// voter for the leader, and asks again when it is not.
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
	return ProposeAnswer{Index: index, Results: rpc.EncodeResults(results)}, nil
}
