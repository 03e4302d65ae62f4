package peer

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// Caller is who a forwarded API request comes from.
type Caller struct {
	Host     fleet.HostID  // the agent that forwarded
	Voter    bool          // it is a voter: the request was authenticated there
	Operator fleet.TokenID // the operator token shown, checked against State; empty for none
}

// MayWrite reports whether the request may change the fleet.
func (c Caller) MayWrite() bool { return c.Voter || c.Operator != "" }

type (
	peerKey   struct{}
	callerKey struct{}
)

// CallerFrom returns who forwarded an API request, or false when the request did
// not come by the peer port.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// access is who may make a call.
type access uint8

const (
	accessRenew  access = iota + 1 // any host of the fleet, also with a certificate that has expired or is not valid yet
	accessHost                     // any host of the fleet; what it says must be about itself
	accessVoter                    // hosts with a voter row
	accessReader                   // any host may read; writing takes a voter or an operator token
)

// admit checks a caller against State; its Authorization is as of now.
func (p *Port) admit(r *http.Request, need access) (trust.Peer, trust.Authorization, error) {
	peer, ok := r.Context().Value(peerKey{}).(trust.Peer)
	if !ok || peer.Host == "" {
		return peer, trust.Authorization{}, trust.ErrNoCertificate
	}
	authorization, err := trust.Check(p.authority, peer)
	if err != nil {
		return peer, authorization, err
	}
	if err := peer.Valid(p.cfg.Clock.Now()); err != nil && need != accessRenew {
		return peer, authorization, fmt.Errorf("%w: renew it first", err)
	}
	if need == accessVoter && !authorization.Voter {
		return peer, authorization, fmt.Errorf("%s: %w", peer.Host, trust.ErrNotVoter)
	}
	return peer, authorization, nil
}

// operator reads and checks the operator token of a request; empty when it shows
// none, an error when it shows a bad one.
func (p *Port) operator(r *http.Request) (fleet.TokenID, error) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", nil
	}
	token, err := trust.ParseToken(text)
	if err != nil {
		return "", fmt.Errorf("%w: %w", fleet.ErrTokenRefused, err)
	}
	if token.Kind != fleet.TokenOperator {
		return "", fmt.Errorf("%s: want an operator token: %w", token, fleet.ErrTokenRefused)
	}
	return token.ID, p.surely(r.Context(), func() error {
		st := p.state()
		if st == nil {
			return trust.ErrNotVoter
		}
		return trust.VerifyToken(st, token.Present(""), p.cfg.Clock.Now())
	})
}

// flight bounds calls that are being served.
type flight struct {
	mu    sync.Mutex
	total int
	hosts map[fleet.HostID]int
}

func newFlight() *flight { return &flight{hosts: map[fleet.HostID]int{}} }

func (f *flight) enter(host fleet.HostID, voter bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	limit := maxPerHost
	if voter {
		limit = maxPerVoter
	}
	if f.total >= maxInFlight || f.hosts[host] >= limit {
		return fmt.Errorf("%d calls are being served, %d of %s: %w", f.total, f.hosts[host], host, ErrBusy)
	}
	f.total++
	f.hosts[host]++
	return nil
}

func (f *flight) leave(host fleet.HostID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total--
	if f.hosts[host]--; f.hosts[host] <= 0 {
		delete(f.hosts, host)
	}
}
