package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"skein/raftfsm/fleet"
)

// openSigner opens the authority: its key is sealed in State, its certificate
// is the one of cas that carries the same key.
func openSigner(
	fleetKey Secret, id fleet.FleetID, sealed fleet.SealedKeys, cas []*x509.Certificate,
) (*signer, []Secret, error) {
	der, gossip, err := OpenKeys(fleetKey, id, sealed)
	if err != nil {
		return nil, nil, err
	}
	key, err := decodeKeyDER(der)
	if err != nil {
		return nil, nil, fmt.Errorf("authority key: %w", ErrSealed)
	}
	for _, ca := range cas {
		public, ok := ca.PublicKey.(*ecdsa.PublicKey)
		if ok && public.Equal(key.Public()) {
			return &signer{fleet: id, key: key, cert: ca}, gossip, nil
		}
	}
	return nil, nil, fmt.Errorf("sealed authority key is of no certificate in the bundle: %w", ErrForeignAuthority)
}

// Issuer signs certificates on a voter: it needs the fleet key and State, and
// neither a leader nor a commit. Safe for concurrent use.
type Issuer struct {
	store *IdentityStore
	state func() *fleet.State

	mu      sync.Mutex
	version int // of the sealed keys that are open; 0: none
	signer  *signer
	gossip  []Secret
}

// NewIssuer makes an issuer; it opens nothing before it is first asked. state
// may return nil on a worker.
func NewIssuer(identity *IdentityStore, state func() *fleet.State) *Issuer {
	return &Issuer{store: identity, state: state}
}

// Grant signs a certificate for a host of State and adds what comes along.
// ErrNoFleetKey on workers, fleet.ErrNoFleet before the fleet is known here,
// ErrUnknownHost when State does not have the host (yet).
func (i *Issuer) Grant(host fleet.HostID, public crypto.PublicKey, now time.Time) (Grant, error) {
	st := i.state()
	if st == nil {
		return Grant{}, ErrNoFleetKey
	}
	row := st.Fleet()
	if row == nil {
		return Grant{}, fleet.ErrNoFleet
	}
	h := st.Host(host)
	if h == nil {
		return Grant{}, fmt.Errorf("%s: %w", host, ErrUnknownHost)
	}
	authority, gossip, err := i.open(row)
	if err != nil {
		return Grant{}, err
	}
	cert, err := authority.sign(host, public, now)
	if err != nil {
		return Grant{}, err
	}
	return Grant{
		Fleet: row.ID, Host: host, Name: h.Name, Zone: h.Zone,
		Certificate: cert, CABundle: row.CABundle, Gossip: gossip, Roster: RosterOf(st),
	}, nil
}

func (i *Issuer) open(row *fleet.Fleet) (*signer, []Secret, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	// Read each time: a voter that retires deletes the file, and must then be
	// unable to sign whatever it has in memory.
	key, err := i.store.FleetKey()
	if err != nil {
		i.version, i.signer, i.gossip = 0, nil, nil
		return nil, nil, err
	}
	if i.signer != nil && i.version == row.SealedKeys.Version {
		return i.signer, i.gossip, nil
	}
	cas, err := decodeCertificates(row.CABundle)
	if err != nil {
		return nil, nil, err
	}
	i.signer, i.gossip, err = openSigner(key, row.ID, row.SealedKeys, cas)
	if err != nil {
		return nil, nil, err
	}
	i.version = row.SealedKeys.Version
	return i.signer, i.gossip, nil
}

// Renew gives a peer a new certificate for the key it has proven to hold. It is
// the renewal route: a certificate that expired less than RenewWindow ago, or is not
// valid yet, is good enough, provided the host is not forgotten, its certificate not revoked, and
// its key the one admitted.
func (i *Issuer) Renew(peer Peer, now time.Time) (Grant, error) {
	st := i.state()
	if st == nil {
		return Grant{}, ErrNoFleetKey
	}
	if now.After(peer.NotAfter.Add(RenewWindow)) {
		return Grant{}, fmt.Errorf("renew %s: %w too long ago: join again", peer.Host, ErrExpired)
	}
	_, err := Check(NewAuthority(func() *fleet.State { return st }, func() Roster { return Roster{} }), peer)
	if err != nil {
		return Grant{}, fmt.Errorf("renew: %w", err)
	}
	grant, err := i.Grant(peer.Host, peer.Public, now)
	if err != nil {
		return Grant{}, fmt.Errorf("renew: %w", err)
	}
	return grant, nil
}

// RenewSelf renews this host's own certificate in place, with no network: what
// a voter does, also after years in a cupboard.
func (i *Issuer) RenewSelf(now time.Time) error {
	cert := i.store.Certificate()
	grant, err := i.Grant(i.store.Host(), cert.Leaf.PublicKey, now)
	if err != nil {
		return fmt.Errorf("renew own certificate: %w", err)
	}
	return i.store.PutGrant(grant)
}
