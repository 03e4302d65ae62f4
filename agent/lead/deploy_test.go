package lead

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"skein/raftfsm/fleet"
)

// deployed runs a deployment to its end, with a leader that is killed at each proposal or
// with one that lives, and returns what became of it.
func deployed(t *testing.T, config fleet.DeploymentConfig, killing, rollback bool) *fleet.Deployment {
	t.Helper()
	w := newWorld(t, 3)
	w.do(fleet.RaiseFormat{Format: 2, Force: true})
	w.service("web", 3, true)
	w.lead()
	w.settle()
	w.killing = killing
	old := w.s.Service("web")
	w.do(fleet.PutService{Name: "web", ExpectedModifyIndex: old.ModifyIndex, TaskDef: w.s.LatestTaskDef("web").ID,
		Desired: 3, MinPercent: 100, MaxPercent: 200, Force: true, Deployment: config})
	for range 60 {
		w.settle()
		d := w.s.LiveDeployment("web")
		if d == nil {
			return w.s.LastDeployment("web")
		}
		for _, r := range d.Hooks {
			if r.Status == fleet.HookAwaitingAction && r.Stage == fleet.StagePostScaleUp {
				w.do(fleet.OrderDeployment{ID: d.ID, Order: fleet.OrderContinue, Run: r.ID})
			}
		}
		if rollback && d.Stage == fleet.StageBakeTime && d.Status == fleet.DeploymentInProgress {
			w.do(fleet.OrderDeployment{ID: d.ID, Order: fleet.OrderRollback})
		}
		w.advance(20 * time.Second)
	}
	t.Fatalf("it does not end: %+v", w.s.LiveDeployment("web"))
	return nil
}

// A leader that is killed at each transition leaves the next one to go on at the same
// place: the deployment goes the same way as under one leader.
func TestALeaderKilledAtEveryTransitionChangesNothing(t *testing.T) {
	pause := fleet.Hook{Name: "ann", Pause: true, Stages: []fleet.LifecycleStage{fleet.StagePostScaleUp}}
	for name, config := range map[string]fleet.DeploymentConfig{
		"ROLLING":    {BakeS: 20},
		"BLUE_GREEN": {Strategy: fleet.BlueGreen, BakeS: 60, Hooks: []fleet.Hook{pause}},
		"LINEAR":     {Strategy: fleet.Linear, StepShare: 4_000, StepBakeS: 20, BakeS: 60},
		"CANARY":     {Strategy: fleet.Canary, CanaryShare: 1_000, StepBakeS: 20, BakeS: 60, Hooks: []fleet.Hook{pause}},
	} {
		for _, rollback := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				want, got := deployed(t, config, false, rollback), deployed(t, config, true, rollback)
				if diff := cmp.Diff(course(want), course(got)); diff != "" {
					t.Errorf("rollback %v: with a leader that lives (-) and one that is killed (+):\n%s", rollback, diff)
				}
			})
		}
	}
}

// course is the way that a deployment went.
func course(d *fleet.Deployment) []string {
	way := []string{d.Status.String() + ": " + d.Reason}
	for _, s := range d.Stages {
		way = append(way, s.Stage.String()+": "+s.Why)
	}
	for _, r := range slices.Clone(d.Hooks) {
		way = append(way, r.ID+" "+r.Hook+" at "+r.Stage.String()+": "+r.Status.String())
	}
	return way
}
