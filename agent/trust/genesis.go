package trust

import (
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"

	"skein/raftfsm/fleet"
)

// genesis is everything a new fleet is made of.
type genesis struct {
	Bootstrap
	fleetKey Secret
	key      *ecdsa.PrivateKey // the first host's
	grant    Grant             // the first host's
}

func newGenesis(o InitOptions) (*genesis, error) {
	ids := make([]string, 2)
	for i, prefix := range []string{"f-", "h-"} {
		id, err := newID(o.Chance, prefix)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	id, host := fleet.FleetID(ids[0]), fleet.HostID(ids[1])
	authority, err := newAuthority(id, o.Now)
	if err != nil {
		return nil, err
	}
	b := &genesis{}
	if b.key, err = newKey(); err != nil {
		return nil, err
	}
	if err = b.issue(o, authority, host); err != nil {
		return nil, err
	}
	sealed, err := b.sealed(o, authority)
	if err != nil {
		return nil, err
	}
	return b, b.commands(o, sealed)
}

// issue makes the first host's own grant.
func (b *genesis) issue(o InitOptions, authority *signer, host fleet.HostID) error {
	cert, err := authority.sign(host, b.key.Public(), o.Now)
	if err != nil {
		return err
	}
	gossip, err := randomBytes(o.Chance, keySize)
	if err != nil {
		return err
	}
	b.grant = Grant{
		Fleet: authority.fleet, Host: host, Name: o.Name, Zone: o.Zone,
		Certificate: cert, CABundle: encodeCertificate(authority.cert.Raw), Gossip: []Secret{gossip},
		Roster: Roster{Voters: []RosterVoter{{Host: host, Addr: o.Addr, Voting: true}}},
	}
	return nil
}

func (b *genesis) sealed(o InitOptions, authority *signer) (keys fleet.SealedKeys, err error) {
	if b.fleetKey, err = randomBytes(o.Chance, keySize); err != nil {
		return keys, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(authority.key)
	if err != nil {
		return keys, fmt.Errorf("authority key does not encode")
	}
	return SealKeys(b.fleetKey, authority.fleet, sealedVersion, der, b.grant.Gossip, o.Chance)
}

func (b *genesis) commands(o InitOptions, sealed fleet.SealedKeys) error {
	public, err := KeyHash(b.key.Public())
	if err != nil {
		return err
	}
	b.RaftID = fleet.MakeRaftID(b.grant.Host, firstLog)
	b.Init = fleet.Item{By: "operator", Command: fleet.InitFleet{
		ID: b.grant.Fleet, Name: o.FleetName, CABundle: b.grant.CABundle, SealedKeys: sealed, RaftID: b.RaftID,
		Format: fleet.FormatVersion,
		Host: fleet.Admission{ID: b.grant.Host, Name: o.Name, Zone: o.Zone, Addr: o.Addr, Attributes: o.Attributes,
			PublicKey: public},
	}}
	token, err := NewOperatorToken(b.grant.Fleet, o.Chance)
	if err != nil {
		return err
	}
	b.OperatorToken = fleet.Item{By: "operator", Reason: "first operator token", Command: token.Put(o.Now, 0, 0)}
	b.OperatorText = token.Text()
	return nil
}
