package peer

import (
	"context"
	"errors"
	"fmt"

	"skein/raftfsm/fleet"
)

// currentAnswer is the index up to which a leader's State holds all that was
// acknowledged when it was asked.
type currentAnswer struct {
	Index uint64 `cbor:"1,keyasint"`
}

// currentIndex answers on the leader only, after a quorum has confirmed it.
func (p *Port) currentIndex(c *call) (any, error) {
	if !c.log.IsLeader() {
		return nil, ErrNotLeader
	}
	if err := p.translate(c.log.Verify(c.ctx)); err != nil {
		return nil, err
	}
	return currentAnswer{Index: c.log.State().Index()}, nil
}

// becomeCurrent returns once State here holds all that the fleet acknowledged
// before the call, or why it does not.
func (p *Port) becomeCurrent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	log := p.log()
	if log == nil {
		return ErrNotHere
	}
	if log.IsLeader() {
		return p.translate(log.Verify(ctx))
	}
	leader, ok := log.Leader()
	if !ok || leader == p.self {
		return ErrNoLeader
	}
	var current currentAnswer
	if err := p.call(ctx, leader, PathCurrent, nil, &current); err != nil {
		return err
	}
	for log.State().Index() < current.Index {
		if !sleep(ctx, coalesce) {
			return fmt.Errorf("at index %d, the leader at %d: %w", log.State().Index(), current.Index, ErrBehind)
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
		return fmt.Errorf("the token is unknown here, and whether the fleet knows it cannot be told now: %w: %w", ErrBusy, behind)
	}
	return check()
}
