package invariant

import (
	"testing"

	"skein/raftfsm/fleet"
)

// deploys raises the format to that of deployments, and makes a service of two tasks whose
// second revision is rolled out beside the first, with hooks.
func (r *rig) deploys() {
	r.t.Helper()
	for _, id := range []fleet.HostID{"h1", "h2"} {
		host := r.s.Host(id)
		r.do(fleet.OpenSession{Host: id, Boot: "boot-1", Nonce: host.Session.Nonce + 1, Addr: host.Addr, Zone: host.Zone,
			Capacity: host.Capacity, Format: 2})
		r.seqs[id] = 1
		r.do(fleet.Report{Host: id, Session: host.Session.N + 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true}}})
	}
	r.do(fleet.RaiseFormat{Format: 2, Force: true})
	r.service("web", 2, 100, 200)
	r.do(fleet.PutHookTarget{Target: "https://hooks.example"}, fleet.PutHookTarget{Target: "task:app"})
	r.roll()
}

func (r *rig) roll() {
	r.t.Helper()
	stage := []fleet.LifecycleStage{fleet.StageReconcileService}
	r.do(fleet.PutService{
		Name: "web", ExpectedModifyIndex: r.s.Service("web").ModifyIndex, TaskDef: "app:1", Desired: 2, MinPercent: 100,
		MaxPercent: 200, Force: true, Deployment: fleet.DeploymentConfig{Strategy: fleet.BlueGreen, Hooks: []fleet.Hook{
			{Name: "ask", Stages: stage, Webhook: &fleet.WebhookTarget{URL: "https://hooks.example/x"}},
			{Name: "smoke", Stages: stage, Task: &fleet.TaskHookTarget{TaskDef: "app:1"}},
		}},
	})
}

// calls takes the deployment to its first stage and calls both hooks.
func (r *rig) calls() {
	r.t.Helper()
	d := r.s.LiveDeployment("web")
	r.do(fleet.AdvanceDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Stage: fleet.StageReconcileService})
	for i, name := range []string{"ask", "smoke"} {
		d = r.s.LiveDeployment("web")
		c := fleet.BeginHook{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Run: d.NextRun(), Hook: name,
			Stage: fleet.StageReconcileService}
		if i == 0 {
			c.Effect = &fleet.IntendEffect{ID: "e-1", EffectKind: "webhook", Role: fleet.VoterRole(),
				Subject: fleet.ServiceSubject("web"), Deadline: r.s.Now() + 60_000, TimeoutMs: 1000, MaxAttempts: 2}
		} else {
			c.Task = &fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"smoke-1"}}
		}
		r.do(c)
	}
}

func TestTheModelFollowsWhatDeploymentsDo(t *testing.T) {
	order := func(o fleet.DeploymentOrder) func(*rig) {
		return func(r *rig) { r.do(fleet.OrderDeployment{ID: "web.2", Order: o}) }
	}
	for name, happens := range map[string]func(*rig){
		"it goes on":             func(*rig) {},
		"it goes back":           order(fleet.OrderRollback),
		"it is stopped":          order(fleet.OrderStop),
		"another takes over":     (*rig).roll,
		"its service is deleted": func(r *rig) { r.do(fleet.DeleteService{Name: "web", Force: true}) },
		"its service is deleted, of which no task is left": func(r *rig) {
			r.do(fleet.ScaleService{Name: "web", Desired: 0},
				fleet.StopTasks{Tasks: []fleet.TaskID{"web-0", "web-1"}, Cause: fleet.CauseOperator})
			for _, id := range []fleet.TaskID{"web-0", "web-1"} {
				r.report(fleet.TaskReport{Task: id, Status: fleet.TaskStopped, Attempt: 1})
			}
			r.do(fleet.DeleteService{Name: "web"})
		},
		"its service scales once it ended": func(r *rig) {
			order(fleet.OrderStop)(r)
			r.do(fleet.ScaleService{Name: "web", Desired: 3})
		},
		"a call times out": func(r *rig) {
			r.pass(25 * 3600 * 1e9)
			d := r.s.LiveDeployment("web")
			r.do(fleet.FinishHook{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Run: d.Hooks[1].ID, Status: fleet.HookTimedOut})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.deploys()
			r.calls()
			happens(r)
			if err := r.c.Full(r.s); err != nil {
				t.Error(err)
			}
			if len(r.broken) > 0 {
				t.Errorf("broken: %v", r.broken)
			}
		})
	}
}
