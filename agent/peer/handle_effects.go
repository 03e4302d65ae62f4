package peer

import (
	"context"
	"fmt"

	"skein/agent/effects"
	"skein/raftfsm/fleet"
)

// takeEffect carries out what a leader handed to this host, or says what became of it.
func (p *Port) takeEffect(c *call) (any, error) {
	request, err := decode[effects.Request](c)
	if err != nil {
		return nil, err
	}
	if err := request.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return p.runners.Take(c.ctx, request), nil
}

// AskEffect has a host, which may be this one, carry out an attempt that was handed to
// it, or say what became of it. Again is safe.
func (p *Port) AskEffect(ctx context.Context, host fleet.HostID, r effects.Request) (effects.Answer, error) {
	var out effects.Answer
	return out, p.call(ctx, host, PathEffects, r, &out)
}
