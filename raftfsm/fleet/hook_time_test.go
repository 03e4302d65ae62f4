package fleet

import "testing"

// asked is a deployment whose webhook, which has ten minutes, was called and not handed on.
func asked(t *testing.T) (r rollout, effect EffectID) {
	t.Helper()
	r = withHooks(t)
	r.pass()
	call := r.call("ask", StagePostScaleUp)
	call.Effect = asks("e-1", r.world)
	r.must(call)
	return r, r.live().Hooks[1].Effect
}

// hand hands the next attempt of an effect to the voter.
func (r rollout) hand(id EffectID) {
	r.t.Helper()
	h := r.Host(hostID(1))
	r.must(HandEffect{ID: id, Attempt: r.Effect(id).Attempt + 1, Host: h.ID, Session: h.Session.N})
}

func TestTheTimeOfAHookCountsFromItsFirstCall(t *testing.T) {
	t.Run("a call that is handed at once moves nothing", func(t *testing.T) {
		r, effect := asked(t)
		before := r.live().ModifyIndex
		r.hand(effect)
		if d := r.live(); d.ModifyIndex != before {
			t.Error("the row was written")
		}
	})
	t.Run("one that waited has its time from then", func(t *testing.T) {
		r, effect := asked(t)
		r.wait(59_000)
		r.hand(effect)
		if got := r.live().Hooks[1]; got.ExpiresAt != r.at.Add(600_000_000_000) {
			t.Errorf("it expires at %s, called at %s", got.ExpiresAt, r.at)
		}
		r.checked()
	})
	t.Run("one that was handed before gets no more", func(t *testing.T) {
		r, effect := asked(t)
		r.hand(effect)
		expires := r.live().Hooks[1].ExpiresAt
		r.must(FinishEffect{ID: effect, Attempt: 1, Verdict: VerdictRetry, Why: "refused"})
		r.wait(30_000)
		r.hand(effect)
		if got := r.live().Hooks[1].ExpiresAt; got != expires {
			t.Errorf("it expires at %s, not %s", got, expires)
		}
	})
}

func TestATimeWithoutALeaderIsNotOneOfAHook(t *testing.T) {
	lead := NoteLeader{ID: MakeRaftID(hostID(1), 1), LeaderlessMs: 40_000}
	t.Run("of a webhook", func(t *testing.T) {
		r, effect := asked(t)
		r.hand(effect)
		expires := r.live().Hooks[1].ExpiresAt
		ended := r.live().Hooks[0]
		r.wait(50_000)
		r.must(lead)
		if got := r.live().Hooks[1].ExpiresAt; got != expires+40_000 {
			t.Errorf("it expires at %s, not 40 s after %s", got, expires)
		}
		if got := r.live().Hooks[0]; got.ExpiresAt != ended.ExpiresAt {
			t.Errorf("one that has a verdict got more time: %+v", got)
		}
		r.checked()
	})
	t.Run("of a person", func(t *testing.T) {
		r := withHooks(t)
		r.to(StagePreScaleUp)
		r.must(r.call("look", StagePreScaleUp))
		expires := r.live().Hooks[0].ExpiresAt
		r.wait(50_000)
		r.must(lead)
		if got := r.live().Hooks[0].ExpiresAt; got != expires+40_000 {
			t.Errorf("it expires at %s, not 40 s after %s", got, expires)
		}
	})
	t.Run("of a call that began later: no more than it has been", func(t *testing.T) {
		r, _ := asked(t)
		expires := r.live().Hooks[1].ExpiresAt
		r.wait(15_000)
		r.must(lead)
		if got := r.live().Hooks[1].ExpiresAt; got != expires+15_000 {
			t.Errorf("it expires at %s, not 15 s after %s", got, expires)
		}
	})
}

func TestAHookTargetIsNotDeletedWhileAnotherDoesNotAllowTheSame(t *testing.T) {
	r := withHooks(t)
	const wide, narrow = "https://hooks.example/", "https://hooks.example/skein"
	r.must(PutHookTarget{Target: "https://other.example"})
	r.must(DeleteHookTarget{Target: "https://other.example"})
	r.refused(DeleteHookTarget{Target: narrow}, ErrConflict, "service web needs it")
	r.must(PutHookTarget{Target: wide})
	r.must(DeleteHookTarget{Target: narrow})
	r.refused(DeleteHookTarget{Target: wide}, ErrConflict, "service web needs it")
}

func TestADeploymentHasOneName(t *testing.T) {
	r := rolls(t, DeploymentConfig{})
	for _, id := range []DeploymentID{"web.+1", "web.01", "web.-1", "web.", "web"} {
		if d := r.Deployment(id); d != nil {
			t.Errorf("%s is %s", id, d.ID)
		}
	}
	if r.Deployment("web.1") == nil {
		t.Error("web.1 is not there")
	}
}
