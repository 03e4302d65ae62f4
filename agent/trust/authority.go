package trust

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// Authorization is what this host knows of another: what it may do, whatever its
// certificate says.
type Authorization struct {
	State   fleet.HostState
	Revoked bool
	Key     string // the public key admitted (see KeyHash); empty where it is not known
	Voter   bool   // has a voter row in any phase that is not removed
}

// Authority says what hosts may do. It is asked on every call and must be quick.
type Authority interface {
	// Authorization returns false for hosts that were never admitted, or not yet here.
	Authorization(host fleet.HostID) (Authorization, bool)
}

// NewAuthority reads standings from State, and from the roster where there is
// none (workers) or where the roster is newer (a voter that comes back after
// others were replaced would else refuse them, and so never catch up). Either
// function may answer nothing: a nil State, a zero Roster.
//
// A worker has only the chain, the id it dialled and the voters it knows: it
// cannot see that a host was forgotten, so it must not serve what matters to
// anybody but voters.
func NewAuthority(state func() *fleet.State, roster func() Roster) Authority {
	return &authority{state: state, roster: roster}
}

type authority struct {
	state  func() *fleet.State
	roster func() Roster
}

func (a *authority) Authorization(host fleet.HostID) (Authorization, bool) {
	roster := a.roster()
	st := a.state()
	var row *fleet.Fleet
	if st != nil {
		row = st.Fleet()
	}
	if row == nil {
		return Authorization{State: fleet.HostReady, Voter: roster.Has(host)}, true
	}
	newer := roster.Newer(Roster{Epoch: row.Epoch, Index: st.Index()})
	h := st.Host(host)
	if h == nil {
		// Admitted, and made a voter, after the State held here.
		return Authorization{State: fleet.HostJoining, Voter: true}, newer && roster.Has(host)
	}
	s := Authorization{State: h.State, Revoked: h.Cert.Revoked, Key: h.Cert.PublicKey, Voter: isVoter(st, host)}
	if newer {
		s.Voter = roster.Has(host)
	}
	return s, true
}

func isVoter(st *fleet.State, host fleet.HostID) bool {
	for v := range st.Voters() {
		if v.Host == host {
			return true
		}
	}
	return false
}

// Check refuses a peer that the fleet does not, or no longer, let in. It does
// not look at the certificate's end.
func Check(a Authority, p Peer) (Authorization, error) {
	s, known := a.Authorization(p.Host)
	switch {
	case !known:
		return s, fmt.Errorf("%s: %w", p.Host, ErrUnknownHost)
	case s.State == fleet.HostForgotten:
		return s, fmt.Errorf("%s: %w", p.Host, fleet.ErrForgotten)
	case s.Revoked:
		return s, fmt.Errorf("%s: %w", p.Host, ErrRevoked)
	case s.Key != "" && s.Key != p.Key:
		return s, fmt.Errorf("%s: %w", p.Host, ErrWrongKey)
	}
	return s, nil
}

// CheckVoter is Check, and refuses workers.
func CheckVoter(a Authority, p Peer) error {
	s, err := Check(a, p)
	if err != nil {
		return err
	}
	if !s.Voter {
		return fmt.Errorf("%s: %w", p.Host, ErrNotVoter)
	}
	return nil
}
