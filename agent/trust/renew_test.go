package trust

import (
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func peerOf(t *testing.T, f *IdentityStore) Peer {
	t.Helper()
	peer, _, err := parsePeer(f.Certificate().Leaf)
	if err != nil {
		t.Fatal(err)
	}
	return peer
}

func TestTheRenewDoor(t *testing.T) {
	tests := map[string]struct {
		change func(f *testFleet, host *IdentityStore, p *Peer)
		want   error
	}{
		"a good certificate": {func(*testFleet, *IdentityStore, *Peer) {}, nil},
		"one over for a day": {func(f *testFleet, _ *IdentityStore, _ *Peer) { f.wait(CertLifetime + 24*time.Hour) }, nil},
		"one over for 29 days": {func(f *testFleet, _ *IdentityStore,
			_ *Peer) {
			f.wait(CertLifetime + 29*24*time.Hour)
		}, nil},
		"one over for 31 days": {func(f *testFleet, _ *IdentityStore,
			_ *Peer) {
			f.wait(CertLifetime + 31*24*time.Hour)
		}, ErrExpired},
		"a host that was forgotten": {func(f *testFleet, h *IdentityStore,
			_ *Peer) {
			f.must(fleet.ForgetHost{Host: h.Host(), Force: true})
		}, fleet.ErrForgotten},
		"a certificate that is revoked": {func(f *testFleet, h *IdentityStore,
			_ *Peer) {
			f.must(fleet.RevokeCert{Host: h.Host()})
		}, ErrRevoked},
		"a key that was not admitted": {func(_ *testFleet, _ *IdentityStore, p *Peer) { p.Key = "other" }, ErrWrongKey},
		"a host that State lacks":     {func(_ *testFleet, _ *IdentityStore, p *Peer) { p.Host = "h-0" }, ErrUnknownHost},
		"a voter without the key": {func(f *testFleet, _ *IdentityStore,
			_ *Peer) {
			mustNot(f, f.store.DeleteFleetKey())
		}, ErrNoFleetKey},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			host := f.admit("h2")
			peer := peerOf(t, host)
			tt.change(f, host, &peer)
			grant, err := f.issuer.Renew(peer, f.clock())
			if tt.want != nil {
				wantErr(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := host.PutGrant(grant); err != nil {
				t.Fatal(err)
			}
			if got, want := host.Certificate().Leaf.NotAfter, f.clock().Add(CertLifetime); !got.Equal(want) {
				t.Errorf("renewed until %s, want %s", got, want)
			}
		})
	}
}

func mustNot(f *testFleet, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestRenewalNeedsNoCommit(t *testing.T) {
	f := newFleet(t)
	host := f.admit("h2")
	before := f.state().Index()
	if _, err := f.issuer.Renew(peerOf(t, host), f.clock()); err != nil {
		t.Fatal(err)
	}
	if got := f.state().Index(); got != before {
		t.Errorf("index went from %d to %d", before, got)
	}
}

func TestARetiredVoterCannotSignWithWhatItHasInMemory(t *testing.T) {
	f := newFleet(t)
	host := f.admit("h2") // the authority is open now
	if err := f.store.DeleteFleetKey(); err != nil {
		t.Fatal(err)
	}
	_, err := f.issuer.Renew(peerOf(t, host), f.clock())
	wantErr(t, err, ErrNoFleetKey)
}

func TestAVoterRenewsItselfAfterYears(t *testing.T) {
	f := newFleet(t)
	f.wait(2 * 365 * 24 * time.Hour)
	if err := f.issuer.RenewSelf(f.clock()); err != nil {
		t.Fatal(err)
	}
	if err := peerOf(t, f.store).Valid(f.clock()); err != nil {
		t.Error(err)
	}
}

func TestPutGrantRefusesWhatIsNotThisHosts(t *testing.T) {
	f := newFleet(t)
	host := f.admit("h2")
	good, err := f.issuer.Renew(peerOf(t, host), f.clock())
	if err != nil {
		t.Fatal(err)
	}
	other, err := f.issuer.Renew(peerOf(t, f.admit("h3")), f.clock())
	if err != nil {
		t.Fatal(err)
	}
	foreign := newFleet(t)
	tests := map[string]struct {
		change func(*Grant)
		want   error
	}{
		"another host's certificate":   {func(g *Grant) { g.Certificate = other.Certificate }, ErrWrongHost},
		"another host's grant":         {func(g *Grant) { *g = other }, ErrWrongHost},
		"another fleet":                {func(g *Grant) { g.Fleet = "f-2" }, ErrForeignFleet},
		"another authority":            {func(g *Grant) { g.CABundle = foreign.store.CABundle() }, ErrForeignAuthority},
		"no gossip keys":               {func(g *Grant) { g.Gossip = nil }, ErrBadCertificate},
		"a gossip key that is short":   {func(g *Grant) { g.Gossip = []Secret{{1}} }, ErrIdentityStore},
		"garbage for a certificate":    {func(g *Grant) { g.Certificate = []byte("x") }, ErrBadCertificate},
		"no certificate at all":        {func(g *Grant) { g.Certificate = nil }, ErrBadCertificate},
		"an authority that is not pem": {func(g *Grant) { g.CABundle = []byte("x") }, ErrBadCertificate},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			grant := good
			tt.change(&grant)
			before := host.Certificate()
			wantErr(t, host.PutGrant(grant), tt.want)
			if host.Certificate() != before {
				t.Error("the refused grant was taken")
			}
			if _, err := OpenIdentityStore(host.fs, "data"); err != nil {
				t.Errorf("the refused grant reached the disk: %v", err)
			}
		})
	}
}

// A renewal cut off at any call leaves an identity that opens.
func TestRenewalSurvivesAPowerLossAtAnyCall(t *testing.T) {
	f := newFleet(t)
	for n := 1; ; n++ {
		host := f.admit(name(n))
		grant, err := f.issuer.Renew(peerOf(t, host), f.clock())
		if err != nil {
			t.Fatal(err)
		}
		m := memOf(host)
		m.StopAt(n)
		err = host.PutGrant(grant)
		m.Crash()
		if _, openErr := OpenIdentityStore(m, "data"); openErr != nil {
			t.Fatalf("power lost at call %d: %v", n, openErr)
		}
		if err == nil {
			if n < 5 {
				t.Fatalf("a renewal made only %d calls: the test injects nothing", n)
			}
			return
		}
	}
}

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		change func(f *testFleet, h *IdentityStore, p *Peer)
		want   error
	}{
		"an admitted host":     {func(*testFleet, *IdentityStore, *Peer) {}, nil},
		"one that State lacks": {func(_ *testFleet, _ *IdentityStore, p *Peer) { p.Host = "h-0" }, ErrUnknownHost},
		"one forgotten a moment ago": {func(f *testFleet, h *IdentityStore,
			_ *Peer) {
			f.must(fleet.ForgetHost{Host: h.Host(), Force: true})
		}, fleet.ErrForgotten},
		"one revoked a moment ago": {func(f *testFleet, h *IdentityStore,
			_ *Peer) {
			f.must(fleet.RevokeCert{Host: h.Host()})
		}, ErrRevoked},
		"the right name, another key": {func(_ *testFleet, _ *IdentityStore, p *Peer) { p.Key = "other" }, ErrWrongKey},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			host := f.admit("h2")
			peer := peerOf(t, host)
			tt.change(f, host, &peer)
			_, err := Check(f.authority(), peer)
			if tt.want == nil && err != nil {
				t.Fatal(err)
			}
			if tt.want != nil {
				wantErr(t, err, tt.want)
				return
			}
			wantErr(t, CheckVoter(f.authority(), peer), ErrNotVoter)
			if err := CheckVoter(f.authority(), peerOf(t, f.store)); err != nil {
				t.Errorf("the voter is refused: %v", err)
			}
		})
	}
}

func TestStandingWithoutOrBehindState(t *testing.T) {
	f := newFleet(t)
	worker := f.admit("h2").Host()
	st := f.state()
	none := func() *fleet.State { return nil }
	have := func() *fleet.State { return st }
	roster := func(index uint64, hosts ...fleet.HostID) func() Roster {
		r := Roster{Epoch: 1, Index: index}
		for _, h := range hosts {
			r.Voters = append(r.Voters, RosterVoter{Host: h})
		}
		return func() Roster { return r }
	}
	tests := map[string]struct {
		state  func() *fleet.State
		roster func() Roster
		host   fleet.HostID
		known  bool
		voter  bool
	}{
		"a worker trusts the chain of any host": {none, roster(5, "h-9"), "h-8", true, false},
		"a worker knows its voters":             {none, roster(5, "h-9"), "h-9", true, true},
		"a log that is still empty goes by the roster": {func() *fleet.State { return fleet.New() },
			roster(5, "h-9"), "h-9", true, true},
		"an older roster does not count": {have, roster(0, worker), worker, true, false},
		"a newer roster makes a voter":   {have, roster(st.Index()+1, worker), worker, true, true},
		"a newer roster unmakes a voter": {have, roster(st.Index()+1, worker), f.store.Host(), true,
			false},
		"a newer roster names a host State has not seen admitted": {have, roster(st.Index()+1, "h-9"), "h-9", true, true},
		"an older roster's host that State lacks is unknown":      {have, roster(0, "h-9"), "h-9", false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, known := NewAuthority(tt.state, tt.roster).Authorization(tt.host)
			if known != tt.known || known && s.Voter != tt.voter {
				t.Errorf("known %v voter %v, want %v and %v", known, s.Voter, tt.known, tt.voter)
			}
		})
	}
}

func TestAHostThatBecomesAVoterTakesOnlyTheRightFleetKey(t *testing.T) {
	f, other := newFleet(t), newFleet(t)
	host := f.admit("h2")
	right, err := f.store.FleetKey()
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := other.store.FleetKey()
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, host.PutFleetKey(wrong, f.state().Fleet().SealedKeys), ErrSealed)
	wantErr(t, host.PutFleetKey(wrong, other.state().Fleet().SealedKeys), ErrSealed)
	if _, err = host.FleetKey(); err == nil {
		t.Error("a wrong key was stored")
	}
	if err = host.PutFleetKey(right, f.state().Fleet().SealedKeys); err != nil {
		t.Fatal(err)
	}
	if err = host.DeleteFleetKey(); err != nil {
		t.Fatal(err)
	}
	_, err = host.FleetKey()
	wantErr(t, err, ErrNoFleetKey)
	if err := host.DeleteFleetKey(); err != nil {
		t.Errorf("deleting again: %v", err)
	}
}
