package simdetector_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/sim/simdetector"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func ids(hosts ...int) []fleet.HostID {
	var out []fleet.HostID
	for _, i := range hosts {
		out = append(out, name(i))
	}
	return out
}

func (r *rig) cut(a, b []fleet.HostID) {
	r.net.Cut(a, b)
	r.net.Cut(b, a)
}

func TestADeadMachineIsSilentWithinASecond(t *testing.T) {
	for seed := range uint64(20) {
		r := newRig(t, 9, 3, seed, simdetector.Mutants{})
		r.run(2 * time.Second)
		for i := range 9 {
			if got := r.livenessOf(i + 1).Liveness; got != plan.LivenessAlive {
				t.Fatalf("%s is %s", name(i+1), got)
			}
		}
		r.net.Set(name(9), virtual.Off)
		if took := r.until(9, plan.LivenessSilent, 2*time.Second); took < 400*time.Millisecond ||
			took > 1100*time.Millisecond {
			t.Errorf("seed %d: silent after %s", seed, took)
		}
	}
}

func TestAQuietFleetHasNoEvents(t *testing.T) {
	r := newRig(t, 100, 3, 1, simdetector.Mutants{})
	r.run(5 * time.Second)
	if at, ok := r.time.Next(); ok {
		t.Errorf("an event is due at %s", at)
	}
	r.net.Set(name(50), virtual.Off)
	r.net.Set(name(51), virtual.Down)
	r.net.Set(name(52), virtual.Frozen)
	r.run(20 * time.Second)
	if at, ok := r.time.Next(); ok {
		t.Errorf("an event is due at %s though all is known", at)
	}
}

func TestAViewIsMadeOnceWhileNothingMoves(t *testing.T) {
	r := newRig(t, 1000, 3, 1, simdetector.Mutants{})
	r.run(5 * time.Second)
	if n := testing.AllocsPerRun(100, func() { r.run(time.Second); r.detector.Liveness() }); n > 1 {
		t.Errorf("%v allocations a view", n)
	}
}

// h010 of twelve has no stream, and of all hosts only the leader reaches it, which
// is no witness of it, being of its zone: silence is found, but for what the
// leader's ring hears.
func TestGossipMayVetoSilence(t *testing.T) {
	vetoed := 0
	for seed := range uint64(300) {
		r := newRig(t, 12, 3, seed, simdetector.Mutants{})
		r.run(2 * time.Second)
		r.cut(ids(10), ids(2, 3, 4, 5, 6, 7, 8, 9, 11, 12))
		r.membership.Closed(name(10), r.home(10))
		if r.until(10, plan.LivenessSilent, 4*time.Second) > 1100*time.Millisecond {
			vetoed++
		}
	}
	// The ring pings one of eleven each 500 ms, and an answer counts for 300: 16.
	if vetoed < 5 || vetoed > 40 {
		t.Errorf("gossip had a word in %d of 300", vetoed)
	}
}

func TestAStarvedObserverIsThreeTimesSlower(t *testing.T) {
	for _, observer := range []int{1, 3} { // the leader; the voter of h005
		r := newRig(t, 9, 3, 1, simdetector.Mutants{})
		r.membership.Starve(name(observer), true)
		r.run(2 * time.Second)
		if !r.livenessOf(observer).Starved {
			t.Errorf("%s does not say that it is late", name(observer))
		}
		r.net.Set(name(5), virtual.Off)
		r.never(5, plan.LivenessSuspect, 1500*time.Millisecond)
		r.until(5, plan.LivenessSilent, time.Second)
	}
}

// In one zone of twelve, where three are asked at a time.
func TestOneWitnessThatReachesAHostIsFoundInTime(t *testing.T) {
	for i := 4; i <= 11; i++ {
		r := newRigIn(t, "a", 12, 3, uint64(i), simdetector.Mutants{})
		r.run(2 * time.Second)
		var others []int
		for j := 1; j <= 11; j++ {
			if j != i {
				others = append(others, j)
			}
		}
		r.cut(ids(12), ids(others...))
		r.until(12, plan.LivenessRefused, time.Minute)
		r.never(12, plan.LivenessSilent, time.Minute)
		r.net.Heal()
		r.cut(ids(12), ids(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11))
		r.until(12, plan.LivenessSilent, time.Minute)
		r.run(2 * time.Minute)
		if at, ok := r.time.Next(); ok {
			t.Errorf("an event is due at %s though all have been asked", at)
		}
	}
}

func TestAHostIsHeardInTheSessionOfItsNewestLiveStream(t *testing.T) {
	r := newRig(t, 9, 3, 1, simdetector.Mutants{})
	want := func(session uint64) {
		t.Helper()
		r.run(300 * time.Millisecond)
		if s := r.livenessOf(9); s.Liveness != plan.LivenessAlive || s.Session != session {
			t.Errorf("%+v, want session %d", s, session)
		}
	}
	r.run(2 * time.Second)
	want(1)
	told := r.told
	r.membership.Closed(name(9), r.home(9))
	want(0)
	r.membership.Opened(name(9), name(2), 2)
	want(2)
	if r.told < told+2 {
		t.Errorf("%d changes were told, want one for each session", r.told-told)
	}
	r.membership.Opened(name(9), name(3), 3)
	want(3)
	r.membership.Closed(name(9), name(3))
	r.membership.Closed(name(9), name(2))
	r.run(time.Second)
	want(0) // by witnesses
}

func TestStarvedWitnessesCountLate(t *testing.T) {
	r := newRig(t, 4, 1, 1, simdetector.Mutants{})
	r.membership.Starve(name(2), true)
	r.membership.Starve(name(3), true)
	r.run(2 * time.Second)
	r.net.Set(name(4), virtual.Off)
	r.never(4, plan.LivenessSilent, 9*time.Second)
	r.until(4, plan.LivenessSilent, 3*time.Second)
}

func TestAHostThatNoVoterEverHeardIsSuspectAfterThreeSeconds(t *testing.T) {
	r := newRig(t, 9, 3, 1, simdetector.Mutants{})
	r.run(5 * time.Second)
	before := r.state
	grown := fleetOf(t, 10, 3)
	r.state = grown
	r.detector.Applied(fleet.ChangeSetOf(fleet.HostSubject(name(10))))
	if s := r.livenessOf(10); s.Liveness != plan.LivenessUnknown || s.Age >= 0 {
		t.Errorf("%+v", s)
	}
	r.never(10, plan.LivenessSuspect, 2900*time.Millisecond)
	r.until(10, plan.LivenessSuspect, 300*time.Millisecond)
	r.until(10, plan.LivenessSilent, time.Second)
	if s := r.livenessOf(10); s.Age >= 0 {
		t.Errorf("heard %s ago", s.Age)
	}
	r.state = before
	r.detector.Applied(fleet.ChangeSetOf(fleet.HostSubject(name(10))))
	if _, ok := r.detector.Liveness().Hosts[name(10)]; ok {
		t.Error("a host that State forgot is still seen")
	}
}

func TestAHostCutByItsVoterHasTimeToFindAnother(t *testing.T) {
	r := newRig(t, 9, 3, 1, simdetector.Mutants{})
	r.run(2 * time.Second)
	r.membership.Cut(name(9), r.home(9))
	r.never(9, plan.LivenessSuspect, 2400*time.Millisecond)
	r.membership.Opened(name(9), name(2), 1)
	r.never(9, plan.LivenessSuspect, 5*time.Second)
	r.membership.Closed(name(9), name(2))
	r.until(9, plan.LivenessSuspect, time.Second)
}

func TestStreamsOfANewVoterCountAndThoseOfARemovedOneDoNot(t *testing.T) {
	r := newRig(t, 9, 3, 1, simdetector.Mutants{})
	r.run(2 * time.Second)
	id := fleet.MakeRaftID(name(4), 1)
	for _, phase := range []fleet.VoterPhase{fleet.VoterPreparing, fleet.VoterLearning, fleet.VoterVoting} {
		r.do(fleet.SetVoter{ID: id, Phase: phase})
	}
	r.membership.Closed(name(9), r.home(9))
	r.membership.Opened(name(9), name(4), 1)
	r.never(9, plan.LivenessSuspect, 5*time.Second)
	r.do(fleet.SetVoter{ID: id, Phase: fleet.VoterRetiring})
	r.do(fleet.RemoveVoter{ID: id})
	r.until(9, plan.LivenessAlive, 0)
	r.run(time.Minute)
	if got := r.livenessOf(9).Liveness; got != plan.LivenessRefused {
		t.Errorf("%s, which only a host that votes no more hears, is %s", name(9), got)
	}
}

func TestALeaderThatStoodStillActsOnWhatItKnewUntilItHears(t *testing.T) {
	r := newRig(t, 9, 3, 1, simdetector.Mutants{})
	r.run(5 * time.Second)
	r.net.Set(name(1), virtual.Frozen)
	told := r.told
	r.run(time.Second)
	r.net.Set(name(9), virtual.Off)
	r.run(30 * time.Second)
	if r.told != told || r.livenessOf(9).Liveness != plan.LivenessAlive {
		t.Errorf("a leader that stands still was told %d times, and sees %s", r.told-told, r.livenessOf(9).Liveness)
	}
	r.net.Set(name(1), virtual.Up)
	r.until(9, plan.LivenessSilent, 2*time.Second)
	for i := 1; i < 9; i++ {
		r.until(i, plan.LivenessAlive, 0)
	}
}

func TestALeaderThatNobodyFollowsHearsNobody(t *testing.T) {
	r := newRig(t, 9, 3, 1, simdetector.Mutants{})
	r.run(2 * time.Second)
	old := r.detector
	r.detector, r.names[name(1)] = nil, name(1) // it still believes that it leads
	r.lead(2)
	r.run(5 * time.Second)
	for i := 1; i <= 9; i++ {
		// Its own stream is its own; of the others it knows only what witnesses say.
		if s := old.Liveness().Hosts[name(i)]; s.Liveness != plan.LivenessAlive ||
			s.Age > time.Second != (r.home(i) != name(1) && i != 1) {
			t.Errorf("%s is %+v to a leader of old", name(i), s)
		}
		if s := r.livenessOf(i); s.Liveness != plan.LivenessAlive || s.Age > 0 {
			t.Errorf("%s is %+v", name(i), s)
		}
	}
	r.net.Set(name(2), virtual.Off)
	r.detector.Close()
	r.leader = name(1)
	r.membership.LeadersChanged()
	r.run(5 * time.Second)
	if s := old.Liveness().Hosts[name(4)]; r.home(4) != name(2) && (s.Liveness != plan.LivenessAlive || s.Age > 0) {
		t.Errorf("%s is %+v once there is no other leader", name(4), s)
	}
}

func TestAVoterTellsNobodyWhileItsLogNamesNoLeader(t *testing.T) {
	r := newRig(t, 9, 3, 1, simdetector.Mutants{})
	r.run(2 * time.Second)
	r.names[name(2)] = "" // it has a link to the one that leads
	r.membership.LeadersChanged()
	r.run(2 * time.Second)
	told := func() (hosts int) {
		for i := 1; i <= 9; i++ {
			if r.livenessOf(i).Age == 0 {
				hosts++
			}
		}
		return hosts
	}
	if n := told(); n != 7 {
		t.Errorf("%d hosts are heard now, want the 6 of the two other voters and the leader", n)
	}
	delete(r.names, name(2))
	r.membership.LeadersChanged()
	r.run(time.Second)
	if n := told(); n != 9 {
		t.Errorf("%d hosts are heard now that its log names the leader, want 9", n)
	}
}

func TestClocksAreTheMedianAgainstTheLeaders(t *testing.T) {
	r := newRig(t, 9, 3, 1, simdetector.Mutants{})
	r.run(2 * time.Second)
	want := func(offset time.Duration, samples int) {
		t.Helper()
		r.run(time.Second) // until it is told
		if s := r.detector.Liveness(); s.ClockOffset != offset || s.ClockSamples != samples {
			t.Errorf("%s of %d, want %s of %d", s.ClockOffset, s.ClockSamples, offset, samples)
		}
	}
	want(0, 9)
	for i := 6; i <= 9; i++ {
		r.membership.SetClock(name(i), 5*time.Second)
	}
	want(0, 9)
	r.membership.SetClock(name(5), 3*time.Second)
	want(3*time.Second, 9)
	r.membership.SetClock(name(1), -2*time.Second)
	want(5*time.Second, 9)
	r.net.Set(name(9), virtual.Off)
	r.net.Set(name(8), virtual.Off)
	r.until(9, plan.LivenessSilent, 2*time.Second)
	want(2*time.Second, 7)
	r.membership.SetClock(name(1), time.Minute)
	want(3*time.Second-time.Minute, 7)
}

// Sights of machines that are hurt at random, in fleets without cuts: silent is
// what has no power, or had none until a moment ago, as far as a leader that
// moves knows.
func TestSilentIsOnlyWhatHasNoPower(t *testing.T) {
	for seed := range uint64(30) {
		l := newLinks(newRig(t, 12, 3, seed, simdetector.Mutants{}))
		offUntil := map[fleet.HostID]time.Duration{}
		l.net.Watch(func(id fleet.HostID) {
			if id == l.leader && l.net.Condition(id) == virtual.Up { // it has to look again
				for i := range l.n {
					offUntil[name(i+1)] = l.time.Now()
				}
			}
		})
		l.run(3 * time.Second)
		l.play(seed, 400, false, func() {
			if l.net.Condition(l.leader) != virtual.Up {
				return
			}
			for i := range l.n {
				id := name(i + 1)
				if l.net.Condition(id) == virtual.Off {
					offUntil[id] = l.time.Now()
				}
				if at, was := offUntil[id]; l.livenessOf(i+1).Liveness == plan.LivenessSilent &&
					(!was || l.time.Now()-at > 6*time.Second) {
					t.Fatalf("seed %d, %s: %s is silent and %s", seed, l.time.Now(), id, l.net.Condition(id))
				}
			}
		})
	}
}

// Whatever happened, a fleet that is left in peace is seen as it is.
func TestAfterAllFaultsEverybodyIsAlive(t *testing.T) {
	for seed := range uint64(30) {
		l := newLinks(newRig(t, 12, 3, seed, simdetector.Mutants{}))
		l.play(seed, 200, true, func() {})
		l.net.Heal()
		for i := range l.n {
			l.start(name(i + 1))
			l.membership.Starve(name(i+1), false)
		}
		l.run(20 * time.Second)
		for i := range l.n {
			if s := l.livenessOf(i + 1); s.Liveness != plan.LivenessAlive {
				t.Errorf("seed %d: %s is %+v", seed, name(i+1), s)
			}
		}
		if at, ok := l.time.Next(); ok {
			t.Errorf("seed %d: an event is due at %s", seed, at-l.time.Now())
		}
	}
}

func TestEqualSeedsGiveEqualHistories(t *testing.T) {
	history := func(seed uint64) string {
		l := newLinks(newRig(t, 12, 3, seed, simdetector.Mutants{}))
		var b strings.Builder
		l.play(seed, 200, true, func() {
			liveness := l.detector.Liveness()
			fmt.Fprintf(&b, "%s %d", l.time.Now(), l.told)
			for _, id := range slices.Sorted(maps.Keys(liveness.Hosts)) {
				fmt.Fprintf(&b, " %s=%+v", id, liveness.Hosts[id])
			}
			fmt.Fprintln(&b)
		})
		return b.String()
	}
	a, b, c := history(1), history(1), history(2)
	if a != b {
		t.Error("one seed gave two histories")
	}
	if a == c {
		t.Error("two seeds gave one history")
	}
}

// play hurts the fleet at random and looks after each step.
func (l *links) play(seed uint64, steps int, cuts bool, look func()) {
	c := virtual.NewChance(seed, "faults")
	for range steps {
		host := name(1 + c.IntN(l.n))
		switch c.IntN(9) {
		case 0:
			l.net.Set(host, virtual.Off)
		case 1:
			if l.net.Condition(host) == virtual.Up {
				l.net.Set(host, virtual.Down)
			}
		case 2:
			if l.net.Condition(host) == virtual.Up {
				l.net.Set(host, virtual.Frozen)
			}
		case 3, 4, 5:
			l.start(host)
		case 6:
			l.membership.Starve(host, c.Is(0.3))
		case 7:
			if cuts {
				l.net.Cut([]fleet.HostID{host}, ids(1+c.IntN(l.n), 1+c.IntN(l.n), 1+c.IntN(l.n)))
			}
		case 8:
			l.net.Heal()
		}
		// A voter that runs leads.
		if leader := name(1 + c.IntN(l.voters)); c.Is(0.05) || l.lives[l.leader].Over() {
			l.start(leader)
			l.leadHost(leader)
		}
		for end := l.time.Now() + c.Between(0, 3*time.Second); l.time.Now() < end; {
			l.run(100 * time.Millisecond)
			look()
		}
	}
}

func TestMutantsAreWrong(t *testing.T) {
	tests := map[string]struct {
		mutants simdetector.Mutants
		hurt    func(r *rig)
		right   plan.Liveness
	}{
		"absence is silence: an agent that restarts": {
			simdetector.Mutants{AbsenceIsSilence: true}, func(r *rig) { r.net.Set(name(9), virtual.Down) }, plan.LivenessRefused,
		},
		"one witness: a host that most can reach": {
			simdetector.Mutants{OneWitness: true}, func(r *rig) { r.cut(ids(9), ids(1, 2, 4, 5)) }, plan.LivenessAlive,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, mutants := range []simdetector.Mutants{{}, tt.mutants} {
				r := newRig(t, 9, 3, 1, mutants)
				r.run(2 * time.Second)
				tt.hurt(r)
				want := plan.LivenessSilent
				if mutants == (simdetector.Mutants{}) {
					want = tt.right
				}
				r.run(1500 * time.Millisecond)
				if got := r.livenessOf(9).Liveness; got != want {
					t.Errorf("%+v: %s, want %s", mutants, got, want)
				}
			}
		})
	}
}
