package deploy_test

import (
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Only who was asked and said nothing in time has timed out.
func TestAHookTimesOutOnceItWasAskedAndHeard(t *testing.T) {
	type step = func(r *rollout, run fleet.HookRun)
	play := func(text string) step {
		return func(r *rollout, _ fleet.HookRun) { r.play(text) }
	}
	answer := func(what string) step {
		return func(r *rollout, run fleet.HookRun) { r.play("answer " + run.ID + " " + what) }
	}
	hand := answer("nothing")
	leads := func(age time.Duration) step {
		return func(r *rollout, _ fleet.HookRun) { r.Liveness.LeaderAge = age }
	}
	tests := map[string]struct {
		steps []step
		want  string // status and beginning of the answer
	}{
		"nobody was asked": {[]step{play("wait 10m"), play("plan")}, "IN_PROGRESS: "},
		"it was asked late and has its time then": {[]step{play("wait 10m"), hand, play("wait 59s"), play("plan")},
			"IN_PROGRESS: "},
		"and no more than that": {[]step{play("wait 10m"), hand, play("wait 1m"), play("plan")},
			"TIMED_OUT: no verdict by "},
		"it was asked and said nothing": {[]step{hand, play("wait 1m"), play("plan")}, "TIMED_OUT: no verdict by "},
		"its answer is there when its time is over": {[]step{answer("SUCCEEDED"), play("wait 10m"), play("plan")},
			"SUCCEEDED: "},
		"a no is there when its time is over": {[]step{answer("FAILED"), play("wait 10m"), play("plan")}, "FAILED: "},
		"it wants to be asked again later than its time is over": {[]step{answer("IN_PROGRESS/120"), play("plan"),
			play("wait 1m"), play("plan")}, "TIMED_OUT: no verdict by "},
		"a leader that is new hears first": {[]step{hand, leads(0), play("wait 2m"), play("plan")}, "IN_PROGRESS: "},
		"and says so once it has heard enough": {[]step{hand, leads(10 * time.Second), play("wait 2m"), play("plan")},
			"TIMED_OUT: no verdict by "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := begin(t, false, "strategy=BLUE_GREEN hook=ask:webhook@POST_SCALE_UP/1m")
			if !r.until(fleet.StagePostScaleUp) {
				t.Fatal(r.play("deployments web"))
			}
			r.play("plan")
			r.play("plan")
			id := r.State.LiveDeployment("web").ID
			run := r.State.Deployment(id).Hooks[0]
			for _, s := range tt.steps {
				s(r, run)
			}
			got := r.State.Deployment(id).Hooks[0]
			if text := got.Status.String() + ": " + got.Answer; !strings.HasPrefix(text, tt.want) {
				t.Errorf("the call is %s, want %s", text, tt.want)
			}
		})
	}
}

func TestAHookThatNobodyWasAskedForIsSaid(t *testing.T) {
	r := begin(t, false, "strategy=BLUE_GREEN hook=ask:webhook@POST_SCALE_UP")
	r.until(fleet.StagePostScaleUp)
	r.play("plan")
	r.play("wait 5s")
	r.play("plan")
	all := plan.ConditionsOf(r.State, fleet.ServiceSubject("web"))
	if len(all) != 1 || !strings.Contains(all[0].Message, "no voter has taken that up yet") {
		t.Errorf("it waits for: %+v", all)
	}
}
