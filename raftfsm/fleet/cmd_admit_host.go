package fleet

import (
	"crypto/subtle"
	"fmt"
	"slices"
)

// AdmitHost lets a host in on a join token. The same token and key get the same
// answer again; a token spent by another key or expired, and a name that is
// taken by another key, are refused. IDs[0] is the HostID.
type AdmitHost struct {
	Token      TokenID   `cbor:"1,keyasint"`
	SecretHash []byte    `cbor:"2,keyasint"` // sha256 of the secret shown
	Host       Admission `cbor:"3,keyasint"` // ID is the proposer's choice, used unless the key is known
}

// Kind is the command's number in the log.
func (AdmitHost) Kind() Kind { return KindAdmitHost }

func (c AdmitHost) apply(s *State, x *applyContext) ([]string, error) {
	token, err := s.joinToken(c.Token, c.SecretHash)
	if err != nil {
		return nil, err
	}
	if err := c.Host.check(); err != nil {
		return nil, err
	}
	key := c.Host.PublicKey
	known := s.HostByKey(key)
	if slices.Contains(token.BoundKeys, key) && (known == nil || !known.Cert.Revoked) {
		if known == nil {
			return nil, refuse(ErrTokenRefused, "admit %s: the host it admitted with this key was forgotten", c.Host.Name)
		}
		return []string{string(known.ID)}, nil
	}
	if err := c.checkNew(s, x, token, known); err != nil {
		return nil, err
	}
	used := *token
	used.Uses--
	used.UsedAt = x.now
	if !slices.Contains(token.BoundKeys, key) {
		used.BoundKeys = append(slices.Clone(token.BoundKeys), key)
	}
	s.putToken(x, used)
	host := c.Host.host(x)
	if known != nil {
		host = *known
		host.Name, host.Zone, host.Attributes, host.Cert.Revoked = c.Host.Name, c.Host.Zone, c.Host.Attributes, false
	}
	s.putHost(x, host)
	s.recordEvent(x, Event{By: "host " + host.Name, Code: "host-admitted", Subject: subjectOf(&host),
		Message: fmt.Sprintf("%s joined in zone %s", host.Name, host.Zone)})
	return []string{string(host.ID)}, nil
}

// checkNew refuses an admission that is no retry of an earlier one.
func (c AdmitHost) checkNew(s *State, x *applyContext, token *Token, known *Host) error {
	name := c.Host.Name
	if token.NotAfter <= x.now {
		return refuse(ErrTokenRefused, "admit %s: the token expired at %s", name, token.NotAfter)
	}
	if token.Uses <= 0 {
		return refuse(ErrTokenRefused, "admit %s: the token was used up by other hosts", name)
	}
	if other := s.HostByName(name); other != nil && (known == nil || other.ID != known.ID) {
		return refuse(ErrNameTaken,
			"admit %s: %s has that name; choose another, or, if that host is gone for good: skein hosts forget %s", name,
			other.ID, name)
	}
	if known != nil {
		return nil
	}
	if s.Host(c.Host.ID) != nil {
		return refuse(ErrExists, "admit %s as %s", name, c.Host.ID)
	}
	if s.hosts.Len() >= MaxHosts {
		return refuse(ErrLimit, "admit %s: the fleet has %d hosts, forgotten ones included", name, MaxHosts)
	}
	return nil
}

// joinToken finds a join token and compares its secret; it does not tell a
// stranger which of both was wrong.
func (s *State) joinToken(id TokenID, hash []byte) (*Token, error) {
	token := s.Token(id)
	if token == nil || token.Kind != TokenJoin || subtle.ConstantTimeCompare(token.Hash, hash) != 1 {
		return nil, refuse(ErrTokenRefused, "admit host: no such join token")
	}
	return token, nil
}
