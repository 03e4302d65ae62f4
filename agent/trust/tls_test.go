package trust

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

// meet runs a handshake both ways and says what each side made of it. The
// client's view includes the first byte it reads: in TLS 1.3 a server refuses a
// certificate after the client is done.
func meet(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		raw, failed := listener.Accept()
		if failed != nil {
			done <- failed
			return
		}
		defer raw.Close()
		_ = raw.SetDeadline(time.Now().Add(5 * time.Second))
		conn := tls.Server(raw, server)
		err = conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("!"))
		}
		done <- err
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(5 * time.Second))
	conn := tls.Client(raw, client)
	clientErr = conn.Handshake()
	if clientErr == nil {
		_, clientErr = conn.Read(make([]byte, 1))
	}
	return <-done, clientErr
}

func TestServerConfigLetsIn(t *testing.T) {
	f, foreign := newFleet(t), newFleet(t)
	worker, stranger := f.admit("h2"), foreign.admit("h2")
	late := func(d time.Duration) func() time.Time { return func() time.Time { return noon.Add(d) } }
	forgotten := f.admit("h3")
	f.must(fleet.ForgetHost{Host: forgotten.Host(), Force: true})
	client := func(who *IdentityStore, protocol string) *tls.Config {
		c := who.ClientConfig(f.store.Host(), protocol, f.clock, f.authority())
		c.VerifyConnection = func(tls.ConnectionState) error { return nil } // only the server's view counts here
		return c
	}
	without := func(c *tls.Config) *tls.Config { c.GetClientCertificate = nil; return c }
	tests := map[string]struct {
		at     func() time.Time
		client *tls.Config
		want   string // part of the server's reason; empty: let in
		told   string // part of what the client sees
	}{
		"a worker for rpc":                     {f.clock, client(worker, ProtocolRPC), "", ""},
		"a worker for blobs":                   {f.clock, client(worker, ProtocolBlob), "", ""},
		"a voter for raft":                     {f.clock, client(f.store, ProtocolRaft), "", ""},
		"a worker for raft":                    {f.clock, client(worker, ProtocolRaft), "not a voter", "bad certificate"},
		"a forgotten host for rpc, to be told": {f.clock, client(forgotten, ProtocolRPC), "", ""},
		"a forgotten host for blobs":           {f.clock, client(forgotten, ProtocolBlob), "forgotten", "bad certificate"},
		"an expired worker for rpc":            {late(CertLifetime + time.Hour), client(worker, ProtocolRPC), "", ""},
		"an expired worker for blobs": {late(CertLifetime + time.Hour), client(worker, ProtocolBlob), "expired",
			"bad certificate"},
		"a worker expired for 31 days": {late(CertLifetime + 31*24*time.Hour), client(worker, ProtocolRPC), "join again",
			"bad certificate"},
		"another fleet's host": {f.clock, client(stranger, ProtocolRPC), "not of this fleet's authority", "bad certificate"},
		"nobody, for rpc": {f.clock, without(client(worker, ProtocolRPC)), "didn't provide a certificate",
			"certificate required"},
		"nobody, for raft": {f.clock, without(client(worker, ProtocolRaft)), "didn't provide a certificate",
			"certificate required"},
		"nobody, for joining":   {f.clock, without(client(worker, ProtocolJoin)), "", ""},
		"a protocol of the web": {f.clock, client(worker, "h2"), "no protocol of the peer port", "internal error"},
		"no protocol at all":    {f.clock, noProtocol(client(worker, "")), "no protocol of the peer port", "internal error"},
		"a host that speaks TLS 1.2 only": {f.clock, oldTLS(client(worker, ProtocolRPC)), "unsupported versions",
			"protocol version"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			serverErr, clientErr := meet(t, f.store.ServerConfig(tt.at, f.authority()), tt.client)
			if tt.want == "" {
				if serverErr != nil || clientErr != nil {
					t.Fatalf("server: %v, client: %v", serverErr, clientErr)
				}
				return
			}
			if serverErr == nil || clientErr == nil {
				t.Fatalf("let in; server: %v, client: %v", serverErr, clientErr)
			}
			wantText(t, serverErr.Error(), tt.want)
			wantText(t, clientErr.Error(), tt.told)
		})
	}
}

func noProtocol(c *tls.Config) *tls.Config {
	c.NextProtos = nil
	return c
}

func oldTLS(c *tls.Config) *tls.Config {
	c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	return c
}

func TestClientConfigBelievesOnlyTheHostItDialled(t *testing.T) {
	f, foreign := newFleet(t), newFleet(t)
	h2, h3 := f.admit("h2"), f.admit("h3")
	all := NewAuthority(func() *fleet.State { return nil }, func() Roster { return Roster{} })
	tests := map[string]struct {
		server    *IdentityStore
		dialled   fleet.HostID
		protocol  string
		authority Authority
		at        time.Duration
		want      error
	}{
		"the host itself":                {h2, h2.Host(), ProtocolRPC, all, 0, nil},
		"another host at its address":    {h3, h2.Host(), ProtocolRPC, all, 0, ErrWrongHost},
		"another fleet":                  {foreign.store, h2.Host(), ProtocolRPC, all, 0, ErrForeignAuthority},
		"a host whose certificate ended": {h2, h2.Host(), ProtocolRPC, all, CertLifetime + time.Hour, ErrExpired},
		"a worker, for raft":             {h2, h2.Host(), ProtocolRaft, f.authority(), 0, ErrNotVoter},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			now := func() time.Time { return noon.Add(tt.at) }
			server := tt.server.ServerConfig(now, all)
			open := server.GetConfigForClient
			server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				c, err := open(h)
				if err == nil {
					c = c.Clone()
					c.VerifyConnection = nil // only the client's view counts here
				}
				return c, err
			}
			_, clientErr := meet(t, server, f.store.ClientConfig(tt.dialled, tt.protocol, now, tt.authority))
			if tt.want == nil {
				if clientErr != nil {
					t.Fatal(clientErr)
				}
				return
			}
			wantErr(t, clientErr, tt.want)
		})
	}
	t.Run("a host forgotten a moment ago", func(t *testing.T) {
		f.must(fleet.ForgetHost{Host: h3.Host(), Force: true})
		_, clientErr := meet(t, h3.ServerConfig(f.clock, all),
			f.store.ClientConfig(h3.Host(), ProtocolRPC, f.clock, f.authority()))
		wantErr(t, clientErr, fleet.ErrForgotten)
	})
}
