package simdetector_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/sim/simdetector"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

const start fleet.Time = 1_767_355_200_000

// rig is a fleet of machines h001, h002, ... in three zones in turn. The first
// ones vote, each host streams from a voter, and the first leads.
type rig struct {
	t          testing.TB
	time       *virtual.Time
	net        *virtual.Network
	membership *simdetector.Membership
	state      *fleet.State
	n          int
	voters     int
	lives      map[fleet.HostID]*virtual.Run
	leader     fleet.HostID
	detector   *simdetector.Detector
	names      map[fleet.HostID]fleet.HostID // by the logs of voters that name another leader, or none
	told       int                           // OnChange calls
}

func name(i int) fleet.HostID { return fleet.HostID(fmt.Sprintf("h%03d", i)) }

func newRig(t testing.TB, n, voters int, seed uint64, mutants simdetector.Mutants) *rig {
	t.Helper()
	return newRigIn(t, "abc", n, voters, seed, mutants)
}

// newRigIn has hosts in other zones, each a letter.
func newRigIn(t testing.TB, zones string, n, voters int, seed uint64, mutants simdetector.Mutants) *rig {
	t.Helper()
	r := &rig{t: t, time: virtual.NewTime(seed), state: fleetIn(t, zones, n, voters), n: n, voters: voters,
		lives: map[fleet.HostID]*virtual.Run{}, names: map[fleet.HostID]fleet.HostID{}}
	r.net = virtual.NewNetwork(r.time, seed, virtual.NetworkConditions{Delay: time.Millisecond})
	r.membership = simdetector.New(r.time, r.net, seed, simdetector.Config{
		State: func(fleet.HostID) *fleet.State { return r.state },
		Leader: func(voter fleet.HostID) (fleet.HostID, bool) {
			if leader, other := r.names[voter]; other {
				return leader, leader != ""
			}
			return r.leader, true
		},
		Mutants: mutants,
	})
	for i := range n {
		r.net.PowerOn(name(i + 1))
		r.begin(name(i + 1))
	}
	for i := range n {
		r.membership.Opened(name(i+1), r.home(i+1), 1)
	}
	r.lead(1)
	return r
}

// home is the voter of a host: another one than itself.
func (r *rig) home(i int) fleet.HostID { return name(1 + i%r.voters) }

func (r *rig) begin(id fleet.HostID) { r.lives[id] = r.net.Begin(id) }

// lead makes a host the leader.
func (r *rig) lead(i int) { r.leadHost(name(i)) }

func (r *rig) leadHost(id fleet.HostID) {
	r.leader = id
	r.detector.Close()
	r.detector = r.membership.Detector(id, r.lives[id])
	r.detector.OnChange(func() { r.told++ })
}

// do applies a command and tells the leader's view, as the log does.
func (r *rig) do(c fleet.Command) {
	r.t.Helper()
	next := r.state.Clone()
	out := next.Apply(next.Index()+1, fleet.Entry{At: start, Items: []fleet.Item{{Command: c}}})
	if err := out.Results[0].Err; err != nil {
		r.t.Fatalf("%T: %v", c, err)
	}
	r.state = next
	r.detector.Applied(out.ChangeSet)
}

func (r *rig) run(d time.Duration) { r.time.Run(r.time.Now() + d) }

func (r *rig) livenessOf(i int) plan.HostLiveness { return r.detector.Liveness().Hosts[name(i)] }

// until runs until a host is seen so and returns how long that took.
func (r *rig) until(i int, want plan.Liveness, within time.Duration) time.Duration {
	r.t.Helper()
	began := r.time.Now()
	for r.livenessOf(i).Liveness != want {
		if r.time.Now()-began > within {
			r.t.Fatalf("%s is %s after %s, not %s", name(i), r.livenessOf(i).Liveness, within, want)
		}
		r.run(10 * time.Millisecond)
	}
	return r.time.Now() - began
}

// never runs for a while and fails if a host is ever seen so.
func (r *rig) never(i int, unwanted plan.Liveness, d time.Duration) {
	r.t.Helper()
	for end := r.time.Now() + d; r.time.Now() < end; r.run(10 * time.Millisecond) {
		if r.livenessOf(i).Liveness == unwanted {
			r.t.Fatalf("%s is %s", name(i), unwanted)
		}
	}
}

// fleetOf is the State of n ready hosts.
func fleetOf(t testing.TB, n, voters int) *fleet.State {
	t.Helper()
	return fleetIn(t, "abc", n, voters)
}

func fleetIn(t testing.TB, zones string, n, voters int) *fleet.State {
	t.Helper()
	s := fleet.New()
	do := func(c fleet.Command) {
		t.Helper()
		out := s.Apply(s.Index()+1, fleet.Entry{At: start, Items: []fleet.Item{{Command: c}}})
		if err := out.Results[0].Err; err != nil {
			t.Fatalf("%T: %v", c, err)
		}
	}
	hash := make([]byte, 32)
	for i := 1; i <= n; i++ {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7000)
		a := fleet.Admission{ID: name(i), Name: string(name(i)), Zone: string(zones[i%len(zones)]), Addr: addr,
			PublicKey: fmt.Sprint("key", i)}
		if i == 1 {
			do(fleet.InitFleet{ID: "f-1", CABundle: []byte("ca"), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8),
				Gossip: make([]byte, 8)}, Host: a, RaftID: fleet.MakeRaftID(a.ID, 1)})
		} else {
			if i%1000 == 2 {
				do(fleet.PutToken{ID: fleet.TokenID(fmt.Sprint("t", i)), TokenKind: fleet.TokenJoin, Hash: hash, Uses: 1000,
					NotAfter: start.Add(time.Hour)})
			}
			do(fleet.AdmitHost{Token: fleet.TokenID(fmt.Sprint("t", i-(i-2)%1000)), SecretHash: hash, Host: a})
		}
		do(fleet.OpenSession{Host: a.ID, Boot: "boot-1", Nonce: 1, Addr: addr, Zone: a.Zone,
			Capacity: fleet.Resources{CPU: 4096, Memory: 8192}})
		do(fleet.Report{Host: a.ID, Session: s.Host(a.ID).Session.N, Seq: 1,
			SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
		if i > 1 && i <= voters {
			id := fleet.MakeRaftID(a.ID, 1)
			for _, phase := range []fleet.VoterPhase{fleet.VoterPreparing, fleet.VoterLearning, fleet.VoterVoting} {
				do(fleet.SetVoter{ID: id, Phase: phase})
			}
		}
	}
	return s
}
