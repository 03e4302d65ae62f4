package effects

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// bench is a driver over a State. What it proposes is applied when the test says so.
type bench struct {
	t      *testing.T
	state  *fleet.State
	now    time.Duration
	seen   plan.FleetLiveness
	driver *Driver
}

// newBench is a fleet of three ready hosts that are heard; h-1 and h-2 vote, h-2 and
// h-3 hold the credentials of a driver.
func newBench(t *testing.T) *bench {
	b := &bench{t: t, state: fleet.New(), seen: plan.FleetLiveness{Hosts: map[fleet.HostID]plan.HostLiveness{}}}
	admission := func(n int) fleet.Admission {
		return fleet.Admission{ID: hostID(n), Name: fmt.Sprint("h", n), Zone: "a", PublicKey: fmt.Sprint("key", n)}
	}
	b.must(fleet.InitFleet{
		ID: "f", CABundle: make([]byte, 4), Host: admission(1), RaftID: "h-1.1",
		SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 4), Gossip: make([]byte, 4)},
	})
	b.must(fleet.PutToken{ID: "t", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: 9, NotAfter: wallNow + 1000})
	for n := 1; n <= 3; n++ {
		if n > 1 {
			b.must(fleet.AdmitHost{Token: "t", SecretHash: make([]byte, 32), Host: admission(n)})
		}
		b.opens(n, 1)
		b.must(fleet.Report{Host: hostID(n), Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true}}})
	}
	for _, phase := range []fleet.VoterPhase{fleet.VoterPreparing, fleet.VoterLearning, fleet.VoterVoting} {
		b.must(fleet.SetVoter{ID: "h-2.1", Phase: phase})
	}
	b.newTerm()
	return b
}

func hostID(n int) fleet.HostID { return fleet.HostID(fmt.Sprint("h-", n)) }

// opens begins the n-th session of a host, and has it heard there.
func (b *bench) opens(n int, session uint64) {
	c := fleet.OpenSession{
		Host: hostID(n), Boot: "boot", Nonce: session, Zone: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7000"),
		Capacity: fleet.Resources{CPU: 1, Memory: 1},
	}
	if n > 1 {
		c.Attributes = map[string]string{fleet.DriverAttribute("aws"): ""}
	}
	b.must(c)
	b.seen.Hosts[hostID(n)] = plan.HostLiveness{Liveness: plan.LivenessAlive, Session: session}
}

func (b *bench) wall() fleet.Time { return wallNow.Add(b.now) }

func (b *bench) apply(items ...fleet.Item) []fleet.Result {
	b.state = b.state.Clone()
	return b.state.Apply(b.state.Index()+1, fleet.Entry{At: b.wall(), Items: items}).Results
}

func (b *bench) must(c fleet.Command) {
	b.t.Helper()
	if r := b.apply(fleet.Item{Command: c}); r[0].Err != nil {
		b.t.Fatalf("%T: %v", c, r[0].Err)
	}
}

func (b *bench) newTerm() { b.driver = NewDriver(b.state) }

func (b *bench) intend(id fleet.EffectID, role fleet.Role) {
	b.t.Helper()
	b.must(fleet.IntendEffect{
		ID: id, EffectKind: "webhook", Role: role, Subject: fleet.FleetSubject(), Input: []byte("in"),
		Deadline: b.wall() + 60_000, TimeoutMs: 10_000, MaxAttempts: 3,
	})
}

func (b *bench) step(events ...Event) []Action {
	seen := func() plan.FleetLiveness { return b.seen }
	return b.driver.Step(Input{Wall: b.wall(), Mono: b.now, State: b.state, Liveness: seen}, events...)
}

// want steps and expects one action beside Wake.
func want[A Action](b *bench, events ...Event) A {
	b.t.Helper()
	var got []Action
	for _, a := range b.step(events...) {
		if _, wake := a.(Wake); !wake {
			got = append(got, a)
		}
	}
	var none A
	if len(got) != 1 {
		b.t.Fatalf("got %+v, want one %T", got, none)
	}
	a, ok := got[0].(A)
	if !ok {
		b.t.Fatalf("got %+v, want a %T", got[0], none)
	}
	return a
}

// quiet steps and expects nothing to be done before a time from now; 0: ever.
func (b *bench) quiet(wake time.Duration, events ...Event) {
	b.t.Helper()
	actions := b.step(events...)
	if len(actions) == 0 && wake == 0 {
		return
	}
	w, ok := Wake{}, false
	if len(actions) == 1 {
		w, ok = actions[0].(Wake)
	}
	if !ok || wake == 0 || w.At != b.now+wake {
		b.t.Fatalf("got %+v, want to be woken in %s (0: nothing)", actions, wake)
	}
}

// commit applies what is proposed next, and returns its only command.
func commit[C fleet.Command](b *bench, events ...Event) C {
	b.t.Helper()
	p := want[Propose](b, events...)
	results := b.apply(p.Items...)
	c, ok := p.Items[0].Command.(C)
	if !ok || len(p.Items) > 1 || results[0].Err != nil {
		b.t.Fatalf("proposed %+v, %v", p.Items, results)
	}
	return c
}

func (b *bench) committed() Proposed {
	return Proposed{Index: b.state.Index(), Results: []fleet.Result{{}}}
}

// asked has an effect handed and its host asked.
func (b *bench) asked() Ask {
	b.t.Helper()
	commit[fleet.HandEffect](b)
	want[Verify](b, b.committed())
	return want[Ask](b, Verified{})
}

var errLost = errors.New("lost")

func TestAHostIsAskedOnlyWhenItsHandIsAppliedAndTheLeaderVerified(t *testing.T) {
	b := newBench(t)
	b.quiet(0)
	b.intend("e", fleet.HostRole(hostID(3)))
	p := want[Propose](b)
	b.quiet(0, Proposed{Index: b.state.Index() + 1, Results: []fleet.Result{{}}})
	b.apply(p.Items...)
	want[Verify](b)
	b.quiet(VerifyAgain, Verified{Err: errLost})
	b.now += VerifyAgain
	want[Verify](b)
	ask := want[Ask](b, Verified{})
	e := b.state.Effect("e")
	r := ask.Request
	if ask.Host != hostID(3) || r.Attempt != 1 || r.Session != 1 || r.Token != "e" || string(r.Input) != "in" ||
		r.Until != e.AttemptEnds() || r.Fence != (Fence{1, e.ModifyIndex - 2}) {
		t.Errorf("asked %+v", ask)
	}
}

func TestAnEffectThatEndsBeforeTheLeaderIsVerifiedIsNotAskedFor(t *testing.T) {
	b := newBench(t)
	b.intend("e", fleet.VoterRole())
	commit[fleet.HandEffect](b)
	want[Verify](b, b.committed())
	b.must(fleet.WithdrawEffect{ID: "e"})
	b.quiet(0, Verified{})
}

func TestAnOutcomeIsCommittedOnce(t *testing.T) {
	b := newBench(t)
	b.intend("e", fleet.VoterRole())
	ask := b.asked()
	b.now += time.Second
	done := Answered{N: ask.N, ID: "e", Answer: Done([]byte("out"))}
	p := want[Propose](b, done)
	b.quiet(0, done)
	b.apply(p.Items...)
	b.quiet(0, b.committed())
	if e := b.state.Effect("e"); e.Status != fleet.EffectDone || string(e.Outcome) != "out" {
		t.Errorf("effect %+v", e)
	}
	b.quiet(0, done)
}

func TestARunThatGoesOnIsAskedForAgain(t *testing.T) {
	b := newBench(t)
	b.intend("e", fleet.VoterRole())
	ask := b.asked()
	b.quiet(PollAgain, Answered{N: ask.N, ID: "e", Answer: Answer{Running: true}})
	b.now += PollAgain
	want[Verify](b)
	again := want[Ask](b, Verified{})
	left := ask.Request.WithinMs - PollAgain.Milliseconds()
	if again.Request.Attempt != 1 || again.Host != ask.Host || again.Request.WithinMs != left {
		t.Errorf("asked %+v, then %+v", ask, again)
	}
	ofTheFirst := Answered{N: ask.N, ID: "e", Answer: Done(nil)}
	b.quiet(10*time.Second-PollAgain+fleet.EffectGrace, ofTheFirst)
}

func TestARefusedFirstRequestNeverBegan(t *testing.T) {
	for name, a := range map[string]Answered{
		"busy":           {Answer: Answer{Refusal: Busy}},
		"other session":  {Answer: Answer{Refusal: OtherSession}},
		"cannot be sent": {Err: errLost, NotSent: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.intend("e", fleet.VoterRole())
			ask := b.asked()
			a.N, a.ID = ask.N, "e"
			if c := commit[fleet.FinishEffect](b, a); c.Verdict != fleet.VerdictNotBegun {
				t.Errorf("got %+v", c)
			}
			b.quiet(time.Second, b.committed())
			b.now += time.Second
			if hand := commit[fleet.HandEffect](b); hand.Attempt != 2 || hand.Host == ask.Host {
				t.Errorf("after %s, %+v", ask.Host, hand)
			}
		})
	}
}

// Once a request may have begun the attempt, no refusal of another proves anything:
// it may still be on its way.
func TestAnAttemptThatMayHaveBegunIsGivenUpOnlyWhenItsTimeIsOver(t *testing.T) {
	b := newBench(t)
	b.intend("e", fleet.VoterRole())
	ask := b.asked()
	due := b.state.Effect("e").Due()
	b.quiet(AskAgain, Answered{N: ask.N, ID: "e", Err: errLost})
	for _, refusal := range []Refusal{Busy, OtherSession, OlderLeader, TooLate} {
		b.now += AskAgain
		want[Verify](b)
		ask = want[Ask](b, Verified{})
		b.quiet(AskAgain, Answered{N: ask.N, ID: "e", Answer: Answer{Refusal: refusal}})
	}
	b.now = due.Sub(wallNow)
	if c := commit[fleet.FinishEffect](b); c.Verdict != fleet.VerdictUnknown {
		t.Errorf("got %+v", c)
	}
}

func TestTheNextLeaderAsksForWhatTheFormerHanded(t *testing.T) {
	b := newBench(t)
	b.intend("e", fleet.VoterRole())
	ask := b.asked()
	b.newTerm()
	want[Verify](b)
	again := want[Ask](b, Verified{})
	if again.Request.Attempt != 1 || again.Host != ask.Host || again.Request.Token != ask.Request.Token ||
		!ask.Request.Fence.Before(again.Request.Fence) {
		t.Errorf("asked %+v, then %+v", ask, again)
	}
	// The former's request may have begun it.
	b.quiet(AskAgain, Answered{N: again.N, ID: "e", Answer: Answer{Refusal: Busy}})
}

func TestARunnerWhoseSessionIsOverIsNotWaitedFor(t *testing.T) {
	for name, test := range map[string]struct {
		asked bool
		want  fleet.EffectVerdict
	}{
		"it was asked":   {true, fleet.VerdictUnknown},
		"it was not yet": {false, fleet.VerdictNotBegun},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.intend("e", fleet.HostRole(hostID(3)))
			commit[fleet.HandEffect](b)
			want[Verify](b, b.committed())
			if test.asked {
				want[Ask](b, Verified{})
			}
			b.opens(3, 2)
			if c := commit[fleet.FinishEffect](b); c.Verdict != test.want {
				t.Errorf("got %+v, want %s", c, test.want)
			}
		})
	}
}

func TestOnlyHostsThatAreHeardAndFillTheRoleAreChosen(t *testing.T) {
	type seen = map[int]plan.HostLiveness
	only := func(n int, l plan.Liveness, session uint64) seen { return seen{n: {Liveness: l, Session: session}} }
	for name, test := range map[string]struct {
		role fleet.Role
		seen seen         // otherwise alive
		want fleet.HostID // empty: none
	}{
		"a voter that is silent, another that is alive": {fleet.VoterRole(), only(1, plan.LivenessSilent, 1), "h-2"},
		"voters of which nothing is known":              {fleet.VoterRole(), seen{1: {}, 2: {}}, ""},
		"the only host, alive by a witness alone":       {fleet.HostRole("h-3"), only(3, plan.LivenessAlive, 0), ""},
		"the only host, heard in a session to come":     {fleet.HostRole("h-3"), only(3, plan.LivenessAlive, 2), ""},
		"credentials on two hosts, one suspect":         {fleet.DriverRole("aws"), only(2, plan.LivenessSuspect, 1), "h-3"},
		"credentials on two hosts, one starved": {
			fleet.DriverRole("aws"), seen{3: {Liveness: plan.LivenessAlive, Session: 1, Starved: true}}, "h-2",
		},
		"credentials that nobody holds": {fleet.DriverRole("gcp"), nil, ""},
		"all well":                      {fleet.HostRole("h-3"), only(3, plan.LivenessAlive, 1), "h-3"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			for n, as := range test.seen {
				b.seen.Hosts[hostID(n)] = as
			}
			b.intend("e", test.role)
			if test.want == "" {
				b.quiet(LookAgain)
			} else if c := commit[fleet.HandEffect](b); c.Host != test.want {
				t.Errorf("handed to %s, want %s", c.Host, test.want)
			}
		})
	}
}

func TestHostsAreGivenSoMuchAtATime(t *testing.T) {
	b := newBench(t)
	for i := range MaxPerHost + 1 {
		b.intend(fleet.EffectID(fmt.Sprint("three-", i)), fleet.HostRole(hostID(3)))
		b.intend(fleet.EffectID(fmt.Sprint("voter-", i)), fleet.VoterRole())
	}
	given := map[fleet.HostID]int{}
	for _, item := range want[Propose](b).Items {
		given[item.Command.(fleet.HandEffect).Host]++
	}
	one, two := given[hostID(1)], given[hostID(2)]
	if given[hostID(3)] != MaxPerHost || one+two != MaxPerHost+1 || one-two > 1 || two-one > 1 {
		t.Errorf("handed %v", given)
	}
}

func TestAnEffectExpiresAtItsDeadline(t *testing.T) {
	b := newBench(t)
	b.intend("e", fleet.DriverRole("gcp"))
	b.quiet(LookAgain)
	b.now += time.Minute
	if c := commit[fleet.FinishEffect](b); c.Verdict != fleet.VerdictExpired || c.Attempt != 0 {
		t.Errorf("got %+v", c)
	}
	b.quiet(0, b.committed())
}

func TestARefusedProposalIsMadeAgainAfterAPause(t *testing.T) {
	b := newBench(t)
	b.intend("e", fleet.VoterRole())
	want[Propose](b)
	b.quiet(ProposeAgain, Proposed{Err: errLost})
	b.now += ProposeAgain
	want[Propose](b)
	b.quiet(ProposeAgain, Proposed{Index: b.state.Index(), Results: []fleet.Result{{Err: fleet.ErrMoved}}})
}

func TestADriverIsSteppedForEffectsAndWhileThereAreAnyForHosts(t *testing.T) {
	b := newBench(t)
	host, effect := fleet.ChangeSetOf(fleet.HostSubject("h-1")),
		fleet.ChangeSetOf(fleet.Subject{Kind: fleet.SubjectEffects})
	if Concerns(b.state, host) || Concerns(b.state, fleet.ChangeSet{}) || !Concerns(b.state, effect) {
		t.Error("without effects, it is stepped for a host, or not for the first effect")
	}
	b.intend("e", fleet.VoterRole())
	if !Concerns(b.state, host) {
		t.Error("an effect waits, and it is not stepped when a host changes")
	}
}

func TestATermBeginsWithAllThatItsStateHolds(t *testing.T) {
	b := newBench(t)
	got, epoch := b.driver.fence, b.state.Fleet().Epoch
	if epoch == 0 || got.Epoch != epoch || got.Index != b.state.Index() {
		t.Errorf("it is fenced at %+v, State is at epoch %d, index %d", got, epoch, b.state.Index())
	}
}
