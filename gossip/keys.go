package gossip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"sync/atomic"
)

// KeySize is the length of a gossip key: AES-256.
const KeySize = 32

// maxKeys bounds the ring of keys: every packet that does not decrypt is tried
// with all of them. A rotation needs two.
const maxKeys = 4

var (
	// ErrKeys is returned for a key ring that cannot be used.
	ErrKeys = errors.New("gossip keys refused")
	// errUnauthenticated says that no key of ours made this.
	errUnauthenticated = errors.New("no gossip key fits")
)

func checkKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return fmt.Errorf("%w: at least one key is needed", ErrKeys)
	}
	if len(keys) > maxKeys {
		return fmt.Errorf("%w: %d keys, at most %d", ErrKeys, len(keys), maxKeys)
	}
	for i, key := range keys {
		if len(key) != KeySize {
			return fmt.Errorf("%w: key %d has %d bytes, %d are needed", ErrKeys, i, len(key), KeySize)
		}
	}
	return nil
}

// keyring seals what is sent with its first key and opens what any of its keys
// sealed. A gossip key gives two: one for packets, and a signing key by which
// both ends of a stream prove in a TLS handshake that they hold the gossip key.
// All methods may be called from any goroutine.
type keyring struct {
	keys atomic.Pointer[[]sealKey]
}

type sealKey struct {
	packets cipher.AEAD // makes its own random nonces
	streams tls.Certificate
	public  ed25519.PublicKey // of streams
}

func newKeyring(keys [][]byte) (*keyring, error) {
	k := new(keyring)
	return k, k.set(keys)
}

// set replaces all keys. Errors: ErrKeys; the ring is then as it was.
func (k *keyring) set(keys [][]byte) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	next := make([]sealKey, len(keys))
	for i, key := range keys {
		var err error
		if next[i], err = deriveSealKey(key); err != nil {
			return fmt.Errorf("%w: key %d: %v", ErrKeys, i, err)
		}
	}
	k.keys.Store(&next)
	return nil
}

func deriveSealKey(key []byte) (s sealKey, err error) {
	packets, err := hkdf.Key(sha256.New, key, nil, "skein gossip packets", KeySize)
	if err != nil {
		return s, err
	}
	block, err := aes.NewCipher(packets)
	if err != nil {
		return s, err
	}
	if s.packets, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return s, err
	}
	seed, err := hkdf.Key(sha256.New, key, nil, "skein gossip streams", ed25519.SeedSize)
	if err != nil {
		return s, err
	}
	private := ed25519.NewKeyFromSeed(seed)
	s.public = private.Public().(ed25519.PublicKey)
	// Only its key matters: who checks it knows the key, not a name or a date.
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, s.public, private)
	s.streams = tls.Certificate{Certificate: [][]byte{cert}, PrivateKey: private}
	return s, err
}

// sealedFormat is the first byte of a sealed packet.
const sealedFormat = 1

// sealOverhead is what sealing adds to a packet: format, nonce and tag.
const sealOverhead = 1 + 12 + 16

func (k *keyring) seal(packet []byte) []byte {
	out := make([]byte, 1, sealOverhead+len(packet))
	out[0] = sealedFormat
	return (*k.keys.Load())[0].packets.Seal(out, nil, packet, out[:1])
}

// open returns what a sealed packet holds. Errors: errUnauthenticated.
func (k *keyring) open(sealed []byte) ([]byte, error) {
	if len(sealed) <= sealOverhead || sealed[0] != sealedFormat {
		return nil, errUnauthenticated
	}
	for _, key := range *k.keys.Load() {
		if packet, err := key.packets.Open(nil, nil, sealed[1:], sealed[:1]); err == nil {
			return packet, nil
		}
	}
	return nil, errUnauthenticated
}

// streamProtocol keeps gossip's handshakes apart from others.
const streamProtocol = "skein-gossip/1"

// streamConfig is for either end of a stream. Both ends show the certificate of
// their first key and take that of any.
func (k *keyring) streamConfig() *tls.Config {
	first := &(*k.keys.Load())[0].streams
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{streamProtocol},
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return first, nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return first, nil },
		ClientAuth:           tls.RequireAnyClientCert,
		// Chains and names mean nothing here; verify compares the public key.
		InsecureSkipVerify: true, VerifyPeerCertificate: k.verify,
		SessionTicketsDisabled: true, // a resumed session would outlive its key
	}
}

// verify takes a peer that shows the public key of one of ours; that it holds
// the private one, the handshake proves.
func (k *keyring) verify(certs [][]byte, _ [][]*x509.Certificate) error {
	if len(certs) != 1 {
		return errUnauthenticated
	}
	cert, err := x509.ParseCertificate(certs[0])
	if err != nil {
		return errUnauthenticated
	}
	for _, key := range *k.keys.Load() {
		if key.public.Equal(cert.PublicKey) {
			return nil
		}
	}
	return errUnauthenticated
}
