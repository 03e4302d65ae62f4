package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

// lets is why the first voter does not let a host connect.
func (f *testFleet) lets(host *IdentityStore, protocol string) error {
	shown := tls.ConnectionState{PeerCertificates: []*x509.Certificate{host.Certificate().Leaf}}
	return f.store.verifyClient(shown, protocol, f.clock(), f.authority())
}

func TestWhoMaySignByItsClock(t *testing.T) {
	tests := map[string]struct {
		standing ClockStanding
		caller   time.Time
		refused  bool
	}{
		"at the median": {ClockStanding{Known: true}, noon, false},
		"at the median, whatever the caller's clock says": {ClockStanding{Known: true, Off: time.Minute},
			noon.Add(10 * 24 * time.Hour), false},
		"ten days ahead of the median": {ClockStanding{Known: true, Off: 10 * 24 * time.Hour}, noon,
			true},
		"an hour behind the median":                            {ClockStanding{Known: true, Off: -time.Hour}, noon, true},
		"median not known, clocks agree":                       {ClockStanding{}, noon.Add(time.Minute), false},
		"median not known, the caller is ten days behind":      {ClockStanding{}, noon.Add(-10 * 24 * time.Hour), true},
		"median not known, the caller is two hours ahead":      {ClockStanding{}, noon.Add(2 * time.Hour), true},
		"median not known, an older agent that tells no clock": {ClockStanding{}, time.Time{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.standing.MaySign(noon, tt.caller)
			if !tt.refused && err != nil {
				t.Fatal(err)
			}
			if tt.refused {
				wantErr(t, err, ErrClock)
				wantText(t, err.Error(), "2026-03-01T12:00:00Z")
			}
		})
	}
	err := ClockStanding{}.MaySign(noon, noon.Add(-10*24*time.Hour))
	wantText(t, err.Error(), "2026-02-19T12:00:00Z")
	wantText(t, err.Error(), "240h0m0s ahead of")
	if p, _ := ProblemOf(err, Codes); p.RetryMs != 0 {
		t.Error("the caller is told to try again, which no clock is set right by")
	} else {
		wantErr(t, p.Err(Codes), ErrClock)
	}
}

// A clock that was ahead by days when certificates were made, and is right again,
// locks nobody out.
func TestCertificatesMadeWhileAClockWasAheadAreRenewedAtOnce(t *testing.T) {
	const ahead = 10 * 24 * time.Hour
	f := newFleet(t)
	host := f.admit("h2")
	f.wait(ahead)
	grant, err := f.issuer.Renew(peerOf(t, host), f.clock())
	if err != nil {
		t.Fatal(err)
	}
	if err = host.PutGrant(grant); err != nil {
		t.Fatal(err)
	}
	f.wait(-ahead)
	cert := host.Certificate().Leaf
	if got := RenewIn(cert, host.Host(), f.clock()); got > 0 {
		t.Errorf("it is renewed in %s", got)
	}
	peer := peerOf(t, host)
	wantErr(t, peer.Valid(f.clock()), ErrNotYetValid)
	if err = f.lets(host, ProtocolRPC); err != nil {
		t.Fatalf("its calls do not get as far as a renewal: %v", err)
	}
	wantErr(t, f.lets(host, ProtocolBlob), ErrNotYetValid)
	if grant, err = f.issuer.Renew(peer, f.clock()); err != nil {
		t.Fatal(err)
	}
	if err := host.PutGrant(grant); err != nil {
		t.Fatal(err)
	}
	if err := peerOf(t, host).Valid(f.clock()); err != nil {
		t.Error(err)
	}
	if got := RenewIn(host.Certificate().Leaf, host.Host(), f.clock()); got < CertLifetime/3 {
		t.Errorf("the renewed one is renewed again in %s", got)
	}
}

// A fleet made while the clock of its first host was ahead goes on when it is set
// right: the authority is valid then too.
func TestAFleetMadeWhileAClockWasAheadGoesOn(t *testing.T) {
	f := newFleet(t)
	host := f.admit("h2")
	f.wait(-3 * 365 * 24 * time.Hour)
	grant, err := f.issuer.Renew(peerOf(t, host), f.clock())
	if err = errors.Join(err, host.PutGrant(grant), f.issuer.RenewSelf(f.clock())); err != nil {
		t.Fatal(err)
	}
	for _, identity := range []*IdentityStore{f.store, host} {
		if err := peerOf(t, identity).Valid(f.clock()); err != nil {
			t.Error(err)
		}
	}
	if err := f.lets(host, ProtocolBlob); err != nil {
		t.Error(err)
	}
}

func TestAnAdmissionIsRefusedBeforeItsTokenIsSpent(t *testing.T) {
	f := newFleet(t)
	admission := f.admission()
	asked := time.Time{}
	admission.MaySign = func(caller time.Time) error { asked = caller; return ErrClock }
	ask, _ := f.joinRequest("h2")
	ask.ClockMs = noon.Add(time.Hour).UnixMilli()
	_, err := admission.Admit(t.Context(), ask)
	wantErr(t, err, ErrClock)
	if !asked.Equal(noon.Add(time.Hour)) {
		t.Errorf("asked about a caller at %s", asked)
	}
	if f.state().HostByName("h2") != nil {
		t.Error("it was admitted")
	}
	admission.MaySign = func(time.Time) error { return nil }
	if _, err := admission.Admit(t.Context(), ask); err != nil {
		t.Error(err)
	}
}
