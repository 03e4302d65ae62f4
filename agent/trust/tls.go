package trust

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// Protocols of the peer port, told apart by ALPN. All but join need a
// certificate of the fleet's authority. Source: cmd/skein/DESIGN.md "Streams".
const (
	ProtocolRPC  = "skein-rpc/1"
	ProtocolRaft = "skein-raft/1" // hosts with a voter row only
	ProtocolBlob = "skein-blob/1"
	ProtocolJoin = "skein-join/1" // no client certificate: a token
)

// ServerConfig is the peer port's TLS. Peers without a good certificate fail
// the handshake; for rpc a certificate that is over by less than RenewWindow or
// not valid yet passes, and so does a host that State refuses, so that the call
// can be answered with the reason: whoever serves rpc must ask Check and Valid.
//
// Session tickets are off: a resumed session would skip nothing of our own
// checks but a signature, and has been a source of bypasses elsewhere.
func (f *IdentityStore) ServerConfig(now func() time.Time, authority Authority) *tls.Config {
	base := tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
	}
	mutual := func(protocol string) *tls.Config {
		c := base.Clone()
		c.NextProtos = []string{protocol}
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.Certificate(), nil }
		c.ClientAuth = tls.RequireAnyClientCert // verified below, with our own errors
		c.VerifyConnection = func(state tls.ConnectionState) error {
			return f.verifyClient(state, protocol, now(), authority)
		}
		return c
	}
	join := base.Clone()
	join.NextProtos = []string{ProtocolJoin}
	join.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.chain(), nil }
	configs := map[string]*tls.Config{
		ProtocolRPC: mutual(ProtocolRPC), ProtocolRaft: mutual(ProtocolRaft),
		ProtocolBlob: mutual(ProtocolBlob), ProtocolJoin: join,
	}
	front := base.Clone()
	front.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		for _, protocol := range hello.SupportedProtos {
			if c, ok := configs[protocol]; ok {
				return c, nil
			}
		}
		return nil, ErrProtocol
	}
	return front
}

// chain is this host's certificate followed by the authorities, which a
// newcomer checks against the digest in its token.
func (f *IdentityStore) chain() *tls.Certificate {
	m := f.now.Load()
	c := *m.cert
	c.Certificate = slices.Clone(c.Certificate)
	for _, ca := range m.cas {
		c.Certificate = append(c.Certificate, ca.Raw)
	}
	return &c
}

func (f *IdentityStore) verifyClient(
	state tls.ConnectionState, protocol string, now time.Time, authority Authority,
) error {
	m := f.now.Load()
	peer, err := verifyPeer(state.PeerCertificates, m.roots, m.identity.Fleet, x509.ExtKeyUsageClientAuth, now)
	if err != nil {
		return err
	}
	if protocol == ProtocolRPC {
		return nil
	}
	if err = peer.Valid(now); err != nil {
		return err
	}
	if protocol == ProtocolRaft {
		return CheckVoter(authority, peer)
	}
	_, err = Check(authority, peer)
	return err
}

// ClientConfig dials a host by its id: the certificate it shows must be that
// host's, whatever the address. For raft it must be a voter's as well.
func (f *IdentityStore) ClientConfig(
	host fleet.HostID, protocol string, now func() time.Time, authority Authority,
) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{protocol},
		ServerName: string(host),
		// Names in the web's sense mean nothing here: VerifyConnection checks the
		// chain and the id instead.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return f.verifyServer(state, host, protocol, now(), authority)
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return f.Certificate(), nil },
	}
}

func (f *IdentityStore) verifyServer(
	state tls.ConnectionState, host fleet.HostID, protocol string, now time.Time, authority Authority,
) error {
	m := f.now.Load()
	peer, err := verifyPeer(state.PeerCertificates, m.roots, m.identity.Fleet, x509.ExtKeyUsageServerAuth, now)
	switch {
	case err != nil:
		return err
	case peer.Host != host:
		return fmt.Errorf("dialled %s, answered by %s: %w", host, peer.Host, ErrWrongHost)
	case peer.Valid(now) != nil:
		return peer.Valid(now)
	case state.NegotiatedProtocol != protocol:
		return fmt.Errorf("%s does not speak %s: %w", host, protocol, ErrProtocol)
	case protocol == ProtocolRaft:
		return CheckVoter(authority, peer)
	}
	_, err = Check(authority, peer)
	return err
}

// joinConfig dials any agent and believes it only if the chain it shows leads
// to the authority whose digest the token carries, in the token's fleet.
func joinConfig(token Token, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{ProtocolJoin},
		InsecureSkipVerify: true, // see VerifyConnection
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyPinned(state.PeerCertificates, token, now())
		},
	}
}

func verifyPinned(certs []*x509.Certificate, token Token, now time.Time) error {
	roots := x509.NewCertPool()
	pinned := false
	for _, cert := range certs {
		if digestOf(cert) == token.CA && cert.IsCA {
			roots.AddCert(cert)
			pinned = true
		}
	}
	if !pinned {
		return fmt.Errorf("the agent there does not show the authority named in the token: %w", ErrForeignAuthority)
	}
	peer, err := verifyPeer(certs, roots, token.Fleet, x509.ExtKeyUsageServerAuth, now)
	if err != nil {
		return err
	}
	return peer.Valid(now)
}
