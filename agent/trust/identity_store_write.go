package trust

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

// Grant is what the fleet gives a host that joins or renews.
type Grant struct {
	Fleet       fleet.FleetID `cbor:"1,keyasint"`
	Host        fleet.HostID  `cbor:"2,keyasint"`
	Name        string        `cbor:"3,keyasint"`
	Zone        string        `cbor:"4,keyasint"`
	Certificate []byte        `cbor:"5,keyasint"` // PEM, for the key the host asked with
	CABundle    []byte        `cbor:"6,keyasint"` // PEM
	Gossip      []Secret      `cbor:"7,keyasint"` // keys of the ring, the one in use first
	Roster      Roster        `cbor:"8,keyasint"`
}

// create writes a new identity, host.json last: a crash before it leaves
// nothing that counts.
func create(fsys vfs.FS, dataDir string, key *ecdsa.PrivateKey, g Grant) (*IdentityStore, error) {
	f := &IdentityStore{fs: fsys, dir: dataDir}
	if err := f.makeDir(identityDir); err != nil {
		return nil, err
	}
	text, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if err = f.write(keyFile, text, secretPerm); err != nil {
		return nil, err
	}
	m, err := grantMaterial(&material{key: key}, g)
	if err != nil {
		return nil, err
	}
	if err := f.writeGrant(g); err != nil {
		return nil, err
	}
	if err := f.writeIdentity(m.identity); err != nil {
		return nil, err
	}
	f.now.Store(m)
	return f, nil
}

// grantMaterial checks a grant against this host's key before anything of it is
// written: a wrong one must not replace a good one.
func grantMaterial(old *material, g Grant) (*material, error) {
	m := &material{identity: Identity{Fleet: g.Fleet, Host: g.Host, Name: g.Name, Zone: g.Zone, Roster: g.Roster},
		key: old.key}
	if !validID(string(g.Fleet)) || !validID(string(g.Host)) {
		return nil, fmt.Errorf("grant names no fleet or host: %w", ErrBadCertificate)
	}
	if len(g.Gossip) == 0 || len(g.Gossip) > maxGossipKeys {
		return nil, fmt.Errorf("grant has %d gossip keys: %w", len(g.Gossip), ErrBadCertificate)
	}
	var err error
	if m.keyHash, err = KeyHash(m.key.Public()); err != nil {
		return nil, err
	}
	if err := m.setBundle(g.CABundle); err != nil {
		return nil, fmt.Errorf("grant's authorities: %w", err)
	}
	if err := m.setCertificate(g.Certificate); err != nil {
		return nil, fmt.Errorf("grant's certificate: %w", err)
	}
	return m, m.setGossip(encodeGossip(g.Gossip))
}

// PutGrant takes a renewed certificate with what came along. It is refused
// unless it is for this fleet, host and key and of an authority known here.
func (f *IdentityStore) PutGrant(g Grant) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.now.Load()
	if g.Fleet != old.identity.Fleet {
		return fmt.Errorf("renew: %w", ErrForeignFleet)
	}
	if g.Host != old.identity.Host {
		return fmt.Errorf("renew: %w", ErrWrongHost)
	}
	m, err := grantMaterial(old, g)
	if err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	opts := x509.VerifyOptions{Roots: old.roots, CurrentTime: m.cert.Leaf.NotAfter,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if _, err := m.cert.Leaf.Verify(opts); err != nil {
		return fmt.Errorf("renew: %w", ErrForeignAuthority)
	}
	if !g.Roster.Newer(old.identity.Roster) {
		m.identity.Roster = old.identity.Roster
	}
	if err := f.writeGrant(g); err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	if err := f.writeIdentity(m.identity); err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	f.now.Store(m)
	return nil
}

// PutRoster remembers a newer roster; an older one is ignored. The disk is
// written only when the voters or their addresses changed.
func (f *IdentityStore) PutRoster(r Roster) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.now.Load()
	if len(r.Voters) == 0 || !r.Newer(old.identity.Roster) {
		return nil
	}
	m := *old
	m.identity.Roster = r
	if !r.Same(old.identity.Roster) {
		if err := f.writeIdentity(m.identity); err != nil {
			return fmt.Errorf("remember voters: %w", err)
		}
	}
	f.now.Store(&m)
	return nil
}

// FleetKey reads the fleet key; ErrNoFleetKey on workers.
func (f *IdentityStore) FleetKey() (Secret, error) {
	key, err := f.fs.ReadFile(f.path(fleetKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoFleetKey
	}
	if err != nil {
		return nil, err
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("read %s: want %d bytes: %w", f.path(fleetKeyFile), keySize, ErrIdentityStore)
	}
	return key, nil
}

// PutFleetKey stores the fleet key handed to a host that becomes a voter. It is
// refused with ErrSealed unless it opens the fleet's sealed keys and the
// authority inside is one this host trusts.
func (f *IdentityStore) PutFleetKey(key Secret, sealed fleet.SealedKeys) error {
	m := f.now.Load()
	if _, _, err := openSigner(key, m.identity.Fleet, sealed, m.cas); err != nil {
		return fmt.Errorf("take fleet key: %w", err)
	}
	return f.putFleetKey(key)
}

func (f *IdentityStore) putFleetKey(key Secret) error {
	if err := f.makeDir(keysDir); err != nil {
		return err
	}
	return f.write(fleetKeyFile, key, secretPerm)
}

// DeleteFleetKey makes this host unable to sign; a key that is not there is no
// error.
func (f *IdentityStore) DeleteFleetKey() error {
	return f.remove(fleetKeyFile)
}

func (f *IdentityStore) remove(name string) error {
	err := f.fs.Remove(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.fs.SyncDir(path.Dir(f.path(name)))
}

func (f *IdentityStore) writeGrant(g Grant) error {
	if err := f.write(caFile, g.CABundle, publicPerm); err != nil {
		return err
	}
	if err := f.write(certFile, g.Certificate, publicPerm); err != nil {
		return err
	}
	return f.write(gossipFile, encodeGossip(g.Gossip), secretPerm)
}

func (f *IdentityStore) writeIdentity(id Identity) error {
	text, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	return f.write(hostFile, append(text, '\n'), publicPerm)
}

func (f *IdentityStore) write(name string, text []byte, perm fs.FileMode) error {
	return vfs.WriteFileAtomic(f.fs, f.path(name), text, perm)
}

func (f *IdentityStore) makeDir(name string) error {
	if err := f.fs.MkdirAll(f.path(name), dirPerm); err != nil {
		return err
	}
	return f.fs.SyncDir(f.dir)
}
