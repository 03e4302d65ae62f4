package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/vfs"
)

func TestInitMakesAFleetOfOneHost(t *testing.T) {
	f := newFleet(t)
	st, id := f.state(), f.store.Identity()
	if got := st.Fleet().ID; got != id.Fleet {
		t.Errorf("State is of fleet %s, folder of %s", got, id.Fleet)
	}
	h := st.Host(id.Host)
	if h == nil || h.Name != "h1" || h.Zone != "a" || h.Addr != addr1 || h.Cert.PublicKey != f.store.Key() {
		t.Errorf("first host is %+v", h)
	}
	if v := st.Voter(f.boot.RaftID); v == nil || v.Phase != fleet.VoterVoting || v.Host != id.Host {
		t.Errorf("first voter is %+v", v)
	}
	if !id.Roster.Has(id.Host) {
		t.Errorf("roster %+v lacks the first voter", id.Roster)
	}
	if err := f.issuer.RenewSelf(f.clock()); err != nil {
		t.Errorf("the first voter cannot sign: %v", err)
	}
	if err := VerifyToken(st, operatorToken(t, f).Present(""), noon); err != nil {
		t.Errorf("the first operator token does not hold: %v", err)
	}
}

func TestInitRefusesAFolderWithAnIdentity(t *testing.T) {
	f := newFleet(t)
	before, _ := f.fs.ReadFile("data/" + keyFile)
	_, _, err := Init(initOptions(f.fs))
	wantErr(t, err, ErrIdentityExists)
	after, _ := f.fs.ReadFile("data/" + keyFile)
	if !bytes.Equal(before, after) {
		t.Error("the refused init changed the key")
	}
}

func TestOpenFolderReadsWhatInitWrote(t *testing.T) {
	f := newFleet(t)
	f.fs.Crash() // all of it must be durable
	got, err := OpenIdentityStore(f.fs, "data")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.store.Identity(), got.Identity(),
		cmp.Comparer(func(a, b Roster) bool { return a.Same(b) })); diff != "" {
		t.Error(diff)
	}
	if got.Key() != f.store.Key() || !bytes.Equal(got.GossipKeys()[0], f.store.GossipKeys()[0]) {
		t.Error("keys differ after a restart")
	}
	boot, err := got.PendingBootstrap()
	if err != nil || boot == nil {
		t.Fatalf("pending bootstrap: %v, %v", boot, err)
	}
	if boot.RaftID != f.boot.RaftID || boot.OperatorText != "" {
		t.Errorf("pending bootstrap is %+v", boot)
	}
	if diff := cmp.Diff(f.boot.Init.Command, boot.Init.Command,
		cmp.Comparer(
			func(a, b fleet.InitFleet) bool {
				return a.ID == b.ID && bytes.Equal(a.SealedKeys.CA, b.SealedKeys.CA)
			})); diff != "" {
		t.Error(diff)
	}
	if err := got.Bootstrapped(); err != nil {
		t.Fatal(err)
	}
	if boot, err := got.PendingBootstrap(); boot != nil || err != nil {
		t.Errorf("after Bootstrapped: %v, %v", boot, err)
	}
}

// An init that is cut off at any call leaves either a whole identity or none,
// and init can then be run again.
func TestInitSurvivesAPowerLossAtAnyCall(t *testing.T) {
	for n := 1; ; n++ {
		m := newMem(t)
		m.StopAt(n)
		_, _, err := Init(initOptions(m))
		m.Crash()
		if err == nil {
			if n < 10 {
				t.Fatalf("init made only %d calls: the test injects nothing", n)
			}
			return
		}
		if _, err := OpenIdentityStore(m, "data"); err == nil {
			continue // the last rename was durable already
		} else if !errors.Is(err, ErrNoIdentity) {
			t.Fatalf("power lost at call %d: %v", n, err)
		}
		if _, _, err := Init(initOptions(m)); err != nil {
			t.Fatalf("init after a power loss at call %d: %v", n, err)
		}
	}
}

func TestFilesOfAnIdentityHaveTheRightModes(t *testing.T) {
	dir := t.TempDir()
	o := initOptions(vfs.OS)
	o.DataDir = dir
	if _, _, err := Init(o); err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{
		hostFile: 0o644, keyFile: 0o600, certFile: 0o644, caFile: 0o644, gossipFile: 0o600,
		fleetKeyFile: 0o600, bootstrapFile: 0o600, identityDir: 0o700, keysDir: 0o700,
	}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
}

// Neither the fleet key nor what it seals may be found in what is replicated or
// written beside the keys, in any of the forms they are written in.
func TestNoSecretIsInTheLogTheSnapshotOrTheWrongFile(t *testing.T) {
	f := newFleet(t)
	fleetKey, err := f.store.FleetKey()
	if err != nil {
		t.Fatal(err)
	}
	row := f.state().Fleet()
	caKey, gossip, err := OpenKeys(fleetKey, row.ID, row.SealedKeys)
	if err != nil {
		t.Fatal(err)
	}
	signer, _, err := openSigner(fleetKey, row.ID, row.SealedKeys, mustCerts(t, row.CABundle))
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := signer.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{"fleet key": fleetKey, "authority key": caKey, "authority scalar": scalar,
		"gossip key": gossip[0], "operator secret": operatorToken(t, f).secret}

	entry, err := wire.EncodeEntry(fleet.Entry{Items: []fleet.Item{f.boot.Init, f.boot.OperatorToken}})
	if err != nil {
		t.Fatal(err)
	}
	var snapshot bytes.Buffer
	if err = wire.WriteState(&snapshot, f.state()); err != nil {
		t.Fatal(err)
	}
	places := map[string][]byte{"log entry": entry, "snapshot": snapshot.Bytes()}
	for _, name := range []string{hostFile, certFile, caFile, bootstrapFile, keyFile} {
		if places[name], err = f.fs.ReadFile("data/" + name); err != nil {
			t.Fatal(err)
		}
	}
	for place, text := range places {
		for secret, raw := range secrets {
			for form, needle := range map[string][]byte{
				"raw": raw, "hex": []byte(hex.EncodeToString(raw)), "base64": []byte(base64.StdEncoding.EncodeToString(raw)),
				"base64url": []byte(base64.RawURLEncoding.EncodeToString(raw)),
			} {
				if bytes.Contains(text, needle) {
					t.Errorf("%s holds the %s as %s", place, secret, form)
				}
			}
		}
	}
	// The test can fail: the gossip key is where it belongs.
	text, _ := f.fs.ReadFile("data/" + gossipFile)
	if !bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString(gossip[0]))) {
		t.Error("gossip.key does not hold the gossip key")
	}
}

func mustCerts(t *testing.T, text []byte) []*x509.Certificate {
	t.Helper()
	certs, err := decodeCertificates(text)
	if err != nil {
		t.Fatal(err)
	}
	return certs
}

func TestOpenFolderNamesTheFileThatIsWrong(t *testing.T) {
	other := newFleet(t)
	foreign := func(name string) []byte {
		text, err := other.fs.ReadFile("data/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	tests := map[string]struct {
		file string
		text []byte
		want error
	}{
		"host.json is garbage":      {hostFile, []byte("{"), ErrIdentityStore},
		"host.json names no fleet":  {hostFile, []byte(`{"host":"h-1"}`), ErrIdentityStore},
		"host.json is huge":         {hostFile, bytes.Repeat([]byte(" "), maxFileBytes+1), ErrIdentityStore},
		"the key is garbage":        {keyFile, []byte("x"), ErrIdentityStore},
		"the key is another host's": {keyFile, foreign(keyFile), ErrWrongKey},
		"the authority is garbage": {caFile,
			[]byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), ErrBadCertificate},
		"the authority is empty":            {caFile, nil, ErrBadCertificate},
		"the authority is another fleet's":  {caFile, foreign(caFile), ErrForeignAuthority},
		"the certificate is another host's": {certFile, foreign(certFile), ErrWrongHost},
		"the gossip key is short":           {gossipFile, []byte("AAAA\n"), ErrIdentityStore},
		"there is no gossip key":            {gossipFile, nil, ErrIdentityStore},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			if err := vfs.WriteFileAtomic(f.fs, "data/"+tt.file, tt.text, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := OpenIdentityStore(f.fs, "data")
			wantErr(t, err, tt.want)
			wantText(t, err.Error(), "read data/identity/") // what does not match is told at the certificate
			wantText(t, err.Error(), "skein hosts forget")
			wantText(t, err.Error(), "remove data/identity here and run skein join")
		})
	}
}

// Whoever removes an identity because the disk failed once has lost a host for nothing.
func TestOpenFolderSaysWhatToDo(t *testing.T) {
	const restore, look = "restore the file from a copy", "look at the disk"
	tests := map[string]struct {
		spoil func(t *testing.T, f *testFleet)
		want  string
		not   string
	}{
		"a damaged certificate names the host to forget": {func(t *testing.T, f *testFleet) {
			if err := vfs.WriteFileAtomic(f.fs, "data/"+certFile, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "skein hosts forget h1 ", look},
		"a file that is gone is restored": {func(t *testing.T, f *testFleet) {
			if err := f.fs.Remove("data/" + gossipFile); err != nil {
				t.Fatal(err)
			}
		}, restore, look},
		"a disk that fails is looked at": {func(_ *testing.T, f *testFleet) { f.fs.FailAt(2, syscall.EIO) }, look, "forget"},
		"a disk that fails at once is looked at": {func(_ *testing.T, f *testFleet) { f.fs.FailAt(1, syscall.EIO) }, look,
			"forget"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			tt.spoil(t, f)
			_, err := OpenIdentityStore(f.fs, "data")
			if err == nil {
				t.Fatal("it opens")
			}
			wantText(t, err.Error(), tt.want)
			if strings.Contains(err.Error(), tt.not) {
				t.Errorf("%v: %q is no help here", err, tt.not)
			}
		})
	}
}

func TestARosterIsWrittenOnlyWhenVotersChange(t *testing.T) {
	f := newFleet(t)
	voters := []RosterVoter{{Host: "h-2", Addr: addr1, Voting: true}}
	put := func(r Roster) int {
		before := f.fs.Calls()
		if err := f.store.PutRoster(r); err != nil {
			t.Fatal(err)
		}
		return f.fs.Calls() - before
	}
	if put(Roster{Epoch: 1, Index: 10, Voters: voters}) == 0 {
		t.Error("a new roster was not written")
	}
	if n := put(Roster{Epoch: 1, Index: 11, Voters: voters}); n != 0 {
		t.Errorf("the same voters were written again, %d calls", n)
	}
	if got := f.store.Roster().Index; got != 11 {
		t.Errorf("roster is of index %d, want 11", got)
	}
	put(Roster{Epoch: 1, Index: 5, Voters: []RosterVoter{{Host: "h-9"}}})
	put(Roster{Epoch: 1, Index: 99})
	if !f.store.Roster().Same(Roster{Voters: voters}) {
		t.Errorf("an older or empty roster was taken: %+v", f.store.Roster())
	}
	var id Identity
	text, _ := f.fs.ReadFile("data/" + hostFile)
	if err := json.Unmarshal(text, &id); err != nil || !id.Roster.Same(f.store.Roster()) {
		t.Errorf("on disk: %s (%v)", text, err)
	}
}

func TestRenewAtIsHalfOfLifeSpreadByHost(t *testing.T) {
	cert := &x509.Certificate{NotBefore: noon.Add(-Backdate), NotAfter: noon.Add(CertLifetime)}
	earliest, latest := CertLifetime, time.Duration(0)
	for i := range 1000 {
		at := RenewIn(cert, fleet.HostID("h-"+hex.EncodeToString([]byte{byte(i), byte(i >> 8)})), noon)
		earliest, latest = min(earliest, at), max(latest, at)
	}
	if earliest < CertLifetime*4/10 || latest > CertLifetime*6/10 {
		t.Errorf("renewals from %s to %s, want within 40 to 60 %% of %s", earliest, latest, CertLifetime)
	}
	if latest-earliest < CertLifetime*15/100 {
		t.Errorf("renewals only from %s to %s: no spread", earliest, latest)
	}
}
