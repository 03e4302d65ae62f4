package invariant

import (
	"testing"

	"skein/raftfsm/fleet"
)

func TestEffects(t *testing.T) {
	intend := func(r *rig) {
		r.do(fleet.IntendEffect{
			ID: "e", EffectKind: "sim", Role: fleet.VoterRole(), Subject: fleet.FleetSubject(),
			Deadline: r.s.Now() + 600_000, TimeoutMs: 10_000, MaxAttempts: 2,
		})
	}
	handTo := func(r *rig, attempt int) {
		r.do(fleet.HandEffect{ID: "e", Attempt: attempt, Host: "h1", Session: r.s.Host("h1").Session.N})
	}
	finish := func(r *rig, attempt int, verdict fleet.EffectVerdict) {
		r.do(fleet.FinishEffect{ID: "e", Attempt: attempt, Verdict: verdict})
	}
	begin := func(r *rig, host fleet.HostID, attempt int, index uint64) {
		r.c.EffectHeard(host, 1, 1, index)
		r.c.EffectBegun(EffectRun{Host: host, Session: 1, ID: "e", Attempt: attempt, Epoch: 1, Index: index})
	}
	tell(t, []story{
		{"it is handed, begins, and is done", "", func(r *rig) {
			intend(r)
			handTo(r, 1)
			begin(r, "h1", 1, 5)
			finish(r, 1, fleet.VerdictDone)
		}},
		{"the second attempt follows the first", "", func(r *rig) {
			intend(r)
			handTo(r, 1)
			begin(r, "h1", 1, 5)
			finish(r, 1, fleet.VerdictRetry)
			r.pass(fleet.EffectGrace)
			handTo(r, 2)
			begin(r, "h1", 2, 6)
			finish(r, 2, fleet.VerdictRetry)
		}},
		{"a host that is late begins an attempt that was given up", "", func(r *rig) {
			intend(r)
			handTo(r, 1)
			r.pass(3 * fleet.EffectGrace)
			finish(r, 1, fleet.VerdictUnknown)
			begin(r, "h1", 1, 5)
		}},
		{"it begins before it is handed", "effects", func(r *rig) {
			intend(r)
			begin(r, "h1", 1, 5)
		}},
		{"it begins on another host", "effects", func(r *rig) {
			intend(r)
			handTo(r, 1)
			begin(r, "h2", 1, 5)
		}},
		{"it begins twice", "effects", func(r *rig) {
			intend(r)
			handTo(r, 1)
			begin(r, "h1", 1, 5)
			begin(r, "h1", 1, 5)
		}},
		{"it begins for a leader that is older than one that was heard", "effects", func(r *rig) {
			intend(r)
			handTo(r, 1)
			r.c.EffectHeard("h1", 1, 1, 6)
			begin(r, "h1", 1, 5)
		}},
		{"it begins when its outcome is committed", "effects", func(r *rig) {
			intend(r)
			handTo(r, 1)
			finish(r, 1, fleet.VerdictDone)
			begin(r, "h1", 1, 5)
		}},
		{"it has begun, and is said not to have", "effects", func(r *rig) {
			intend(r)
			handTo(r, 1)
			begin(r, "h1", 1, 5)
			finish(r, 1, fleet.VerdictNotBegun)
		}},
		{"its outcome counts twice", "effects", func(r *rig) {
			intend(r)
			handTo(r, 1)
			finish(r, 1, fleet.VerdictDone)
			r.c.applyEffect(&fleet.Item{Command: fleet.FinishEffect{ID: "e", Attempt: 1, Verdict: fleet.VerdictDone}})
		}},
		{"it is handed twice", "effects", func(r *rig) {
			intend(r)
			handTo(r, 1)
			r.c.applyEffect(&fleet.Item{Command: fleet.HandEffect{ID: "e", Attempt: 2, Host: "h1", Session: 1}})
		}},
		{"it is pruned while it is open", "effects", func(r *rig) {
			intend(r)
			r.c.pruneEffects(fleet.New())
		}},
	})
}

func TestTheModelOfEffectsIsCompared(t *testing.T) {
	r := newRig(t)
	r.do(fleet.IntendEffect{
		ID: "e", EffectKind: "sim", Role: fleet.VoterRole(), Subject: fleet.FleetSubject(),
		Deadline: r.s.Now() + 600_000, TimeoutMs: 10_000, MaxAttempts: 2,
	})
	if err := r.c.Full(r.s); err != nil {
		t.Error(err)
	}
	r.c.model.effects["e"].handed = true
	if r.c.Full(r.s) == nil {
		t.Error("the model says that it is handed, and nobody notices that State does not")
	}
}
