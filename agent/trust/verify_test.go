package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

// forge signs whatever a test wants under an authority.
func forge(t *testing.T, s *signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "h-1"},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(CertLifetime), BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs:        []*url.URL{hostURI(s.fleet, "h-1")},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, s.cert, key.Public(), s.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func mustAuthority(t *testing.T, id fleet.FleetID) *signer {
	t.Helper()
	s, err := newAuthority(id, noon)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func uri(text string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		u, err := url.Parse(text)
		if err != nil {
			panic(err)
		}
		c.URIs = []*url.URL{u}
	}
}

func TestVerifyPeer(t *testing.T) {
	ours, other := mustAuthority(t, "f-1"), mustAuthority(t, "f-1")
	same := func(*x509.Certificate) {}
	tests := map[string]struct {
		cert *x509.Certificate
		at   time.Time
		want error
	}{
		"a good certificate":       {forge(t, ours, same), noon, nil},
		"one of another authority": {forge(t, other, same), noon, ErrForeignAuthority},
		"the authority itself":     {ours.cert, noon, ErrBadCertificate},
		"one that begins tomorrow may renew": {
			forge(t, ours, func(c *x509.Certificate) { c.NotBefore = noon.Add(24 * time.Hour) }), noon, nil},
		"one that ended a day ago may renew": {forge(t, ours, same), noon.Add(CertLifetime + 24*time.Hour), nil},
		"one that ended 31 days ago may not": {forge(t, ours, same), noon.Add(CertLifetime + 31*24*time.Hour), ErrExpired},
		"one of another fleet": {forge(t, ours, uri("skein://fleet/f-2/host/h-1")), noon,
			ErrForeignFleet},
		"one without a name": {forge(t, ours, func(c *x509.Certificate) { c.URIs = nil }), noon, ErrBadCertificate},
		"one with two names": {
			forge(t, ours, func(c *x509.Certificate) { c.URIs = append(c.URIs, hostURI("f-1", "h-2")) }), noon,
			ErrBadCertificate},
		"one with a DNS name beside": {
			forge(t, ours, func(c *x509.Certificate) { c.DNSNames = []string{"h-2"} }), noon, ErrBadCertificate},
		"one with an address beside": {
			forge(t, ours, func(c *x509.Certificate) { c.IPAddresses = []net.IP{{10, 0, 0, 1}} }), noon, ErrBadCertificate},
		"one that signs": {forge(t, ours, func(c *x509.Certificate) { c.IsCA = true }), noon, ErrBadCertificate},
		"one for clients only, shown by a server": {
			forge(t, ours, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }), noon, ErrBadCertificate},
		"another scheme": {forge(t, ours, uri("https://fleet/f-1/host/h-1")), noon,
			ErrBadCertificate},
		"a query after the name": {forge(t, ours, uri("skein://fleet/f-1/host/h-1?x=1")), noon,
			ErrBadCertificate},
		"a fragment after the name": {forge(t, ours, uri("skein://fleet/f-1/host/h-1#x")), noon,
			ErrBadCertificate},
		"a user before the name": {forge(t, ours, uri("skein://u@fleet/f-1/host/h-1")), noon,
			ErrBadCertificate},
		"an encoded slash": {forge(t, ours, uri("skein://fleet/f-1/host/h-1%2Fx")), noon,
			ErrBadCertificate},
		"a trailing slash": {forge(t, ours, uri("skein://fleet/f-1/host/h-1/")), noon,
			ErrBadCertificate},
		"a dot, which would end the id in a RaftID": {forge(t, ours, uri("skein://fleet/f-1/host/h-1.2")), noon,
			ErrBadCertificate},
		"an empty host": {forge(t, ours, uri("skein://fleet/f-1/host/")), noon, ErrBadCertificate},
	}
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			peer, err := verifyPeer([]*x509.Certificate{tt.cert}, roots, "f-1", x509.ExtKeyUsageServerAuth, tt.at)
			if tt.want != nil {
				wantErr(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			good := !tt.at.After(tt.cert.NotAfter) && !tt.at.Before(tt.cert.NotBefore)
			if peer.Host != "h-1" || (peer.Valid(tt.at) == nil) != good {
				t.Errorf("peer is %+v", peer)
			}
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		_, err := verifyPeer(nil, roots, "f-1", x509.ExtKeyUsageServerAuth, noon)
		wantErr(t, err, ErrNoCertificate)
	})
	t.Run("a chain of hundreds", func(t *testing.T) {
		_, err := verifyPeer(make([]*x509.Certificate, 300), roots, "f-1", x509.ExtKeyUsageServerAuth, noon)
		wantErr(t, err, ErrBadCertificate)
	})
}

func TestSignRefusesKeysThatAreNotP256(t *testing.T) {
	s := mustAuthority(t, "f-1")
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.sign("h-1", key.Public(), noon)
	wantErr(t, err, ErrBadCertificate)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parseRequest(pemOf(pemRequest, der))
	wantErr(t, err, ErrBadCertificate)
}

func TestParseRequestRefusesAKeyThatIsNotProven(t *testing.T) {
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := newRequest(key, "h2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = parseRequest(text); err != nil {
		t.Fatal(err)
	}
	der := derOf(t, text)
	der[len(der)-1] ^= 1 // the last byte of the signature
	_, err = parseRequest(pemOf(pemRequest, der))
	wantErr(t, err, ErrBadCertificate)
	_, err = parseRequest(bytes.Repeat([]byte("x"), MaxCSR+1))
	wantErr(t, err, ErrBadCertificate)
}

func TestSealedKeysOpenOnlyWhereTheyBelong(t *testing.T) {
	key := Secret(bytes.Repeat([]byte{7}, keySize))
	ring := []Secret{bytes.Repeat([]byte{1}, keySize), bytes.Repeat([]byte{2}, keySize)}
	sealed, err := SealKeys(key, "f-1", 1, []byte("authority"), ring, nil)
	if err != nil {
		t.Fatal(err)
	}
	ca, got, err := OpenKeys(key, "f-1", sealed)
	if err != nil || string(ca) != "authority" || len(got) != 2 || !bytes.Equal(got[1], ring[1]) {
		t.Fatalf("opened %q and %d keys: %v", string(ca), len(got), err)
	}
	swapped, raised, cut, flipped := sealed, sealed, sealed, sealed
	swapped.CA, swapped.Gossip = sealed.Gossip, sealed.CA
	raised.Version = 2
	cut.CA = sealed.CA[:8]
	flipped.CA = append([]byte(nil), sealed.CA...)
	flipped.CA[20] ^= 1
	tests := map[string]struct {
		key  Secret
		id   fleet.FleetID
		keys fleet.SealedKeys
	}{
		"another fleet key":   {bytes.Repeat([]byte{8}, keySize), "f-1", sealed},
		"a short fleet key":   {key[:16], "f-1", sealed},
		"no fleet key":        {nil, "f-1", sealed},
		"another fleet":       {key, "f-2", sealed},
		"another version":     {key, "f-1", raised},
		"fields swapped":      {key, "f-1", swapped},
		"cut off":             {key, "f-1", cut},
		"one bit changed":     {key, "f-1", flipped},
		"nothing sealed ever": {key, "f-1", fleet.SealedKeys{Version: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := OpenKeys(tt.key, tt.id, tt.keys)
			wantErr(t, err, ErrSealed)
		})
	}
}
