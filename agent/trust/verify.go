package trust

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"skein/raftfsm/fleet"
)

// Peer is who is at the other end of a connection, as its certificate says.
type Peer struct {
	Host      fleet.HostID
	Key       string // see KeyHash
	Public    crypto.PublicKey
	Serial    string
	NotBefore time.Time
	NotAfter  time.Time
}

// Valid is nil while the certificate is good. A peer whose certificate is over, or
// not valid yet, may only renew.
func (p Peer) Valid(now time.Time) error {
	switch {
	case now.After(p.NotAfter):
		return fmt.Errorf("%s: %w", p.Host, ErrExpired)
	case now.Before(p.NotBefore):
		return fmt.Errorf("%s: %w: from %s, and it is %s here; are the clocks right?", p.Host, ErrNotYetValid,
			clockText(p.NotBefore), clockText(now))
	}
	return nil
}

// verifyPeer checks a peer's certificates against the fleet's authority. One that
// expired less than RenewWindow ago passes, and so does one that is not valid yet:
// whoever calls must ask Valid before it answers anything but a renewal.
func verifyPeer(
	certs []*x509.Certificate, roots *x509.CertPool, id fleet.FleetID, usage x509.ExtKeyUsage, now time.Time,
) (Peer, error) {
	if len(certs) == 0 {
		return Peer{}, ErrNoCertificate
	}
	if len(certs) > maxCertificates {
		return Peer{}, fmt.Errorf("chain of %d certificates: %w", len(certs), ErrBadCertificate)
	}
	leaf := certs[0]
	if now.After(leaf.NotAfter.Add(RenewWindow)) {
		return Peer{}, fmt.Errorf("%w at %s, too long ago to renew: join again", ErrExpired, clockText(leaf.NotAfter))
	}
	at := now
	switch {
	case now.After(leaf.NotAfter):
		at = leaf.NotAfter
	case now.Before(leaf.NotBefore):
		at = leaf.NotBefore
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		var foreign x509.UnknownAuthorityError
		if errors.As(err, &foreign) {
			return Peer{}, ErrForeignAuthority
		}
		return Peer{}, fmt.Errorf("%w: %w", ErrBadCertificate, err)
	}
	peer, fleetID, err := parsePeer(leaf)
	if err != nil {
		return Peer{}, err
	}
	if fleetID != id {
		return Peer{}, fmt.Errorf("%w: %s", ErrForeignFleet, fleetID)
	}
	return peer, nil
}

func parsePeer(leaf *x509.Certificate) (Peer, fleet.FleetID, error) {
	if leaf.IsCA || len(leaf.URIs) != 1 || len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) != 0 {
		return Peer{}, "", fmt.Errorf("want one host name and no other: %w", ErrBadCertificate)
	}
	id, host, err := parseHostURI(leaf.URIs[0])
	if err != nil {
		return Peer{}, "", err
	}
	key, err := KeyHash(leaf.PublicKey)
	if err != nil {
		return Peer{}, "", fmt.Errorf("%w: %w", ErrBadCertificate, err)
	}
	return Peer{
		Host: host, Key: key, Public: leaf.PublicKey, Serial: leaf.SerialNumber.Text(16),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}, id, nil
}

// PeerOf names the other end of a connection whose handshake a configuration of
// this package has verified.
func PeerOf(state tls.ConnectionState) (Peer, error) {
	if len(state.PeerCertificates) == 0 {
		return Peer{}, ErrNoCertificate
	}
	peer, _, err := parsePeer(state.PeerCertificates[0])
	return peer, err
}
