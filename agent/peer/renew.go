package peer

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"skein/agent/trust"
)

// RenewRequest asks for a new certificate for the key of the connection. Agents of
// former builds send nothing.
type RenewRequest struct {
	ClockMs int64 `cbor:"1,keyasint,omitempty"` // the host's clock, UTC
}

func (p *Port) renew(c *call) (any, error) {
	var ask RenewRequest
	if len(c.body) > 0 {
		var err error
		if ask, err = decode[RenewRequest](c); err != nil {
			return nil, err
		}
	}
	if err := p.maySign(trust.ClockOf(ask.ClockMs)); err != nil {
		return nil, err
	}
	now := p.cfg.Clock.Now()
	grant, err := p.issuer.Renew(c.peer, now)
	if err != nil {
		return nil, err
	}
	p.cfg.Logs.Info("certificate renewed", "host", grant.Name, "expired", errors.Is(c.peer.Valid(now), trust.ErrExpired))
	return grant, nil
}

// maySign refuses to sign by this voter's clock where that is off the fleet's.
// caller is the clock of who asks, zero where it was not told.
func (p *Port) maySign(caller time.Time) error {
	return p.detector.clockStanding().MaySign(p.cfg.Clock.Now(), caller)
}

// runRenewal keeps this host's certificate valid: a voter signs its own, others
// ask any voter.
func (l *Link) runRenewal(ctx context.Context) {
	for {
		wait := l.renewIn()
		if wait > 0 {
			// Looked at again now and then: the wall clock may jump.
			if !sleep(ctx, min(wait, renewAgain)) {
				return
			}
			continue
		}
		err := l.renew(ctx)
		cert := l.p.cfg.Identity.Certificate().Leaf
		switch {
		case err != nil:
			l.cfg.Logs.Warn("certificate not renewed", "err", err, "not_after", cert.NotAfter)
		case l.renewIn() <= 0:
			l.cfg.Logs.Warn("the renewed certificate is not good by this host's clock, which may be wrong",
				"not_before", cert.NotBefore, "not_after", cert.NotAfter, "clock", l.cfg.Clock.Now())
		default:
			continue
		}
		if !sleep(ctx, renewAgain/2+rand.N(renewAgain)) {
			return
		}
	}
}

func (l *Link) renewIn() time.Duration {
	return trust.RenewIn(l.p.cfg.Identity.Certificate().Leaf, l.p.self, l.cfg.Clock.Now())
}

// renew has this voter sign its own certificate, or asks the voters in turn: one
// whose clock is off refuses, and the next may not.
func (l *Link) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	err := l.renewSelf()
	for _, voter := range l.p.Voters() {
		if err == nil {
			break
		}
		var grant trust.Grant
		ask := RenewRequest{ClockMs: l.cfg.Clock.Now().UnixMilli()}
		if asked := l.p.call(ctx, voter, PathRenew, ask, &grant); asked != nil {
			err = asked
			continue
		}
		err = l.p.cfg.Identity.PutGrant(grant)
	}
	if err != nil {
		return err
	}
	l.cfg.Logs.Info("own certificate renewed", "not_after", l.p.cfg.Identity.Certificate().Leaf.NotAfter)
	l.p.client.CloseIdle()
	return nil
}

// renewSelf signs by this host's clock. A voter whose clock is known to be off asks
// another voter instead. A voter that does not know renews itself, also after years
// without contact.
func (l *Link) renewSelf() error {
	if err := l.p.maySign(time.Time{}); err != nil {
		return err
	}
	return l.p.issuer.RenewSelf(l.cfg.Clock.Now())
}
