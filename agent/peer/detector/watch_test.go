package detector

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// fakeClock is moved by the test.
type fakeClock struct{ mono time.Duration }

func (c *fakeClock) Now() time.Time      { return time.Unix(0, 0).Add(c.mono) }
func (c *fakeClock) Mono() time.Duration { return c.mono }

// knowEvery is how often the scene's leader looks through its hosts.
const knowEvery = time.Second

// scene is a fleet on a simulated clock: hosts beat on streams of voters,
// voters tell a Watch, and witnesses answer from what the scene knows.
type scene struct {
	t       *testing.T
	clock   *fakeClock
	watch   *Watch
	voters  map[fleet.HostID]*sceneVoter
	hosts   []*sceneHost
	leader  fleet.HostID
	starved bool
	veto    map[fleet.HostID]time.Duration // how long ago gossip was answered
	asks    []WitnessRequest
	room    int
}

type sceneVoter struct {
	streams *Streams
	teller  Teller
	dead    bool
	starved bool
	told    time.Duration
	clock   int64 // ms, minus the leader's
	said    []HostClock
}

type sceneHost struct {
	Host
	stream  *Stream
	at      fleet.HostID // voter it streams from
	mute    bool         // it does not beat
	outcome Outcome      // what a witness finds
	reached fleet.HostID // a witness that is connected all the same
	starved bool
}

// newScene has n hosts in three zones, h1 to h<voters> of them voters, h1 leads,
// and host i streams from voter i modulo voters.
func newScene(t *testing.T, n, voters int) *scene {
	s := &scene{t: t, clock: &fakeClock{mono: time.Hour}, watch: NewWatch("h1"), leader: "h1",
		voters: map[fleet.HostID]*sceneVoter{}, veto: map[fleet.HostID]time.Duration{}, room: 100}
	for i := 1; i <= n; i++ {
		id := fleet.HostID(fmt.Sprintf("h%d", i))
		if i <= voters {
			s.voters[id] = &sceneVoter{streams: NewStreams()}
		}
		s.hosts = append(s.hosts, &sceneHost{Host: Host{ID: id, Zone: string(rune('a' + i%3)), State: fleet.HostReady},
			outcome: Connected})
	}
	for i, h := range s.hosts {
		s.open(h.ID, fleet.HostID(fmt.Sprintf("h%d", 1+(i+1)%voters)))
	}
	s.watch.Begin(s.clock.mono)
	return s
}

func (s *scene) host(id fleet.HostID) *sceneHost {
	for _, h := range s.hosts {
		if h.ID == id {
			return h
		}
	}
	s.t.Fatalf("no host %s", id)
	return nil
}

func (s *scene) open(id, voter fleet.HostID) { s.openIn(id, voter, 1) }

func (s *scene) openIn(id, voter fleet.HostID, session uint64) {
	h := s.host(id)
	h.at, h.stream = voter, s.voters[voter].streams.Open(s.clock.mono, id, session)
}

func (s *scene) hangUp(id fleet.HostID, ours bool) {
	h := s.host(id)
	s.voters[h.at].streams.Close(h.stream, ours)
	h.stream = nil
}

// die is a machine that loses power: no beats, no answers, and if it is a voter
// no word of its own.
func (s *scene) die(id fleet.HostID) {
	h := s.host(id)
	h.mute, h.outcome = true, Silent
	if v := s.voters[id]; v != nil {
		v.dead = true
	}
}

// run moves time in ticks of watchEvery, as FailureDetector does.
func (s *scene) run(d time.Duration) {
	for end := s.clock.mono + d; s.clock.mono < end; {
		s.clock.mono += protocol.WatchEvery
		s.tick()
	}
}

func (s *scene) tick() {
	now := s.clock.mono
	for _, h := range s.hosts {
		if h.stream != nil && !h.mute && now%protocol.HostBeat == 0 {
			h.stream.Beat(now, s.clock.Now(), Beat{Starved: h.starved})
		}
	}
	for _, id := range s.voterIDs() {
		v := s.voters[id]
		if v.dead || id != s.leader && now-v.told < protocol.AgesEvery {
			continue
		}
		ages := v.teller.Next(now, s.leader, v.streams, v.streams.All(), fleet.Served{}, v.starved)
		v.said, v.told = append(v.said, ages.Clocks...), now
		v.teller.Told(!s.watch.Take(now, id, ages), &v.clock)
	}
	if now%knowEvery == 0 {
		var hosts []Host
		for _, h := range s.hosts {
			if h.State != fleet.HostForgotten {
				hosts = append(hosts, h.Host)
			}
		}
		s.watch.Know(now, hosts, s.voterIDs())
	}
	for _, ask := range s.watch.Step(now, s.starved, s.room) {
		s.asks = append(s.asks, ask)
		s.answer(ask)
	}
}

func (s *scene) voterIDs() []fleet.HostID {
	var ids []fleet.HostID
	for id := range s.voters {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (s *scene) answer(ask WitnessRequest) {
	var votes []Vote
	for _, w := range ask.Witnesses {
		if witness := s.host(w); !witness.mute {
			outcome := s.host(ask.Host).outcome
			if w == s.host(ask.Host).reached {
				outcome = Connected
			}
			votes = append(votes, Vote{By: w, Outcome: outcome, Starved: witness.starved})
		}
	}
	answered := time.Duration(-1)
	if d, ok := s.veto[ask.Host]; ok {
		answered = d
	}
	s.watch.Answer(s.clock.mono, ask.Host, ask.Needed, votes, answered)
}

func (s *scene) liveness(id fleet.HostID) plan.HostLiveness {
	return s.watch.Liveness(s.clock.mono, nil).Hosts[id]
}

// until runs until a host is seen so and returns how long that took.
func (s *scene) until(id fleet.HostID, want plan.Liveness, within time.Duration) time.Duration {
	s.t.Helper()
	start := s.clock.mono
	for s.liveness(id).Liveness != want {
		if s.clock.mono-start > within {
			s.t.Fatalf("%s is not seen %d within %s: %+v", id, want, within, s.liveness(id))
		}
		s.run(protocol.WatchEvery)
	}
	return s.clock.mono - start
}

func (s *scene) never(id fleet.HostID, unwanted plan.Liveness, d time.Duration) {
	s.t.Helper()
	for end := s.clock.mono + d; s.clock.mono < end; {
		s.run(protocol.WatchEvery)
		if got := s.liveness(id); got.Liveness == unwanted {
			s.t.Fatalf("%s is seen %d after %s: %+v", id, unwanted, d-(end-s.clock.mono), got)
		}
	}
}

func TestHostsThatBeatAreAlive(t *testing.T) {
	s := newScene(t, 9, 3)
	if liveness := s.watch.Liveness(s.clock.mono, nil); len(liveness.Hosts) != 0 {
		t.Errorf("a new leader sees %v", liveness.Hosts)
	}
	s.run(5 * time.Second)
	for _, h := range s.hosts {
		if got := s.liveness(h.ID); got.Liveness != plan.LivenessAlive || got.Age < 0 || got.Age > protocol.SuspectAfter ||
			got.For < 4*time.Second {
			t.Errorf("%s is %+v", h.ID, got)
		}
	}
	if len(s.asks) != 0 {
		t.Errorf("witnesses were asked: %v", s.asks)
	}
	if got := s.watch.Liveness(s.clock.mono, nil).LeaderAge; got != 5*time.Second {
		t.Errorf("leader age %s", got)
	}
}

func TestADeadHostIsSilentWithinASecond(t *testing.T) {
	for _, id := range []fleet.HostID{"h9", "h4", "h2", "h3"} {
		t.Run(string(id), func(t *testing.T) {
			s := newScene(t, 9, 3)
			s.run(2 * time.Second)
			s.die(id)
			took := s.until(id, plan.LivenessSilent, 2*time.Second)
			if took < protocol.SuspectAfter-protocol.HostBeat || took > 1100*time.Millisecond {
				t.Errorf("silent after %s", took)
			}
			for _, h := range s.hosts {
				if h.ID != id && s.liveness(h.ID).Liveness != plan.LivenessAlive {
					t.Errorf("%s is %+v", h.ID, s.liveness(h.ID))
				}
			}
		})
	}
}

func TestWitnessesAreOfOtherZonesAliveAndFew(t *testing.T) {
	s := newScene(t, 12, 3)
	s.host("h5").starved = true
	s.run(3 * time.Second)
	s.die("h9")
	s.die("h8")
	s.until("h9", plan.LivenessSilent, 2*time.Second)
	for _, ask := range s.asks {
		if len(ask.Witnesses) != protocol.MaxWitnesses {
			t.Errorf("asked %v about %s", ask.Witnesses, ask.Host)
		}
		for i, w := range ask.Witnesses {
			switch {
			case w == ask.Host, w == "h5", slices.Contains(ask.Witnesses[:i], w):
				t.Errorf("asked %v about %s", ask.Witnesses, ask.Host)
			case s.host(w).Zone == s.host(ask.Host).Zone:
				t.Errorf("asked %s of the same zone about %s", w, ask.Host)
			}
		}
	}
}

// In its first moments a new leader has heard of few hosts: its own word about a
// silent one is not a majority of those there may be.
func TestANewLeadersOwnWordIsNotEnough(t *testing.T) {
	w := NewWatch("h1")
	w.Begin(time.Second)
	var hosts []Host
	for _, id := range []fleet.HostID{"h1", "h2", "h3", "h4"} {
		hosts = append(hosts, Host{ID: id, Zone: string(id), State: fleet.HostReady})
	}
	w.Take(time.Second, "h1", Ages{Seq: 1, Full: true, Gone: []GoneAge{{Host: "h4", AgeMs: 60_000}}})
	w.Know(time.Second, hosts, []fleet.HostID{"h1"})
	asks := w.Step(time.Second, false, 10)
	if len(asks) != 1 || asks[0].Host != "h4" || !slices.Equal(asks[0].Witnesses, []fleet.HostID{"h1"}) ||
		asks[0].Needed != 3 {
		t.Fatalf("asks %+v", asks)
	}
	w.Answer(time.Second, "h4", asks[0].Needed, []Vote{{Outcome: Silent}}, -1)
	if got := w.Liveness(time.Second, nil).Hosts["h4"].Liveness; got != plan.LivenessSuspect {
		t.Errorf("seen %d on one word", got)
	}
	// When the others turn out to be unheard of as well, its own word is all there is.
	now := time.Second + protocol.NeverSeenAfter + protocol.WatchEvery
	w.Take(now, "h1", Ages{Seq: 2})
	w.Step(now, false, 0)
	w.Know(now, hosts, []fleet.HostID{"h1"})
	asks = w.Step(now, false, 10)
	if len(asks) != 3 || asks[0].Needed != 1 {
		t.Errorf("asks %+v", asks)
	}
}

func TestAHostSaysItselfHowPressedAndLateItIs(t *testing.T) {
	s := newScene(t, 3, 3)
	s.run(3 * time.Second)
	reports := map[fleet.HostID]fleet.CapacityReport{
		"h1": {Pressure: fleet.Pressure{CPU: 12, Memory: 40, IO: 7}},
		"h2": {Pressure: fleet.Pressure{CPU: -1, Memory: -1, IO: -1}, Starved: true},
	}
	got := s.watch.Liveness(s.clock.mono, func(id fleet.HostID) (fleet.CapacityReport, bool) {
		r, ok := reports[id]
		return r, ok
	})
	for id, want := range map[fleet.HostID]plan.HostLiveness{"h1": {Pressure: 40}, "h2": {Starved: true}, "h3": {}} {
		if h := got.Hosts[id]; h.Pressure != want.Pressure || h.Starved != want.Starved {
			t.Errorf("%s: pressure %d %%, starved %v, want %d and %v", id, h.Pressure, h.Starved, want.Pressure, want.Starved)
		}
	}
}

func TestStarvedHostsBearWitnessOnlyWhenThereAreNoOthers(t *testing.T) {
	s := newScene(t, 4, 1)
	s.host("h2").starved, s.host("h3").starved = true, true
	s.run(2 * time.Second)
	s.die("h4")
	s.until("h4", plan.LivenessSuspect, 2*time.Second)
	if got := s.asks[0]; len(got.Witnesses) != 3 || got.Witnesses[0] != "h1" {
		t.Errorf("asked %+v", got)
	}
	s.never("h4", plan.LivenessSilent, protocol.HungAfter-2*time.Second)
	s.until("h4", plan.LivenessSilent, 5*time.Second)
}

// A host that comes and goes is kept silent in State for minutes though it is heard. It reaches
// who is cut off from the leader alone; without its word that one would be silent too.
func TestAHostThatIsHeardBearsWitnessThoughStateHasItAsSilent(t *testing.T) {
	tests := map[string]struct {
		hosts int
		mute  bool // the host that State has as silent
		asked []fleet.HostID
		want  plan.Liveness
	}{
		"the only other witness": {hosts: 3, asked: []fleet.HostID{"h1", "h2"},
			want: plan.LivenessAlive},
		"not while it is not heard": {hosts: 3, mute: true, asked: []fleet.HostID{"h1"},
			want: plan.LivenessSilent},
		"not where three others can be asked": {hosts: 5, asked: []fleet.HostID{"h1", "h3", "h4"},
			want: plan.LivenessSilent},
		"the third where two others can be asked": {hosts: 4, asked: []fleet.HostID{"h1", "h2", "h3"},
			want: plan.LivenessAlive},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, tt.hosts, 1)
			s.host("h2").State, s.host("h2").mute = fleet.HostSilent, tt.mute
			victim := fleet.HostID(fmt.Sprintf("h%d", tt.hosts))
			s.run(3 * time.Second)
			s.die(victim)
			s.host(victim).reached = "h2"
			s.asks = nil
			s.run(3 * time.Second)
			if got := s.liveness(victim); got.Liveness != tt.want || len(s.asks) == 0 {
				t.Errorf("seen %d after %d asks, want %d: %+v", got.Liveness, len(s.asks), tt.want, got)
			}
			for _, ask := range s.asks {
				slices.Sort(ask.Witnesses)
				if ask.Host == victim && !slices.Equal(ask.Witnesses, tt.asked) {
					t.Errorf("asked %v, want %v", ask.Witnesses, tt.asked)
				}
			}
		})
	}
}

func TestAFleetOfTwoHasOnlyItself(t *testing.T) {
	s := newScene(t, 2, 1)
	s.run(2 * time.Second)
	s.die("h2")
	s.until("h2", plan.LivenessSilent, 2*time.Second)
	if got := s.asks[0].Witnesses; !slices.Equal(got, []fleet.HostID{"h1"}) {
		t.Errorf("asked %v", got)
	}
}

func TestAKilledAgentIsRefusedNotSilent(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	s.host("h9").outcome = Refused
	s.hangUp("h9", false)
	s.until("h9", plan.LivenessRefused, 2*time.Second)
	s.never("h9", plan.LivenessSuspect, 5*time.Second)
	// Then the machine dies too.
	s.host("h9").outcome = Silent
	if took := s.until("h9", plan.LivenessSilent, 3*time.Second); took > protocol.AgainAnswered+protocol.WatchEvery {
		t.Errorf("silent %s after the machine died", took)
	}
	// And comes back.
	s.host("h9").outcome, s.host("h9").mute = Connected, false
	s.open("h9", "h2")
	if took := s.until("h9", plan.LivenessAlive, time.Second); took > protocol.AgesEvery+protocol.WatchEvery {
		t.Errorf("alive only %s after its stream opened", took)
	}
}

func TestAHostThatOthersReachIsAliveUntilItHangs(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	s.host("h9").mute = true // cut from its voter, or stopped: the kernel still accepts
	s.run(time.Second)
	if got := s.liveness("h9"); got.Liveness != plan.LivenessAlive || got.Age < protocol.SuspectAfter || len(s.asks) == 0 {
		t.Fatalf("%+v after %d asks", got, len(s.asks))
	}
	s.never("h9", plan.LivenessSilent, 8*time.Second)
	s.until("h9", plan.LivenessRefused, 4*time.Second)
}

func TestANewLeaderNeverRestartsClocks(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	s.die("h9") // streams from h2 or h3
	s.run(20 * time.Second)
	s.watch.Begin(s.clock.mono)
	for _, v := range s.voters {
		v.teller = Teller{}
	}
	if got := s.watch.Liveness(s.clock.mono, nil); len(got.Hosts) != 0 {
		t.Errorf("a new leader sees %v", got.Hosts)
	}
	took := s.until("h9", plan.LivenessSilent, 3*time.Second)
	if took > knowEvery+protocol.AgainUnclear {
		t.Errorf("silent %s after the election", took)
	}
	if got := s.liveness("h9"); got.Age < 19*time.Second {
		t.Errorf("age %s, want that of the stream", got.Age)
	}
}

func TestAHostThatNoVoterEverHeardIsSuspectAfterThreeSeconds(t *testing.T) {
	s := newScene(t, 9, 3)
	s.hosts = append(s.hosts, &sceneHost{Host: Host{ID: "h10", Zone: "a", State: fleet.HostReady}, outcome: Silent,
		mute: true})
	s.run(time.Second)
	if got := s.liveness("h10"); got.Liveness != plan.LivenessUnknown || got.Age >= 0 {
		t.Errorf("%+v", got)
	}
	noticed := s.clock.mono
	s.never("h10", plan.LivenessSilent, protocol.NeverSeenAfter-protocol.WatchEvery)
	s.until("h10", plan.LivenessSilent, time.Second)
	if got := s.liveness("h10"); got.Age >= 0 || s.clock.mono-noticed < protocol.NeverSeenAfter {
		t.Errorf("%+v after %s", got, s.clock.mono-noticed)
	}
}

func TestHostsOfADeadVoterHaveTimeToFindAnother(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	var orphans []fleet.HostID
	for _, h := range s.hosts {
		if h.at == "h2" && h.ID != s.leader {
			orphans = append(orphans, h.ID)
		}
	}
	if len(orphans) < 2 {
		t.Fatalf("only %v stream from h2", orphans)
	}
	s.die("h2")
	s.until("h2", plan.LivenessSilent, 1100*time.Millisecond)
	s.run(800 * time.Millisecond) // they notice by silence
	for _, id := range orphans[1:] {
		s.open(id, "h3")
	}
	for range 60 {
		s.run(protocol.WatchEvery)
		for _, id := range orphans[1:] {
			if got := s.liveness(id); got.Liveness != plan.LivenessAlive {
				t.Fatalf("%s is %+v", id, got)
			}
		}
	}
	// One of them died with the voter, and is found out too, later.
	s.host(orphans[0]).outcome = Silent
	s.until(orphans[0], plan.LivenessSilent, 2*time.Second)
}

// One that was cut from the others for a while does.
func TestAVoterThatStreamsFromItselfHasNoOtherToFind(t *testing.T) {
	s := newScene(t, 9, 3)
	s.hangUp("h2", false)
	s.open("h2", "h2")
	s.run(2 * time.Second)
	s.heardIn("h2", 1)
	s.die("h2")
	if took := s.until("h2", plan.LivenessSilent, 2*time.Second); took > 1100*time.Millisecond {
		t.Errorf("silent after %s", took)
	}
}

func TestAHostCutByItsVoterHasTimeToFindAnother(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	s.hangUp("h9", true)
	s.never("h9", plan.LivenessSuspect, protocol.NeverSeenAfter-2*protocol.HostBeat)
	s.open("h9", "h1")
	s.never("h9", plan.LivenessSuspect, 2*time.Second)
}

func TestAStarvedObserverIsThreeTimesSlower(t *testing.T) {
	tests := map[string]func(*scene){
		"the leader":             func(s *scene) { s.starved = true },
		"the voter that streams": func(s *scene) { s.voters[s.host("h9").at].starved = true },
	}
	for name, starve := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, 9, 3)
			starve(s)
			s.run(2 * time.Second)
			s.die("h9")
			s.never("h9", plan.LivenessSuspect,
				protocol.StarvedFactor*protocol.SuspectAfter-protocol.HostBeat-protocol.WatchEvery)
			s.until("h9", plan.LivenessSilent, time.Second)
		})
	}
}

func TestGossipMayVetoSilence(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	s.veto["h9"] = 200 * time.Millisecond
	s.die("h9")
	s.never("h9", plan.LivenessSilent, 5*time.Second)
	s.veto["h9"] = 400 * time.Millisecond
	s.until("h9", plan.LivenessSilent, time.Second)
	s.veto["h9"] = 100 * time.Millisecond
	s.until("h9", plan.LivenessSuspect, protocol.AgainSilent+time.Second)
}

func TestJudge(t *testing.T) {
	c, r, n := Vote{Outcome: Connected}, Vote{Outcome: Refused}, Vote{Outcome: Silent}
	starved := Vote{Outcome: Silent, Starved: true}
	tests := map[string]struct {
		asked    int
		votes    []Vote
		age      time.Duration
		answered time.Duration
		want     plan.Liveness
	}{
		"all silent": {3, []Vote{n, n, n}, time.Second, -1, plan.LivenessSilent},
		"two of three silent, one does not answer": {3, []Vote{n, n}, time.Second, -1, plan.LivenessSilent},
		"one of three silent, two do not answer":   {3, []Vote{n}, time.Second, -1, plan.LivenessUnknown},
		"one of two silent":                        {2, []Vote{n}, time.Second, -1, plan.LivenessUnknown},
		"the only one":                             {1, []Vote{n}, time.Second, -1, plan.LivenessSilent},
		"nobody answers":                           {3, nil, time.Second, -1, plan.LivenessUnknown},
		"nobody could be asked":                    {0, nil, time.Second, -1, plan.LivenessUnknown},
		"one refused against two silent":           {3, []Vote{n, r, n}, time.Second, -1, plan.LivenessRefused},
		"one connected against two silent":         {3, []Vote{n, c, n}, time.Second, -1, plan.LivenessAlive},
		"connected and refused":                    {3, []Vote{c, r}, time.Second, -1, plan.LivenessAlive},
		"connected, but says nothing for long":     {3, []Vote{c, c, c}, protocol.HungAfter, -1, plan.LivenessRefused},
		"starved witnesses do not count":           {3, []Vote{starved, starved, n}, time.Second, -1, plan.LivenessUnknown},
		"starved witnesses count in the end": {3, []Vote{starved, starved, n}, protocol.HungAfter, -1,
			plan.LivenessSilent},
		"a starved witness that was answered counts": {1, []Vote{{Outcome: Refused, Starved: true}}, time.Second, -1,
			plan.LivenessRefused},
		"gossip was answered just now": {3, []Vote{n, n, n}, time.Second, protocol.VetoWithin, plan.LivenessSuspect},
		"gossip was answered before":   {3, []Vote{n, n, n}, time.Second, protocol.VetoWithin + 1, plan.LivenessSilent},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, again := judge(tt.asked, tt.votes, tt.age, tt.answered); got != tt.want || again <= 0 {
				t.Errorf("got %d, again after %s; want %d", got, again, tt.want)
			}
		})
	}
}

func TestAnAgesMessageThatWasLostAsksForAll(t *testing.T) {
	w := NewWatch("h1")
	if !w.Take(1, "h2", Ages{Seq: 5}) {
		t.Error("a change from a voter never heard in full was taken")
	}
	if w.Take(2, "h2", Ages{Seq: 6, Full: true, Open: []OpenAge{{Host: "h3", Session: 1}}}) {
		t.Error("a full word was not taken")
	}
	if w.Take(3, "h2", Ages{Seq: 7}) {
		t.Error("the next change was not taken")
	}
	if !w.Take(4, "h2", Ages{Seq: 9}) {
		t.Error("a gap was not noticed")
	}
}

func TestAHalfDeadStreamAtTheOldVoterDoesNotHideTheNewOne(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	old := s.host("h9").at
	stale := s.host("h9").stream
	s.run(protocol.HostBeat)
	s.host("h9").stream = nil // the voter has not noticed
	s.open("h9", "h1")
	s.never("h9", plan.LivenessSuspect, 4*time.Second)
	s.voters[old].streams.Close(stale, false)
	s.never("h9", plan.LivenessSuspect, 2*time.Second)
}

func TestHostsThatStateForgotAreDropped(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	s.host("h9").State = fleet.HostForgotten
	s.run(2 * time.Second)
	if liveness := s.watch.Liveness(s.clock.mono, nil); len(liveness.Hosts) != 8 {
		t.Errorf("sees %d hosts, want 8", len(liveness.Hosts))
	}
}

func TestTheLeaderAsksAboutNoMoreHostsThanItHasRoomFor(t *testing.T) {
	s := newScene(t, 60, 3)
	s.room = 5
	s.run(2 * time.Second)
	for _, h := range s.hosts[20:] {
		s.die(h.ID)
	}
	s.run(650 * time.Millisecond)
	before := len(s.asks)
	s.tick()
	if got := len(s.asks) - before; got > 5 {
		t.Errorf("asked about %d hosts at once", got)
	}
	s.until("h60", plan.LivenessSilent, 5*time.Second)
}

func TestForcedHostsAreAskedAboutAtOnce(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	s.die("h9")
	s.until("h9", plan.LivenessSilent, 2*time.Second)
	before := len(s.asks)
	s.run(time.Second)
	if len(s.asks) != before {
		t.Fatalf("asked again after less than %s", protocol.AgainSilent)
	}
	s.watch.Force([]fleet.HostID{"h9", "h1", "nobody"})
	s.run(protocol.WatchEvery)
	if len(s.asks) != before+1 {
		t.Errorf("asked %d times, want once", len(s.asks)-before)
	}
}

// BenchmarkWatch is one look and one view of 10,000 hosts on three voters.
func BenchmarkWatch(b *testing.B) {
	w := NewWatch("h0")
	var known []Host
	for i := range 10_000 {
		known = append(known, Host{ID: fleet.HostID(fmt.Sprintf("h%d", i)), Zone: string(rune('a' + i%3)),
			State: fleet.HostReady})
	}
	for v := range 3 {
		ages := Ages{Seq: 1, Full: true}
		for i := v; i < len(known); i += 3 {
			ages.Open = append(ages.Open, OpenAge{Host: known[i].ID, Session: 1})
			ages.Clocks = append(ages.Clocks, HostClock{Host: known[i].ID, OffMs: int64(i%100 - 50)})
		}
		w.Take(0, known[v].ID, ages)
	}
	w.Know(0, known, []fleet.HostID{"h0", "h1", "h2"})
	b.Run("step", func(b *testing.B) {
		for b.Loop() {
			w.Step(100*time.Millisecond, false, 10)
		}
	})
	b.Run("sights", func(b *testing.B) {
		for b.Loop() {
			w.Liveness(100*time.Millisecond, nil)
		}
	})
	b.Run("know", func(b *testing.B) {
		for b.Loop() {
			w.Know(100*time.Millisecond, known, []fleet.HostID{"h0", "h1", "h2"})
		}
	})
}
