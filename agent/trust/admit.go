package trust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"skein/raftfsm/fleet"
)

// JoinRequest is what a newcomer asks with. The CSR proves that it holds the
// key; names inside the CSR are ignored.
type JoinRequest struct {
	Fleet      fleet.FleetID     `cbor:"1,keyasint"`
	Token      fleet.TokenID     `cbor:"2,keyasint"`
	Secret     Secret            `cbor:"3,keyasint"`
	CSR        []byte            `cbor:"4,keyasint"` // PEM
	Name       string            `cbor:"5,keyasint"`
	Zone       string            `cbor:"6,keyasint"`
	Addr       netip.AddrPort    `cbor:"7,keyasint"` // its peer port, as others dial it
	Attributes map[string]string `cbor:"8,keyasint,omitempty"`
	Format     int               `cbor:"9,keyasint,omitempty"`  // the newest that its agent reads; 0 means 1
	ClockMs    int64             `cbor:"10,keyasint,omitempty"` // the newcomer's clock, UTC; 0: not told
}

// Admission is a voter's side of joining.
type Admission struct {
	State   func() *fleet.State // nil on workers
	Propose func(context.Context, []fleet.Item) ([]fleet.Result, uint64, error)
	Issuer  *Issuer
	Now     func() time.Time
	// MaySign refuses to sign for a newcomer whose clock is at caller, zero where it
	// does not say (see ClockStanding); nil: never.
	MaySign func(caller time.Time) error
	Chance  io.Reader // for host ids; nil: the system's
}

// Admit lets a newcomer in on its token: checks it, has AdmitHost committed,
// signs its certificate. The same token and key get the same host again, so an
// answer that was lost is asked for again. ErrTryAgain when State here has not
// seen the commit yet, or the outcome is unknown.
func (d *Admission) Admit(ctx context.Context, r JoinRequest) (Grant, error) {
	st := d.State()
	if st == nil {
		return Grant{}, fmt.Errorf("join: %w", ErrNotVoter)
	}
	public, err := parseRequest(r.CSR)
	if err != nil {
		return Grant{}, fmt.Errorf("join: %w", err)
	}
	key, err := KeyHash(public)
	if err != nil {
		return Grant{}, fmt.Errorf("join: %w", err)
	}
	if err = r.check(); err != nil {
		return Grant{}, fmt.Errorf("join: %w", err)
	}
	// Before the token: a clock that is wrong would call a good one expired.
	if d.MaySign != nil {
		if err = d.MaySign(ClockOf(r.ClockMs)); err != nil {
			return Grant{}, fmt.Errorf("join: %w", err)
		}
	}
	if f := st.Fleet(); f != nil && max(r.Format, 1) < f.Format {
		return Grant{}, fmt.Errorf("join: the agent of %s reads format %d, the fleet is at %d: %w",
			r.Name, max(r.Format, 1), f.Format, fleet.ErrAgentTooOld)
	}
	token := PresentedToken{Kind: fleet.TokenJoin, Fleet: r.Fleet, ID: r.Token, Secret: r.Secret, Key: key}
	if err = VerifyToken(st, token, d.Now()); err != nil {
		return Grant{}, fmt.Errorf("join: %w", err)
	}
	host, err := d.commit(ctx, r, key)
	if err != nil {
		return Grant{}, fmt.Errorf("join: %w", err)
	}
	grant, err := d.Issuer.Grant(host, public, d.Now())
	if errors.Is(err, ErrUnknownHost) {
		return Grant{}, fmt.Errorf("join: admitted as %s, not seen here yet: %w", host, ErrTryAgain)
	}
	return grant, err
}

func (d *Admission) commit(ctx context.Context, r JoinRequest, key string) (fleet.HostID, error) {
	id, err := NewHostID(d.Chance)
	if err != nil {
		return "", err
	}
	admit := fleet.AdmitHost{Token: r.Token, SecretHash: hashSecret(r.Secret), Host: fleet.Admission{
		ID: id, Name: r.Name, Zone: r.Zone, Addr: r.Addr, Attributes: r.Attributes, PublicKey: key,
	}}
	results, _, err := d.Propose(ctx, []fleet.Item{{Command: admit, By: "host " + r.Name}})
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrTryAgain, err)
	case len(results) != 1:
		return "", fmt.Errorf("admit %s: %d results: %w", r.Name, len(results), ErrTryAgain)
	case results[0].Err != nil:
		return "", results[0].Err
	case len(results[0].IDs) != 1:
		return "", fmt.Errorf("admit %s: no host id: %w", r.Name, ErrTryAgain)
	}
	return fleet.HostID(results[0].IDs[0]), nil
}

func (r *JoinRequest) check() error {
	if err := checkName("name", r.Name); err != nil {
		return err
	}
	if err := checkName("zone", r.Zone); err != nil {
		return err
	}
	if !r.Addr.IsValid() || r.Addr.Port() == 0 || r.Addr.Addr().IsUnspecified() {
		return &fleet.FieldError{Field: "addr", Why: "want the address and port that others dial"}
	}
	if len(r.Attributes) > MaxAttributes {
		return &fleet.FieldError{Field: "attributes", Why: fmt.Sprintf("%d of them, at most %d", len(r.Attributes),
			MaxAttributes)}
	}
	for name, value := range r.Attributes {
		if name == "" || len(name) > MaxAttribute || len(value) > MaxAttribute {
			return &fleet.FieldError{Field: "attributes", Why: fmt.Sprintf("names and values have at most %d characters",
				MaxAttribute)}
		}
	}
	return nil
}

// maxName is the length of a DNS label: names of hosts and zones become parts
// of names elsewhere.
const maxName = 63

func checkName(field, name string) error {
	ok := name != "" && len(name) <= maxName
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = letter || i > 0 && (c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return &fleet.FieldError{Field: field,
			Why: fmt.Sprintf("%.*q: want 1 to %d letters, digits, '-', '_' or '.', beginning with a letter or digit", maxName,
				name, maxName)}
	}
	return nil
}
