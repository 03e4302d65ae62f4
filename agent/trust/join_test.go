package trust

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/vfs"
)

// serveJoin answers joins as an agent does. before may fail a request.
func serveJoin(t *testing.T, f *testFleet, before func(n int64) error) (addr string) {
	t.Helper()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := f.store.ServerConfig(f.clock, f.authority())
	var n atomic.Int64
	server := &http.Server{ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(io.LimitReader(r.Body, MaxJoinBody))
			var ask JoinRequest
			grant, err := Grant{}, wire.Unmarshal(body, &ask)
			if err == nil {
				grant, err = f.admission().Admit(r.Context(), ask)
			}
			if before != nil {
				if injected := before(n.Add(1)); injected != nil {
					err = injected // after the commit: the answer is lost
				}
			}
			var text []byte
			if err != nil {
				problem, status := ProblemOf(err, Codes)
				text, _ = wire.Marshal(problem)
				w.WriteHeader(status)
			} else {
				text, _ = wire.Marshal(grant)
			}
			_, _ = w.Write(text)
		})}
	listener := &tlsListener{Listener: raw, config: config}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return raw.Addr().String()
}

// tlsListener hides the TLS type from net/http, as the peer port does.
type tlsListener struct {
	net.Listener
	config *tls.Config
}

func (l *tlsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{tls.Server(conn, l.config)}, nil
}
func (f *testFleet) joiner(log *lines) *Joiner {
	return &Joiner{FS: newMem(f.t), DataDir: "data", Clock: f, Log: log.logger()}
}

var asH2 = Request{Name: "h2", Zone: "b", Addr: addr1, Attributes: map[string]string{"disk": "ssd"}}

func TestAHostJoins(t *testing.T) {
	f := newFleet(t)
	addr := serveJoin(t, f, nil)
	j := f.joiner(&lines{})
	got, err := j.Join(t.Context(), addr, f.joinToken(1, 0), asH2)
	if err != nil {
		t.Fatal(err)
	}
	h := f.state().Host(got.Host())
	if h == nil || h.Name != "h2" || h.Zone != "b" || h.Attributes["disk"] != "ssd" || h.Cert.PublicKey != got.Key() {
		t.Errorf("admitted %+v", h)
	}
	if !got.Roster().Has(f.store.Host()) {
		t.Errorf("roster is %+v", got.Roster())
	}
	if string(got.GossipKeys()[0]) != string(f.store.GossipKeys()[0]) {
		t.Error("the gossip key differs")
	}
	if _, err = got.FleetKey(); !errors.Is(err, ErrNoFleetKey) {
		t.Errorf("a worker has a fleet key: %v", err)
	}
	if _, err = Check(f.authority(), peerOf(t, got)); err != nil {
		t.Errorf("the new host is refused: %v", err)
	}
	memOf(got).Crash()
	if _, err = OpenIdentityStore(j.FS, "data"); err != nil {
		t.Errorf("the identity is not durable: %v", err)
	}
	if _, err = j.FS.Stat("data/" + joinKeyFile); err == nil {
		t.Error("the pending key is still there")
	}
	_, err = j.Join(t.Context(), addr, f.joinToken(1, 0), asH2)
	wantErr(t, err, ErrIdentityExists)
}

// The token has one use, and the answer that would have told so is lost: the
// host asks again with the key it kept.
func TestAJoinWhoseAnswerIsLostIsRepeatedWithTheSameKey(t *testing.T) {
	f := newFleet(t)
	var asked atomic.Int64
	addr := serveJoin(t, f, func(n int64) error {
		asked.Store(n)
		if n < 3 {
			return ErrTryAgain
		}
		return nil
	})
	log := &lines{}
	got, err := f.joiner(log).Join(t.Context(), addr, f.joinToken(1, 0), asH2)
	if err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 3 {
		t.Errorf("asked %d times, want 3", asked.Load())
	}
	hosts := 0
	for range f.state().Hosts() {
		hosts++
	}
	if hosts != 2 || f.state().Host(got.Host()) == nil {
		t.Errorf("the fleet has %d hosts, want 2", hosts)
	}
	wantText(t, log.String(), "join put off")
}
func TestAJoinCutOffAnywhereIsTakenUpAgain(t *testing.T) {
	f := newFleet(t)
	addr := serveJoin(t, f, nil)
	for n := 1; ; n++ {
		j := f.joiner(&lines{})
		m := j.FS.(*vfs.Mem)
		token := f.joinToken(1, 0)
		as := asH2
		as.Name = name(n)
		m.StopAt(n)
		_, err := j.Join(t.Context(), addr, token, as)
		m.Crash()
		if err == nil {
			if n < 10 {
				t.Fatalf("a join made only %d calls: the test injects nothing", n)
			}
			return
		}
		_, err = j.Join(t.Context(), addr, token, as)
		if err != nil && !errors.Is(err, ErrIdentityExists) {
			t.Fatalf("power lost at call %d: %v", n, err)
		}
		if _, err := OpenIdentityStore(m, "data"); err != nil {
			t.Fatalf("power lost at call %d: %v", n, err)
		}
	}
}
func TestJoinIsRefused(t *testing.T) {
	foreign := newFleet(t)
	tests := map[string]struct {
		change func(f *testFleet, token *Token, r *Request)
		want   error
		why    string
	}{
		"an expired token": {func(f *testFleet, token *Token, _ *Request) { f.wait(time.Hour + time.Minute) },
			fleet.ErrTokenRefused, "expired"},
		"a token used by another": {func(f *testFleet, token *Token, _ *Request) {
			s := token.Present("")
			use(f, &s, "other")
		}, fleet.ErrTokenRefused, "used up"},
		"a token nobody made": {func(f *testFleet, token *Token, _ *Request) {
			*token, _ = NewJoinToken(token.Fleet, token.CA, nil)
		}, fleet.ErrTokenRefused, "unknown"},
		"another fleet's token": {func(_ *testFleet, token *Token, _ *Request) { *token = foreign.joinToken(1, 0) },
			ErrForeignAuthority, "authority named in the token"},
		"another fleet's name": {func(_ *testFleet, token *Token, _ *Request) { token.Fleet = "f-other" }, ErrForeignFleet,
			"another fleet"},
		"a name already taken":  {func(_ *testFleet, _ *Token, r *Request) { r.Name = "h1" }, fleet.ErrNameTaken, "h1"},
		"a name with a slash":   {func(_ *testFleet, _ *Token, r *Request) { r.Name = "a/b" }, fleet.ErrInvalid, "name"},
		"an empty zone":         {func(_ *testFleet, _ *Token, r *Request) { r.Zone = "" }, fleet.ErrInvalid, "zone"},
		"an address of no host": {func(_ *testFleet, _ *Token, r *Request) { r.Addr = addr0() }, fleet.ErrInvalid, "addr"},
		"an attribute too large": {func(_ *testFleet, _ *Token, r *Request) {
			r.Attributes = map[string]string{"a": string(make([]byte, 300))}
		}, fleet.ErrInvalid, "attributes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			addr := serveJoin(t, f, nil)
			token, as := f.joinToken(1, time.Hour), asH2
			tt.change(f, &token, &as)
			j := f.joiner(&lines{})
			_, err := j.Join(t.Context(), addr, token, as)
			wantErr(t, err, tt.want)
			wantText(t, err.Error(), tt.why)
			if exists, _ := HasIdentity(j.FS, "data"); exists {
				t.Error("a refused host has an identity")
			}
		})
	}
}
func TestJoinGivesUpOnAnAddressThatDoesNotAnswer(t *testing.T) {
	f := newFleet(t)
	j := f.joiner(&lines{})
	dials := 0
	j.Dial = func(context.Context, string, string) (net.Conn, error) {
		dials++
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}
	_, err := j.Join(t.Context(), "10.0.0.9:7700", f.joinToken(1, 0), asH2)
	wantErr(t, err, ErrTryAgain)
	if dials != joinDials {
		t.Errorf("dialled %d times, want %d", dials, joinDials)
	}
}

// An agent that answers well in TLS may still be hostile: what it grants is
// checked before it becomes an identity.
func TestAnAgentTooOldForTheFleetIsNotAdmitted(t *testing.T) {
	f := newFleet(t)
	newer := fleet.FormatVersion + 1
	f.must(fleet.OpenSession{Host: f.store.Host(), Boot: "b", Nonce: 1, Addr: addr1, Zone: "a", Format: newer})
	f.must(fleet.RaiseFormat{Format: newer})
	ask, _ := f.joinRequest("h2")
	ask.Format = fleet.FormatVersion
	_, err := f.admission().Admit(t.Context(), ask)
	if !errors.Is(err, fleet.ErrAgentTooOld) || !strings.Contains(err.Error(), "upgrade skein") {
		t.Errorf("got %v", err)
	}
	if p, _ := ProblemOf(err, Codes); !errors.Is(p.Err(Codes), fleet.ErrAgentTooOld) {
		t.Errorf("it travels as %+v", p)
	}
	if ask.Format = newer; f.state().HostByName("h2") != nil {
		t.Error("it was admitted")
	}
	if _, err := f.admission().Admit(t.Context(), ask); err != nil {
		t.Errorf("once upgraded: %v", err)
	}
}
func TestAWrongGrantBecomesNoIdentity(t *testing.T) {
	f, foreign := newFleet(t), newFleet(t)
	token := f.joinToken(2, 0)
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := newRequest(key, "h2")
	if err != nil {
		t.Fatal(err)
	}
	good, err := f.admission().Admit(t.Context(), JoinRequest{Format: fleet.FormatVersion, Fleet: token.Fleet,
		Token: token.ID, Secret: token.secret,
		CSR: csr, Name: "h2", Zone: "b", Addr: addr1})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*Grant)
		want   error
	}{
		"of another authority": {func(g *Grant) { g.CABundle = foreign.store.CABundle() }, ErrForeignAuthority},
		"of another fleet":     {func(g *Grant) { g.Fleet = "f-2" }, ErrForeignAuthority},
		"for another host":     {func(g *Grant) { g.Host = "h-2" }, ErrWrongHost},
		"for another key": {func(g *Grant) {
			g.Certificate = encodeCertificate(f.store.Certificate().Leaf.Raw)
			g.Host = f.store.Host()
		}, ErrWrongKey},
		"with an id like a path":  {func(g *Grant) { g.Host = "../../etc" }, ErrBadCertificate},
		"without its gossip keys": {func(g *Grant) { g.Gossip = nil }, ErrBadCertificate},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			j := f.joiner(&lines{})
			grant := good
			tt.change(&grant)
			_, err := j.accept(key, token, grant)
			wantErr(t, err, tt.want)
			if exists, _ := HasIdentity(j.FS, "data"); exists {
				t.Error("it became an identity")
			}
		})
	}
}
