package peer

import (
	"context"
	"errors"
	"fmt"

	"skein/agent/peer/relay"
	"skein/agent/peer/stream"
	"skein/raftfsm/fleet"
)

// currentAsk asks the leader how far its State is.
type currentAsk struct {
	Left int `cbor:"1,keyasint,omitempty"` // how many more calls may be made to bring it to the leader
}

// currentAnswer is the index up to which a leader's State holds all that was
// acknowledged when it was asked.
type currentAnswer struct {
	Index uint64 `cbor:"1,keyasint"`
}

func (p *Port) currentHere(c *call) (any, error) {
	var ask currentAsk
	if len(c.body) > 0 {
		var err error
		if ask, err = decode[currentAsk](c); err != nil {
			return nil, err
		}
	}
	if err := relay.CheckLeft(ask.Left); err != nil {
		return nil, err
	}
	index, err := p.askCurrent(c.ctx, c.log, ask.Left)
	if err != nil {
		return nil, err
	}
	return currentAnswer{Index: index}, nil
}

// askCurrent is the leader's index, told after a quorum has confirmed it; with at
// most so many calls.
func (p *Port) askCurrent(ctx context.Context, log Log, calls int) (uint64, error) {
	if log.IsLeader() {
		if err := p.translate(log.Verify(ctx)); err != nil {
			return 0, err
		}
		return log.State().Index(), nil
	}
	var out currentAnswer
	err := p.askLeader(ctx, log, PathCurrent, calls, func(left int) any { return currentAsk{Left: left} }, &out)
	return out.Index, err
}

// becomeCurrent returns once State here holds all that the fleet acknowledged
// before the call, or why it does not.
func (p *Port) becomeCurrent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stream.CatchUp)
	defer cancel()
	log := p.log()
	if log == nil {
		return ErrNotHere
	}
	index, err := p.askCurrent(ctx, log, relay.MaxAway)
	if err != nil {
		return err
	}
	for log.State().Index() < index {
		if !sleep(ctx, stream.Coalesce) {
			return fmt.Errorf("at index %d, the leader at %d: %w", log.State().Index(), index, ErrBehind)
		}
	}
	return nil
}

// surely makes a refused token's refusal final: a token made through another
// voter a moment ago is unknown here until State has caught up, so check is asked
// again then. While this voter cannot catch up the answer is ErrBusy, not a no.
func (p *Port) surely(ctx context.Context, check func() error) error {
	err := check()
	if !errors.Is(err, fleet.ErrTokenRefused) {
		return err
	}
	if !p.doubts.Allow() {
		return fmt.Errorf("over %d unknown tokens a second: %w", doubtsPerSecond, ErrBusy)
	}
	if behind := p.becomeCurrent(ctx); behind != nil {
		return fmt.Errorf("the token is unknown here, and whether the fleet knows it cannot be told now: %w: %w", ErrBusy,
			behind)
	}
	return check()
}
