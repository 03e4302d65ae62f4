package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/fnv"
	"math/big"
	"net/url"
	"strings"
	"time"

	"skein/raftfsm/fleet"
)

const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
	pemRequest     = "CERTIFICATE REQUEST"
)

// hostURI is the identity in a certificate: skein://fleet/<fleet>/host/<id>.
func hostURI(id fleet.FleetID, host fleet.HostID) *url.URL {
	return &url.URL{Scheme: "skein", Host: "fleet", Path: "/" + string(id) + "/host/" + string(host)}
}

// parseHostURI accepts only what hostURI makes.
func parseHostURI(u *url.URL) (fleet.FleetID, fleet.HostID, error) {
	parts := strings.Split(u.Path, "/")
	if len(parts) != 4 || parts[0] != "" || parts[2] != "host" || !validID(parts[1]) || !validID(parts[3]) {
		return "", "", fmt.Errorf("name is not a host of a fleet: %w", ErrBadCertificate)
	}
	id, host := fleet.FleetID(parts[1]), fleet.HostID(parts[3])
	if u.String() != hostURI(id, host).String() {
		return "", "", fmt.Errorf("name is not a host of a fleet: %w", ErrBadCertificate)
	}
	return id, host, nil
}

// KeyHash names a public key: sha256 of its PKIX form, hex. State holds it as
// the identity admitted.
func KeyHash(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

func encodeKey(key *ecdsa.PrivateKey) (Secret, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("private key does not encode")
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}

func decodeKey(text Secret) (*ecdsa.PrivateKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemKey || len(strings.TrimSpace(string(rest))) != 0 {
		return nil, fmt.Errorf("private key is not one PEM block of type %q: %w", pemKey, ErrIdentityStore)
	}
	return decodeKeyDER(block.Bytes)
}

func decodeKeyDER(der Secret) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("private key is not PKCS 8: %w", ErrIdentityStore)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("private key is not of P-256: %w", ErrIdentityStore)
	}
	return key, nil
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der})
}

// decodeCertificates reads a bundle of 1 to maxCertificates.
func decodeCertificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := text; len(strings.TrimSpace(string(rest))) > 0; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil || block.Type != pemCertificate || len(certs) == maxCertificates {
			return nil, fmt.Errorf("not 1 to %d PEM certificates: %w", maxCertificates, ErrBadCertificate)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadCertificate, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("no certificate in bundle: %w", ErrBadCertificate)
	}
	return certs, nil
}

func newSerial() (*big.Int, error) {
	raw, err := randomBytes(nil, 16)
	if err != nil {
		return nil, err
	}
	raw[0] = raw[0]&0x7f | 0x40 // positive, and always 16 bytes
	return new(big.Int).SetBytes(raw), nil
}

// newAuthority makes a fleet's certificate authority.
func newAuthority(id fleet.FleetID, now time.Time) (*signer, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "skein fleet " + string(id)},
		NotBefore: now.Add(-caBackdate), NotAfter: now.Add(CALifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse authority: %w", err)
	}
	return &signer{fleet: id, key: key, cert: cert}, nil
}

// signer is an opened authority: whoever holds one is the fleet.
type signer struct {
	fleet fleet.FleetID
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate
}

// sign makes a host's certificate (PEM) for a P-256 public key.
func (s *signer) sign(host fleet.HostID, public crypto.PublicKey, now time.Time) ([]byte, error) {
	if !validID(string(host)) {
		return nil, fmt.Errorf("sign certificate: host id malformed: %w", ErrBadCertificate)
	}
	if err := checkPublicKey(public); err != nil {
		return nil, fmt.Errorf("sign certificate of %s: %w", host, err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	notAfter := now.Add(CertLifetime)
	if notAfter.After(s.cert.NotAfter) {
		notAfter = s.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: string(host)},
		NotBefore: now.Add(-Backdate), NotAfter: notAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs:                  []*url.URL{hostURI(s.fleet, host)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.cert, public, s.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %s: %w", host, err)
	}
	return encodeCertificate(der), nil
}

func checkPublicKey(public crypto.PublicKey) error {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return fmt.Errorf("public key is not of P-256: %w", ErrBadCertificate)
	}
	return nil
}

// newRequest makes the CSR a joining host sends: proof that it holds the key.
func newRequest(key *ecdsa.PrivateKey, name string) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}},
		key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: der}), nil
}

// parseRequest returns the public key of a CSR that proves its private half.
// All names in it are ignored: the fleet chooses them.
func parseRequest(text []byte) (crypto.PublicKey, error) {
	if len(text) > MaxCSR {
		return nil, fmt.Errorf("certificate request longer than %d bytes: %w", MaxCSR, ErrBadCertificate)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemRequest {
		return nil, fmt.Errorf("certificate request is not a PEM block of type %q: %w", pemRequest, ErrBadCertificate)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w: %w", ErrBadCertificate, err)
	}
	if err := checkPublicKey(request.PublicKey); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request: %w: %w", ErrBadCertificate, err)
	}
	return request.PublicKey, nil
}

// RenewIn is how long a host waits before it renews: until half of the
// certificate's life, a tenth of it earlier or later by the hash of the host's id.
// A certificate that is not valid yet was made while a clock was ahead, and is
// renewed at once.
func RenewIn(cert *x509.Certificate, host fleet.HostID, now time.Time) time.Duration {
	if now.Before(cert.NotBefore) {
		return 0
	}
	born := cert.NotBefore.Add(Backdate)
	life := cert.NotAfter.Sub(born)
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(host))
	share := float64(hash.Sum64()>>11) / (1 << 53) // 0 to 1
	return max(0, born.Add(time.Duration(float64(life)*(0.5+renewSpread*(2*share-1)))).Sub(now))
}
