package fleet

import (
	"fmt"
	"slices"
	"testing"
)

// effectWorld is a fleet of two ready hosts, the first its voter, with a service.
func effectWorld(t *testing.T) *world {
	w := fleetOf(t, 2)
	w.service("web", 1)
	return w
}

func intent(id EffectID, role Role) IntendEffect {
	return IntendEffect{
		ID: id, EffectKind: "webhook", Role: role, Subject: ServiceSubject("web"), Input: []byte("in"),
		Deadline: start + 600_000, TimeoutMs: 10_000, MaxAttempts: 2,
	}
}

func hand(id EffectID, attempt, host int) HandEffect {
	return HandEffect{ID: id, Attempt: attempt, Host: hostID(host), Session: 1}
}

func finish(id EffectID, attempt int, verdict EffectVerdict) FinishEffect {
	return FinishEffect{ID: id, Attempt: attempt, Verdict: verdict, Outcome: []byte(verdict.String()), Why: "as told"}
}

func (w *world) effect(id EffectID) *Effect {
	w.t.Helper()
	e := w.Effect(id)
	if e == nil {
		w.t.Fatalf("effect %s is not there", id)
	}
	return e
}

func TestIntendEffect(t *testing.T) {
	w := effectWorld(t)
	w.must(intent("e1", VoterRole()))
	e := w.effect("e1")
	if e.Status != EffectPending || e.Token != "e1" || e.CreatedAt != w.at || e.Due() != w.at || e.Attempt != 0 {
		t.Errorf("effect %+v", e)
	}
	if !w.outcome.ChangeSet.Any(SubjectEffects) {
		t.Error("nobody is told of a new effect")
	}
	bad := func(change func(*IntendEffect)) IntendEffect {
		c := intent("e2", VoterRole())
		change(&c)
		return c
	}
	w.refused(intent("e1", VoterRole()), ErrExists, "e1")
	w.refused(bad(func(c *IntendEffect) { c.ID = "../x" }), ErrInvalid, "id")
	w.refused(bad(func(c *IntendEffect) { c.EffectKind = "" }), ErrInvalid, "effectKind")
	w.refused(bad(func(c *IntendEffect) { c.Subject = ServiceSubject("none") }), ErrNotFound, "service:none")
	w.refused(bad(func(c *IntendEffect) { c.Subject = TaskSubject("none") }), ErrNotFound, "task:none")
	w.refused(bad(func(c *IntendEffect) { c.Input = make([]byte, MaxEffectInput+1) }), ErrInvalid, "input")
	w.refused(bad(func(c *IntendEffect) { c.Deadline = w.at }), ErrInvalid, "deadline")
	w.refused(bad(func(c *IntendEffect) { c.Deadline = w.at.Add(MaxEffectLife) + 1 }), ErrInvalid, "deadline")
	w.refused(bad(func(c *IntendEffect) { c.TimeoutMs = 0 }), ErrInvalid, "timeoutMs")
	w.refused(bad(func(c *IntendEffect) { c.MaxAttempts = MaxEffectAttempts + 1 }), ErrInvalid, "maxAttempts")
	w.refused(bad(func(c *IntendEffect) { c.Role = Role{} }), ErrInvalid, "role")
	w.refused(bad(func(c *IntendEffect) { c.Role = HostRole("h-none") }), ErrNotFound, "h-none")
	w.refused(bad(func(c *IntendEffect) { c.Role = Role{RoleVoter, "h1"} }), ErrInvalid, "takes none")
	w.must(bad(func(c *IntendEffect) { c.Token = "launch-7" }))
	if e := w.effect("e2"); e.Token != "launch-7" {
		t.Errorf("token %q", e.Token)
	}
	w.checked()
}

func TestHandEffect(t *testing.T) {
	t.Run("an attempt is handed to a host that fills the role, in its session", func(t *testing.T) {
		w := effectWorld(t)
		withDriver := session(2, 2)
		withDriver.Attributes = map[string]string{DriverAttribute("aws"): "yes"}
		w.must(withDriver)
		w.must(intent("voter", VoterRole()))
		w.must(intent("driver", DriverRole("aws")))
		w.must(intent("host", HostRole(hostID(2))))
		w.refused(hand("voter", 1, 2), ErrConflict, "may not run what is for voter")
		w.refused(hand("driver", 1, 1), ErrConflict, "driver:aws")
		w.refused(hand("host", 1, 1), ErrConflict, "host:"+string(hostID(2)))
		w.refused(hand("host", 1, 2), ErrOldSession, "session 1 is not 2")
		w.refused(hand("host", 2, 2), ErrMoved, "attempt 2 after 0")
		w.refused(HandEffect{ID: "none", Attempt: 1, Host: hostID(1), Session: 1}, ErrNotFound, "none")
		w.refused(HandEffect{ID: "host", Attempt: 1, Host: "h-none", Session: 1}, ErrNotFound, "h-none")
		w.must(hand("voter", 1, 1))
		w.must(HandEffect{ID: "driver", Attempt: 1, Host: hostID(2), Session: 2})
		e := w.effect("voter")
		due := (w.at + 10_000).Add(EffectGrace)
		if e.Status != EffectHanded || e.Runner != hostID(1) || e.HandedAt != w.at || e.Due() != due {
			t.Errorf("effect %+v", e)
		}
		w.refused(hand("voter", 2, 1), ErrConflict, "handed")
		w.must(SilenceHost{Host: hostID(2), Session: 2})
		w.refused(HandEffect{ID: "host", Attempt: 1, Host: hostID(2), Session: 2}, ErrConflict, "silent")
		w.checked()
	})
	t.Run("none is handed past the deadline, nor during a back-off", func(t *testing.T) {
		w := effectWorld(t)
		w.must(intent("e", VoterRole()))
		w.must(hand("e", 1, 1))
		w.must(finish("e", 1, VerdictRetry))
		w.refused(hand("e", 2, 1), ErrTooEarly, "before")
		w.wait(1_000)
		w.must(hand("e", 2, 1))
		w.must(intent("late", VoterRole()))
		w.at = start + 600_000
		w.refused(hand("late", 1, 1), ErrConflict, "deadline")
		w.checked()
	})
}

func TestFinishEffect(t *testing.T) {
	handed := func(t *testing.T) *world {
		w := effectWorld(t)
		w.must(intent("e", VoterRole()))
		w.must(hand("e", 1, 1))
		return w
	}
	t.Run("an outcome counts once, and of the newest attempt alone", func(t *testing.T) {
		w := handed(t)
		w.refused(finish("e", 0, VerdictDone), ErrMoved, "the newest is 1")
		w.refused(finish("e", 2, VerdictDone), ErrMoved, "the newest is 1")
		w.must(finish("e", 1, VerdictDone))
		e := w.effect("e")
		if e.Status != EffectDone || string(e.Outcome) != "done" || e.EndedAt != w.at || e.Input != nil ||
			!w.outcome.ChangeSet.Any(SubjectEffects) {
			t.Errorf("effect %+v", e)
		}
		if !slices.Contains(w.outcome.ChangeSet.Services(), "web") {
			t.Error("the planner of the subject is not told that its effect ended")
		}
		w.refused(finish("e", 1, VerdictDone), ErrConflict, "it is done")
		w.refused(WithdrawEffect{ID: "e"}, ErrConflict, "it is done")
		w.checked()
	})
	t.Run("what failed is tried again until there were enough tries", func(t *testing.T) {
		w := handed(t)
		w.must(finish("e", 1, VerdictRetry))
		if e := w.effect("e"); e.Status != EffectPending || e.NotBefore != w.at+1_000 || e.Why != "as told" {
			t.Errorf("effect %+v", e)
		}
		w.refused(finish("e", 1, VerdictDone), ErrConflict, "pending")
		w.wait(1_000)
		w.must(hand("e", 2, 1))
		w.must(finish("e", 2, VerdictRetry))
		if e := w.effect("e"); e.Status != EffectFailed || e.EndedAt != w.at {
			t.Errorf("effect %+v", e)
		}
		if e := w.lastEvent(); e.Code != "effect-failed" || e.Subject != ServiceSubject("web") {
			t.Errorf("event %+v", e)
		}
		w.checked()
	})
	t.Run("a verdict that no other attempt can better ends it", func(t *testing.T) {
		w := handed(t)
		w.must(finish("e", 1, VerdictFailed))
		if e := w.effect("e"); e.Status != EffectFailed {
			t.Errorf("effect %+v", e)
		}
	})
	t.Run("an attempt that never began is no try, but takes a number and a pause", func(t *testing.T) {
		w := handed(t)
		for attempt := 1; attempt <= 5; attempt++ {
			w.must(finish("e", attempt, VerdictNotBegun))
			e := w.effect("e")
			if e.Status != EffectPending || e.Tries() != 0 || e.NotBefore != w.at.Add(backoff(attempt)) {
				t.Fatalf("effect %+v", e)
			}
			w.at = e.NotBefore
			w.must(hand("e", attempt+1, 1))
		}
		w.checked()
	})
	t.Run("an attempt is unknown when its time is over, or its runner's session", func(t *testing.T) {
		w := handed(t)
		due := w.effect("e").Due()
		w.at = due - 1
		w.refused(finish("e", 1, VerdictUnknown), ErrTooEarly, "may be under way until")
		w.at = due
		w.must(finish("e", 1, VerdictUnknown))
		w.wait(1_000)
		w.must(hand("e", 2, 1))
		w.refused(finish("e", 2, VerdictUnknown), ErrTooEarly, "may be under way until")
		w.must(session(1, 2))
		w.must(finish("e", 2, VerdictUnknown))
		if e := w.effect("e"); e.Status != EffectFailed {
			t.Errorf("effect %+v", e)
		}
		w.checked()
	})
	t.Run("it expires at its deadline, not while an attempt may be under way", func(t *testing.T) {
		w := handed(t)
		w.must(intent("pending", VoterRole()))
		w.refused(finish("pending", 0, VerdictExpired), ErrTooEarly, "deadline")
		w.at = start + 600_000 - 5_000
		w.must(finish("e", 1, VerdictUnknown))
		w.wait(2_000)
		w.must(hand("e", 2, 1))
		w.at = start + 600_000
		if e := w.effect("e"); e.AttemptEnds() != w.at {
			t.Errorf("an attempt may last until %s, past the deadline", e.AttemptEnds())
		}
		w.refused(finish("e", 2, VerdictExpired), ErrTooEarly, "may be under way until")
		w.must(finish("pending", 0, VerdictExpired))
		w.at = w.effect("e").Due()
		w.must(finish("e", 2, VerdictExpired))
		for _, id := range []EffectID{"e", "pending"} {
			if e := w.effect(id); e.Status != EffectExpired {
				t.Errorf("effect %+v", e)
			}
		}
		w.checked()
	})
	t.Run("verdicts, outcomes and texts have bounds", func(t *testing.T) {
		w := handed(t)
		w.refused(FinishEffect{ID: "e", Attempt: 1}, ErrInvalid, "verdict")
		long := make([]byte, MaxEffectOutcome+1)
		w.refused(FinishEffect{ID: "e", Attempt: 1, Verdict: VerdictDone, Outcome: long}, ErrInvalid, "outcome")
		w.refused(FinishEffect{ID: "e", Attempt: 1, Verdict: VerdictDone, Why: "a\nb"}, ErrInvalid, "why")
	})
}

func TestWithdrawEffect(t *testing.T) {
	w := effectWorld(t)
	w.must(intent("e", VoterRole()))
	w.must(hand("e", 1, 1))
	w.must(WithdrawEffect{ID: "e", Why: "the service is gone"})
	if e := w.effect("e"); e.Status != EffectWithdrawn || e.Why != "the service is gone" {
		t.Errorf("effect %+v", e)
	}
	w.refused(finish("e", 1, VerdictDone), ErrConflict, "withdrawn")
	w.refused(WithdrawEffect{ID: "none"}, ErrNotFound, "none")
	w.checked()
}

func TestEffectsAreListedByTimeAndSubject(t *testing.T) {
	w := effectWorld(t)
	ids := func(effects func(func(*Effect) bool)) (all []EffectID) {
		for e := range effects {
			all = append(all, e.ID)
		}
		return all
	}
	for i, role := range []Role{VoterRole(), VoterRole(), HostRole(hostID(2))} {
		w.must(intent(EffectID(fmt.Sprint("e", 3-i)), role))
		w.wait(10)
	}
	ofHost := intent("of-host", VoterRole())
	ofHost.Subject = HostSubject(hostID(2))
	w.must(ofHost)
	if got := ids(w.OpenEffects()); !slices.Equal(got, []EffectID{"e3", "e2", "e1", "of-host"}) {
		t.Errorf("open by time: %v", got)
	}
	w.must(hand("e3", 1, 1))
	w.must(WithdrawEffect{ID: "e2"})
	if got := ids(w.OpenEffects()); !slices.Equal(got, []EffectID{"e1", "of-host", "e3"}) {
		t.Errorf("open by time: %v", got)
	}
	if got := ids(w.EffectsOf(ServiceSubject("web"))); !slices.Equal(got, []EffectID{"e1", "e2", "e3"}) {
		t.Errorf("of the service: %v", got)
	}
	if got := ids(w.EffectsOf(HostSubject("h"))); got != nil {
		t.Errorf("of nothing: %v", got)
	}
	w.wait(PruneKept.Milliseconds() + 1)
	if !w.Prunable(w.at.Add(-PruneKept)) {
		t.Error("an effect that ended an hour ago is not pruned")
	}
	w.must(Prune{Before: w.at.Add(-PruneKept)})
	if w.Effect("e2") != nil || w.Effect("e1") == nil || w.Prunable(w.at.Add(-PruneKept)) {
		t.Error("pruned is not what ended")
	}
	w.checked()
}

func TestEndedEffectsGiveWayToNewOnes(t *testing.T) {
	w := effectWorld(t)
	entry := Entry{At: w.at}
	for i := range MaxEffects {
		entry.Items = append(entry.Items, Item{Command: intent(EffectID(fmt.Sprint("e", i)), VoterRole())})
	}
	w.Apply(w.Index()+1, entry)
	w.refused(intent("one-more", VoterRole()), ErrLimit, "10000 open")
	w.must(WithdrawEffect{ID: "e7"})
	w.wait(1)
	w.must(WithdrawEffect{ID: "e5"})
	w.must(intent("one-more", VoterRole()))
	if w.Effect("e7") != nil || w.Effect("e5") == nil {
		t.Error("not the one that ended first went")
	}
	w.checked()
}

// A host that the subject names may be pruned before its effect ends.
func TestAnEffectOutlivesItsSubject(t *testing.T) {
	w := effectWorld(t)
	c := intent("e", VoterRole())
	c.Subject, c.Deadline = HostSubject(hostID(2)), w.at.Add(MaxEffectLife)
	w.must(c)
	w.must(ForgetHost{Host: hostID(2), Force: true})
	w.wait(2 * PruneKept.Milliseconds())
	w.must(Prune{Before: w.at.Add(-PruneKept)})
	if w.Host(hostID(2)) != nil {
		t.Fatal("the host is still there")
	}
	w.must(hand("e", 1, 1))
	w.must(finish("e", 1, VerdictFailed))
	if e := w.lastEvent(); e.Subject != HostSubject(hostID(2)) {
		t.Errorf("event %+v", e)
	}
	w.checked()
}
