package lead

import (
	"slices"
	"testing"

	"skein/raftfsm/fleet"
)

func TestWhatMayMakeRoom(t *testing.T) {
	tests := map[string]struct {
		change fleet.Command
		room   bool
	}{
		"a cordon ends":       {fleet.UncordonHost{Host: "h2"}, true},
		"a host is cordoned":  {fleet.CordonHost{Host: "h1"}, true},
		"a host falls silent": {fleet.SilenceHost{Host: "h1", Session: 1}, true},
		"a host grows": {fleet.Report{Host: "h1", Session: 1, Seq: 9,
			Capacity: &fleet.Resources{CPU: 1 << 20, Memory: 1 << 20}}, true},
		"a task stops": {fleet.Report{Host: "h1", Session: 1, Seq: 9,
			Tasks: []fleet.TaskReport{{Task: "t1", Status: fleet.TaskStopped, Attempt: 1}}}, true},
		"a task is to stop": {fleet.StopTasks{Tasks: []fleet.TaskID{"t1"}, Cause: fleet.CauseOperator, Reason: "x"}, false},
		"a task runs": {fleet.Report{Host: "h1", Session: 1, Seq: 9,
			Tasks: []fleet.TaskReport{{Task: "t1", Status: fleet.TaskRunning, Attempt: 1}}}, false},
		"a service scales": {fleet.ScaleService{Name: "web", Desired: 5}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.service("web", 1, false)
			w.do(fleet.CordonHost{Host: "h2"}, fleet.CreateTasks{Revision: "web/1", Tasks: []fleet.TaskID{"t1"}},
				fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{"t1"}})
			results, changeSet := w.commit([]fleet.Item{{Command: tt.change}})
			if results[0].Err != nil {
				t.Fatal(results[0].Err)
			}
			if got := changeSet.Any(fleet.SubjectCapacity); got != tt.room {
				t.Errorf("room is %v, want %v; touched %v", got, tt.room, slices.Collect(changeSet.Subjects()))
			}
		})
	}
}

// A kind of subject that is new must be one that planners visit, or be named here.
func TestAChangeOfWhatNoPlannerVisitsAsksForNoPass(t *testing.T) {
	idle := []fleet.SubjectKind{
		fleet.SubjectFleet, // asks for a full pass
		fleet.SubjectVoters, fleet.SubjectEvents, fleet.SubjectEffects, fleet.SubjectPlanner, fleet.SubjectTaskDef,
		fleet.SubjectToken, fleet.SubjectListener, fleet.SubjectRule, fleet.SubjectTargetGroup, fleet.SubjectRoutes,
		fleet.SubjectDeployment, fleet.SubjectAlarm, fleet.SubjectHookTargets,
	}
	for _, k := range fleet.SubjectKinds() {
		if slices.Contains(planned, k) == slices.Contains(idle, k) {
			t.Errorf("%s: do planners visit it?", k)
		}
	}
	w := newWorld(t, 1)
	w.lead()
	w.advance(GatherMost)
	for _, tt := range []struct {
		kinds        []fleet.SubjectKind
		passes, full uint64
	}{{idle[1:], 0, 0}, {idle[:1], 1, 1}, {planned, uint64(len(planned)), 0}} {
		before := w.loop.Stats()
		for _, k := range tt.kinds {
			subject := fleet.Subject{Kind: k, Name: "x"}
			if k == fleet.SubjectFleet || k == fleet.SubjectCapacity || k == fleet.SubjectVoters || k == fleet.SubjectEvents ||
				k == fleet.SubjectEffects || k == fleet.SubjectRoutes ||
				k == fleet.SubjectHookTargets {
				subject.Name = ""
			}
			w.step(Applied{State: w.s.Clone(), ChangeSet: fleet.ChangeSetOf(subject)})
			w.advance(2 * GatherMost)
		}
		after := w.loop.Stats()
		if passes, full := after.Passes-before.Passes, after.FullPasses-before.FullPasses; passes != tt.passes ||
			full != tt.full {
			t.Errorf("changes of %v: %d passes, %d of them full, want %d and %d", tt.kinds, passes, full, tt.passes, tt.full)
		}
	}
}
