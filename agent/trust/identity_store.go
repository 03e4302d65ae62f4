package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

// Files of an identity, below the data folder. host.json is written last: where
// it is, all others are.
const (
	identityDir   = "identity"
	keysDir       = "keys"
	hostFile      = identityDir + "/host.json"
	keyFile       = identityDir + "/host.key"
	certFile      = identityDir + "/host.crt"
	caFile        = identityDir + "/ca.crt"
	gossipFile    = identityDir + "/gossip.key"
	joinKeyFile   = identityDir + "/join.key"  // a join that has not been answered yet
	bootstrapFile = identityDir + "/bootstrap" // an init whose log entry is not committed yet
	fleetKeyFile  = keysDir + "/fleet.key"     // voters only
	secretPerm    = fs.FileMode(0o600)
	publicPerm    = fs.FileMode(0o644)
	dirPerm       = fs.FileMode(0o700)
	maxFileBytes  = 256 << 10 // far above any of them: something else lies there
)

// Identity is who this host is, as in host.json.
type Identity struct {
	Fleet  fleet.FleetID `json:"fleet"`
	Host   fleet.HostID  `json:"host"`
	Name   string        `json:"name"`
	Zone   string        `json:"zone"`
	Roster Roster        `json:"roster"` // the voters last heard of
}

// IdentityStore is a host's identity on disk, with what handshakes need in memory.
type IdentityStore struct {
	fs  vfs.FS
	dir string
	mu  sync.Mutex // one writer at a time
	now atomic.Pointer[material]
}

// material is one consistent, immutable reading of the folder.
type material struct {
	identity Identity
	key      *ecdsa.PrivateKey
	keyHash  string
	cert     *tls.Certificate
	bundle   []byte
	cas      []*x509.Certificate
	roots    *x509.CertPool
	gossip   []Secret
}

// OpenIdentityStore reads the identity below a data folder. ErrNoIdentity where there
// is none; an error names the file that cannot be read, and what to do.
func OpenIdentityStore(fsys vfs.FS, dataDir string) (*IdentityStore, error) {
	f := &IdentityStore{fs: fsys, dir: dataDir}
	m, err := f.read()
	switch {
	case errors.Is(err, ErrNoIdentity):
		return nil, err
	case err != nil:
		return nil, f.remedy(m, err)
	}
	f.now.Store(m)
	return f, nil
}

// remedy says what to do about an identity that cannot be read: read names this host,
// where host.json could be read. A disk that does not answer says nothing of what is on it.
func (f *IdentityStore) remedy(read *material, err error) error {
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: look at the disk and at who may read the file, then start the agent again", err)
	}
	name := "NAME"
	if read != nil && read.identity.Name != "" {
		name = read.identity.Name
	}
	return fmt.Errorf("%w: restore the file from a copy; without one, run skein hosts forget %s on another host, "+
		"remove %s here and run skein join; containers run on meanwhile", err, name, f.path(identityDir))
}

// HasIdentity reports whether the data folder holds an identity.
func HasIdentity(fsys vfs.FS, dataDir string) (bool, error) {
	_, err := fsys.Stat(path.Join(dataDir, hostFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (f *IdentityStore) path(name string) string { return path.Join(f.dir, name) }

func (f *IdentityStore) readFile(name string) ([]byte, error) {
	text, err := f.fs.ReadFile(f.path(name))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("read %s: longer than %d bytes: %w", f.path(name), maxFileBytes, ErrIdentityStore)
	}
	return text, nil
}

// read reads all files. With an error it returns what had been read before, if anything.
func (f *IdentityStore) read() (*material, error) {
	text, err := f.readFile(hostFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: run init or join", f.path(identityDir), ErrNoIdentity)
	}
	if err != nil {
		return nil, err
	}
	var m material
	if err = json.Unmarshal(text, &m.identity); err != nil || !validID(string(m.identity.Fleet)) ||
		!validID(string(m.identity.Host)) {
		return nil, fmt.Errorf("read %s: not an identity: %w", f.path(hostFile), ErrIdentityStore)
	}
	read := func(name string, into func([]byte) error) {
		if err != nil {
			return
		}
		var text []byte
		if text, err = f.readFile(name); err == nil {
			err = into(text)
		}
		if err != nil {
			err = fmt.Errorf("read %s: %w", f.path(name), err)
		}
	}
	read(keyFile, m.setKey)
	read(caFile, m.setBundle)
	read(certFile, m.setCertificate)
	read(gossipFile, m.setGossip)
	return &m, err
}

func (m *material) setKey(text []byte) (err error) {
	if m.key, err = decodeKey(text); err != nil {
		return err
	}
	m.keyHash, err = KeyHash(m.key.Public())
	return err
}

func (m *material) setBundle(text []byte) error {
	cas, err := decodeCertificates(text)
	if err != nil {
		return err
	}
	m.bundle, m.cas, m.roots = text, cas, x509.NewCertPool()
	for _, ca := range cas {
		m.roots.AddCert(ca)
	}
	return nil
}

// setCertificate needs the key and the bundle.
func (m *material) setCertificate(text []byte) error {
	certs, err := decodeCertificates(text)
	if err != nil {
		return err
	}
	leaf := certs[0]
	peer, id, err := parsePeer(leaf)
	switch {
	case err != nil:
		return err
	case peer.Host != m.identity.Host || id != m.identity.Fleet:
		return fmt.Errorf("it names host %s of fleet %s: %w", peer.Host, id, ErrWrongHost)
	case peer.Key != m.keyHash:
		return fmt.Errorf("it is not for this host's key: %w", ErrWrongKey)
	}
	opts := x509.VerifyOptions{Roots: m.roots, CurrentTime: leaf.NotAfter,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if _, err := leaf.Verify(opts); err != nil {
		return ErrForeignAuthority
	}
	m.cert = &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: m.key, Leaf: leaf}
	return nil
}

func (m *material) setGossip(text []byte) error {
	lines := strings.Fields(string(text))
	if len(lines) == 0 || len(lines) > maxGossipKeys {
		return fmt.Errorf("want 1 to %d keys: %w", maxGossipKeys, ErrIdentityStore)
	}
	for _, line := range lines {
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(key) != keySize {
			return fmt.Errorf("a key is not %d bytes of base64: %w", keySize, ErrIdentityStore)
		}
		m.gossip = append(m.gossip, key)
	}
	return nil
}

func encodeGossip(keys []Secret) []byte {
	var out bytes.Buffer
	for _, key := range keys {
		out.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	}
	return out.Bytes()
}

// Identity is who this host is.
func (f *IdentityStore) Identity() Identity { return f.now.Load().identity }

// Host is this host's id.
func (f *IdentityStore) Host() fleet.HostID { return f.now.Load().identity.Host }

// Roster is the voters last heard of.
func (f *IdentityStore) Roster() Roster { return f.now.Load().identity.Roster }

// Certificate is this host's own, with its key.
func (f *IdentityStore) Certificate() *tls.Certificate { return f.now.Load().cert }

// Key names this host's public key (see KeyHash).
func (f *IdentityStore) Key() string { return f.now.Load().keyHash }

// CABundle is the PEM certificates of the authorities this host trusts.
func (f *IdentityStore) CABundle() []byte { return f.now.Load().bundle }

// CADigest is the digest of the first authority, as it stands in join tokens.
func (f *IdentityStore) CADigest() [sha256.Size]byte { return sha256.Sum256(f.now.Load().cas[0].Raw) }

// GossipKeys are the keys of the gossip ring, the one in use first.
func (f *IdentityStore) GossipKeys() []Secret { return f.now.Load().gossip }
