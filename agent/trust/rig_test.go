package trust

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var addr1 = netip.MustParseAddrPort("10.0.0.1:7700")

// testFleet is a fleet of one voter whose log is a State in memory.
type testFleet struct {
	t      testing.TB
	fs     *vfs.Mem
	store  *IdentityStore // the first voter's
	boot   *Bootstrap
	issuer *Issuer

	mu  sync.Mutex
	now time.Time
	st  *fleet.State
}

func newFleet(t testing.TB) *testFleet {
	t.Helper()
	f := &testFleet{t: t, fs: newMem(t), now: noon, st: fleet.New()}
	var err error
	f.store, f.boot, err = Init(initOptions(f.fs))
	if err != nil {
		t.Fatal(err)
	}
	f.issuer = NewIssuer(f.store, f.state)
	f.must(f.boot.Init.Command)
	f.must(f.boot.OperatorToken.Command)
	return f
}

func newMem(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	if err := errors.Join(m.MkdirAll("data", 0o700), m.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	return m
}

func initOptions(fsys vfs.FS) InitOptions {
	return InitOptions{FS: fsys, DataDir: "data", FleetName: "test", Name: "h1", Zone: "a", Addr: addr1, Now: noon}
}

func (f *testFleet) state() *fleet.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.st
}

func (f *testFleet) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Now and Mono make the fleet a clock.Clock.
func (f *testFleet) Now() time.Time      { return f.clock() }
func (f *testFleet) Mono() time.Duration { return f.clock().Sub(noon) }

func (f *testFleet) wait(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *testFleet) propose(_ context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.st.Clone()
	out := next.Apply(next.Index()+1, fleet.Entry{At: fleet.TimeOf(f.now), Items: items})
	f.st = next
	return out.Results, next.Index(), nil
}

func (f *testFleet) must(c fleet.Command) []string {
	f.t.Helper()
	results, _, _ := f.propose(context.Background(), []fleet.Item{{Command: c}})
	if results[0].Err != nil {
		f.t.Fatalf("%T: %v", c, results[0].Err)
	}
	return results[0].IDs
}

func (f *testFleet) admission() *Admission {
	return &Admission{State: f.state, Propose: f.propose, Issuer: f.issuer, Now: f.clock}
}

func (f *testFleet) joinToken(uses int, life time.Duration) Token {
	f.t.Helper()
	token, err := NewJoinToken(f.store.Identity().Fleet, f.store.CADigest(), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	f.must(token.Put(f.clock(), life, uses))
	return token
}

// joinRequest is what a newcomer asks with, and the key that it proves.
func (f *testFleet) joinRequest(name string) (JoinRequest, *ecdsa.PrivateKey) {
	f.t.Helper()
	token := f.joinToken(1, 0)
	key, err := newKey()
	if err != nil {
		f.t.Fatal(err)
	}
	csr, err := newRequest(key, name)
	if err != nil {
		f.t.Fatal(err)
	}
	return JoinRequest{Format: fleet.FormatVersion, Fleet: token.Fleet, Token: token.ID, Secret: token.secret,
		CSR: csr, Name: name, Zone: "b",
		Addr: addr1}, key
}

// admit joins a host without a network and returns its folder.
func (f *testFleet) admit(name string) *IdentityStore {
	f.t.Helper()
	ask, key := f.joinRequest(name)
	grant, err := f.admission().Admit(context.Background(), ask)
	if err != nil {
		f.t.Fatal(err)
	}
	identity, err := create(newMem(f.t), "data", key, grant)
	if err != nil {
		f.t.Fatal(err)
	}
	return identity
}

func (f *testFleet) authority() Authority {
	return NewAuthority(f.state, func() Roster { return Roster{} })
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %q, want %q", err, want)
	}
}

func wantText(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%q does not say %q", text, part)
	}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func derOf(t *testing.T, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM block")
	}
	return block.Bytes
}

func memOf(f *IdentityStore) *vfs.Mem { return f.fs.(*vfs.Mem) }

func name(n int) string { return fmt.Sprintf("n%d", n) }

func addr0() netip.AddrPort { return netip.MustParseAddrPort("0.0.0.0:7700") }
