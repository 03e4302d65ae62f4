package peer

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"skein/agent/trust"
	"skein/raftfsm/fleet/wire"
)

// measured is a fleet of three ready voters, of which the last has a clock that is
// off by so much, and the leader has measured it.
func measured(t *testing.T, off time.Duration) (*rig, []*rigAgent, []*rigHost) {
	t.Helper()
	r, agents := three(t)
	agents[2].clock.offset.Store(int64(off))
	var hosts []*rigHost
	for _, a := range agents {
		hosts = append(hosts, a.host().up())
		r.ready(hosts[len(hosts)-1])
	}
	standing := func() trust.ClockStanding { return agents[2].port.detector.clockStanding() }
	eventually(t, "the third knows how far its clock is off", func() string { return fmt.Sprint(standing()) },
		func() bool {
			got := standing()
			return got.Known && (got.Off-off).Abs() < time.Second
		})
	return r, agents, hosts
}

func TestAVoterOffTheMedianSignsNothing(t *testing.T) {
	const off = 2 * time.Hour
	r, agents, hosts := measured(t, off)
	worker := r.join("h4", agents[0])
	wantErr(t, worker.port.call(t.Context(), agents[2].id(), PathRenew, RenewRequest{ClockMs: r.clock.Now().UnixMilli()},
		nil), trust.ErrClock)
	wantErr(t, r.askToJoin(agents[2], r.token(1)), trust.ErrClock)

	right := func(what string, end time.Time) {
		t.Helper()
		if got := end.Sub(r.clock.Now()); (got - trust.CertLifetime).Abs() > off/2 {
			t.Errorf("%s is good for %s", what, got)
		}
	}
	if err := hosts[2].link.renew(t.Context()); err != nil {
		t.Fatalf("its own certificate: %v", err)
	}
	right("its own certificate", agents[2].identity.Certificate().Leaf.NotAfter)
	newcomer := r.join("h5", agents[2])
	right("a newcomer's certificate", newcomer.identity.Certificate().Leaf.NotAfter)
}

func TestTwoHostsWhoseClocksDifferSignNothingForEachOther(t *testing.T) {
	r := newRig(t)
	worker := r.join("h2", r.agents[0])
	worker.clock.offset.Store(int64(-2 * time.Hour))
	ask := func(now time.Time) error {
		return r.agents[0].port.renewAs(t, worker, now)
	}
	wantErr(t, ask(worker.clock.Now()), trust.ErrClock)
	if err := ask(r.clock.Now()); err != nil {
		t.Errorf("with clocks that agree: %v", err)
	}
	if err := ask(time.Time{}); err != nil {
		t.Errorf("an agent of a former build: %v", err)
	}
}

// renewAs asks a voter to renew a host's certificate, with no network.
func (p *Port) renewAs(t *testing.T, a *rigAgent, clock time.Time) error {
	t.Helper()
	var body []byte
	if !clock.IsZero() {
		var err error
		if body, err = wire.Marshal(RenewRequest{ClockMs: clock.UnixMilli()}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := p.renew(&call{ctx: t.Context(), peer: a.peer(t), body: body, log: p.log()})
	return err
}

// peer is who others find at the other end of a connection from an agent.
func (a *rigAgent) peer(t *testing.T) trust.Peer {
	t.Helper()
	peer, err := trust.PeerOf(tls.ConnectionState{PeerCertificates: []*x509.Certificate{a.identity.Certificate().Leaf}})
	if err != nil {
		t.Fatal(err)
	}
	return peer
}

// A host whose certificate was made while a clock was ahead has it renewed as soon
// as its link runs.
func TestALinkRenewsACertificateThatIsNotValidYet(t *testing.T) {
	const ahead = 10 * 24 * time.Hour
	r := newRig(t)
	worker := r.join("h2", r.agents[0])
	r.clock.offset.Store(int64(ahead))
	grant, err := r.agents[0].port.issuer.Renew(worker.peer(t), r.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.identity.PutGrant(grant); err != nil {
		t.Fatal(err)
	}
	r.clock.offset.Store(0)
	wantErr(t, worker.port.call(t.Context(), r.agents[0].id(), PathPing, nil, nil), trust.ErrNotYetValid)
	worker.host().up()
	if err := worker.peer(t).Valid(r.clock.Now()); err != nil {
		t.Error(err)
	}
}
