package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"skein/agent/api"
	"skein/agent/api/view"
	"skein/agent/peer"
	"skein/agent/plan"
	"skein/agent/trust"
	"skein/gossip"
	"skein/raftfsm"
	"skein/raftfsm/fleet"
)

// apiVoter is the log as the API asks for it.
type apiVoter struct {
	*raftfsm.Node
	port *peer.Port
}

// Age is how long ago the State here was known to be the newest.
func (v apiVoter) Age() time.Duration { return v.port.LeaderAge() }

// Traffic is what hosts count of target groups, on the leader.
func (v apiVoter) Traffic(groups []fleet.TargetGroupName) plan.Traffic {
	return v.port.FailureDetector().Show(groups)
}

// Propose gives errors the names the API knows.
func (v apiVoter) Propose(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	results, index, err := v.Node.Propose(ctx, items)
	return results, index, toAPI(err)
}

// Verify gives errors the names the API knows.
func (v apiVoter) Verify(ctx context.Context) error { return toAPI(v.Node.Verify(ctx)) }

func toAPI(err error) error {
	for _, pair := range []struct{ from, to error }{
		{raftfsm.ErrUnknown, api.ErrUnknown}, // first: whatever else the error says
		{raftfsm.ErrNotLeader, api.ErrNotLeader},
		{raftfsm.ErrClosed, api.ErrNotLeader},
		{raftfsm.ErrStalled, api.ErrNotLeader}, // it was not sent, and another will lead
		{raftfsm.ErrBusy, api.ErrBusy},
		{raftfsm.ErrTooLarge, fleet.ErrInvalid},
		{fleet.ErrFormatAhead, fleet.ErrFormatAhead},
		{raftfsm.ErrUnencodable, fleet.ErrInvalid},
	} {
		if errors.Is(err, pair.from) {
			return fmt.Errorf("%w: %w", pair.to, err)
		}
	}
	return err
}

// apiMembers is the gossip ring as the API asks for it.
type apiMembers struct{ *gossip.Ring }

// Members are the hosts of the ring.
func (m apiMembers) Members() []view.Member {
	members := m.Ring.Members()
	out := make([]view.Member, len(members))
	for i, member := range members {
		out[i] = view.Member{
			Host: member.Host, Name: member.Name, Zone: member.Zone, Role: member.Role,
			Version: member.Version, Addr: member.Peer, Alive: !member.Suspect,
		}
	}
	return out
}

// apiTokens makes and reads tokens for the API.
type apiTokens struct{ identity *trust.IdentityStore }

// Mint makes a token of the fleet.
func (t apiTokens) Mint(kind fleet.TokenKind, f *fleet.Fleet) (fleet.TokenID, string, []byte, error) {
	token, err := trust.NewOperatorToken(f.ID, nil)
	if kind == fleet.TokenJoin {
		token, err = trust.NewJoinToken(f.ID, t.identity.CADigest(), nil)
	}
	return token.ID, token.Text(), token.Hash(), err
}

// Read takes a token's text apart.
func (t apiTokens) Read(text string) (fleet.TokenID, []byte, error) {
	token, err := trust.ParseToken(text)
	return token.ID, token.Hash(), err
}

// forwarded is the API for requests that came over the peer port: a voter has
// checked its caller already, a worker's request shows an operator token.
func forwarded(a *api.API) http.Handler {
	voter, worker := a.Handler(api.TrustVoter), a.Handler(api.TrustToken)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if caller, ok := peer.CallerFrom(r.Context()); ok && caller.Voter {
			voter.ServeHTTP(w, r)
			return
		}
		worker.ServeHTTP(w, r)
	})
}
