package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"skein/agent/peer/rpc"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// joinRoutes serve newcomers, who have a token and no certificate.
func (p *Port) joinRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+trust.JoinPath, p.serveJoin)
	return mux
}

func (p *Port) serveJoin(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close") // one answer a connection: see MaxHalfOpen
	ctx, cancel := context.WithTimeout(r.Context(), rpc.CallTime)
	defer cancel()
	grant, name, err := p.joinAnonymous(ctx, w, r)
	if err != nil {
		rpc.Refuse(w, err)
		p.limitedLog.Warn("join refused", "join refused", "host", name, "from", r.RemoteAddr, "err", err)
		return
	}
	p.cfg.Logs.Info("host joined", "host", grant.Name, "zone", grant.Zone, "id", grant.Host, "from", r.RemoteAddr)
	rpc.Answer(w, grant)
}

// joinAnonymous also returns the name asked for, for the log.
func (p *Port) joinAnonymous(ctx context.Context, w http.ResponseWriter, r *http.Request) (trust.Grant, string, error) {
	body, err := rpc.ReadBody(w, r, trust.MaxJoinBody, joinBodyTime)
	if err != nil {
		return trust.Grant{}, "", err
	}
	var ask trust.JoinRequest
	if err = wire.Unmarshal(body, &ask); err != nil {
		return trust.Grant{}, "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	select {
	case p.joining <- struct{}{}:
		defer func() { <-p.joining }()
	default:
		return trust.Grant{}, ask.Name, fmt.Errorf("%d joins under way: %w", joinInFlight, ErrBusy)
	}
	grant, err := p.admitNewcomer(ctx, ask, body)
	return grant, ask.Name, err
}

// proposeJoin bounds how many newcomers with good tokens cost a commit.
func (p *Port) proposeJoin(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	if !p.joins.Allow() {
		return nil, 0, fmt.Errorf("over %d joins a second: %w", joinsPerSecond, ErrBusy)
	}
	return p.Propose(ctx, items)
}

// admitNewcomer decides here on a voter whose clock is right, and passes the
// request on to another one else. Again with the same token and key is safe, so
// the next voter is asked whenever one cannot decide.
func (p *Port) admitNewcomer(ctx context.Context, ask trust.JoinRequest, body []byte) (trust.Grant, error) {
	err := error(ErrNoVoter)
	if p.log() != nil {
		var grant trust.Grant
		if grant, err = p.admitHere(ctx, ask); !errors.Is(err, trust.ErrClock) {
			return grant, err
		}
	}
	for _, voter := range p.Voters() {
		if voter == p.self {
			continue
		}
		var grant trust.Grant
		asked := p.call(ctx, voter, PathJoin, body, &grant)
		if asked == nil {
			return grant, nil
		}
		if !elsewhere(asked) {
			return trust.Grant{}, asked
		}
		if !errors.Is(err, trust.ErrClock) {
			err = asked // two clocks that differ are what a person must hear of
		}
	}
	if errors.Is(err, trust.ErrClock) {
		return trust.Grant{}, err // no other try will set a clock right
	}
	return trust.Grant{}, fmt.Errorf("%w: %w", trust.ErrTryAgain, err)
}

// admitHere decides on a voter.
func (p *Port) admitHere(ctx context.Context, ask trust.JoinRequest) (grant trust.Grant, err error) {
	err = p.surely(ctx, func() error {
		grant, err = p.admission.Admit(ctx, ask)
		return err
	})
	return grant, err
}

// elsewhere holds for errors that say nothing about the request: another voter
// may answer it.
func elsewhere(err error) bool {
	if rpc.NotSent(err) {
		return true
	}
	for _, e := range []error{ErrUnknown, ErrNoLeader, ErrNotLeader, ErrNotHere, ErrBusy, ErrBehind, ErrStalled,
		trust.ErrTryAgain, trust.ErrNoFleetKey, trust.ErrUnknownHost, fleet.ErrNoFleet, trust.ErrExpired,
		trust.ErrNotYetValid, trust.ErrClock} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (p *Port) joinForwarded(c *call) (any, error) {
	ask, err := decode[trust.JoinRequest](c)
	if err != nil {
		return nil, err
	}
	grant, err := p.admitHere(c.ctx, ask)
	if err != nil {
		return nil, err
	}
	p.cfg.Logs.Info("host joined", "host", grant.Name, "zone", grant.Zone, "id", grant.Host, "through", c.peer.Host)
	return grant, nil
}
