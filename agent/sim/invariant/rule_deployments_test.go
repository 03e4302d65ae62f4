package invariant

import (
	"testing"

	"skein/raftfsm/fleet"
)

// stands is a service of two tasks behind a balancer, whose second revision stands beside
// the first: by CANARY, 40 %, with a pause at POST_TEST_TRAFFIC_SHIFT.
func (r *rig) stands() {
	r.t.Helper()
	for _, id := range []fleet.HostID{"h1", "h2"} {
		host := r.s.Host(id)
		r.do(fleet.OpenSession{Host: id, Boot: "boot-1", Nonce: host.Session.Nonce + 1, Addr: host.Addr, Zone: host.Zone,
			Capacity: fleet.Resources{CPU: 4096, Memory: 4096}, Format: 2})
		r.seqs[id] = 1
		r.do(fleet.Report{Host: id, Session: host.Session.N + 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true}}})
	}
	r.do(fleet.RaiseFormat{Format: 2, Force: true}, fleet.RegisterTaskDef{Family: "net",
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{
			{Name: "app", Image: "x", CPU: 256, MemoryReservation: 128, StopTimeoutS: 30,
				PortMappings: []fleet.PortMapping{{ContainerPort: 80, Protocol: fleet.TCP}}}}}})
	check := fleet.TargetCheck{IntervalS: 5, TimeoutS: 2, Healthy: 2, Unhealthy: 2}
	to := fleet.Action{Forward: &fleet.Forward{Groups: []fleet.GroupWeight{{Group: "blue", Weight: fleet.TotalWeight}}}}
	r.do(fleet.PutTargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1, Check: check},
		fleet.PutTargetGroup{Name: "green", Protocol: fleet.GroupHTTP1, Check: check},
		fleet.PutListener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP, Default: &to})
	r.do(fleet.PutService{Name: "web", TaskDef: "net:1", Desired: 2, MinPercent: 100, MaxPercent: 200,
		LoadBalancers: []fleet.LoadBalancer{{Container: "app", ContainerPort: 80, Group: "blue", AlternateGroup: "green"}}})
	r.serve("web/1", "a", "b")
	r.do(fleet.FinishDeployment{ID: "web.1", ExpectedModifyIndex: r.s.Deployment("web.1").ModifyIndex,
		Status: fleet.DeploymentStopped})
	r.update()
	at := r.s.Service("web").ModifyIndex
	r.by("deploy", fleet.PutGoals{Service: "web", ServiceModifyIndex: at, Max: 4, Revisions: []fleet.RevisionGoal{
		{Revision: "web/1", Desired: 2, Max: 2}, {Revision: "web/2", Desired: 2, Max: 2}}})
	r.serve("web/2", "c", "d")
}

func (r *rig) update() {
	r.t.Helper()
	v := r.s.Service("web")
	r.do(fleet.PutService{Name: "web", ExpectedModifyIndex: v.ModifyIndex, TaskDef: "net:1", Desired: 2, MinPercent: 100,
		MaxPercent: 200, Force: true, LoadBalancers: v.LoadBalancers, Deployment: fleet.DeploymentConfig{
			Strategy: fleet.Canary, CanaryShare: 4_000, Hooks: []fleet.Hook{
				{Name: "ann", Pause: true, Stages: []fleet.LifecycleStage{fleet.StagePostTestTrafficShift}}}}})
}

// serve starts tasks of a revision that are healthy targets.
func (r *rig) serve(revision fleet.RevisionID, ids ...fleet.TaskID) {
	r.t.Helper()
	group := r.s.Revision(revision).Groups[0].Group
	for i, id := range ids {
		r.do(fleet.CreateTasks{Revision: revision, Tasks: []fleet.TaskID{id}}, fleet.AssignTasks{
			Host: []fleet.HostID{"h1", "h2"}[i%2], Tasks: []fleet.TaskID{id}, Ports: [][]fleet.PortBinding{
				{{Container: "app", ContainerPort: 80, HostPort: 50_000 + int(id[0]), Protocol: fleet.TCP}}}})
		r.report(fleet.TaskReport{Task: id, Status: fleet.TaskRunning, Attempt: 1,
			Targets: []fleet.TargetReport{{Group: group, State: fleet.TargetHealthy}}})
	}
}

func (r *rig) deployment() *deployment { return r.c.model.services["web"].deployment }

// advance takes the deployment to its next stage, with the weights of that.
func (r *rig) advance() {
	r.t.Helper()
	d := r.s.LiveDeployment("web")
	stage, step, _ := d.Next()
	cmd := fleet.AdvanceDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Stage: stage, Step: step,
		Production: d.Production, Test: d.Test}
	if stage == fleet.StageTestTrafficShift {
		cmd.Test = fleet.TotalWeight
	}
	if stage == fleet.StageProductionTrafficShift {
		cmd.Production = d.Config.StepTo(step)
	}
	r.by("deploy", cmd)
	r.routes(r.s.Index())
	if d = r.s.LiveDeployment("web"); d.ShiftedAt == 0 && d.WeightsIndex != 0 {
		r.by("deploy", fleet.NoteDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Shifted: true,
			WeightsIndex: d.WeightsIndex})
	}
}

// routes has both hosts serve all that there is.
func (r *rig) routes(index uint64) {
	for _, id := range []fleet.HostID{"h1", "h2"} {
		r.c.RoutesServed(id, index, []fleet.Rule{*r.s.Rule("web/default")})
	}
}

func (r *rig) call() {
	r.t.Helper()
	d := r.s.LiveDeployment("web")
	r.by("deploy", fleet.BeginHook{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Run: d.NextRun(), Hook: "ann",
		Stage: fleet.StagePostTestTrafficShift})
}

// to takes the deployment to a stage of its first step, through its hook.
func (r *rig) to(stage fleet.LifecycleStage) {
	r.t.Helper()
	for r.s.LiveDeployment("web").Stage < stage {
		r.advance()
		if r.s.LiveDeployment("web").Stage == fleet.StagePostTestTrafficShift && stage > fleet.StagePostTestTrafficShift {
			r.call()
			r.do(fleet.OrderDeployment{ID: "web.2", Order: fleet.OrderContinue, Run: "web.2-1"})
		}
	}
}

func TestDeployments(t *testing.T) {
	stories := map[string]story{
		"it goes to its end, and all reads as it was written": {"", "", func(r *rig) {
			r.to(fleet.StageProductionTrafficShift)
			for r.s.LiveDeployment("web").Stage != fleet.StageCleanUp {
				r.advance()
			}
			r.do(fleet.StopTasks{Tasks: []fleet.TaskID{"a", "b"}, Cause: fleet.CauseOperator})
			for _, id := range []fleet.TaskID{"a", "b"} {
				r.report(fleet.TaskReport{Task: id, Status: fleet.TaskStopped, Attempt: 1})
			}
			r.do(fleet.FinishDeployment{ID: "web.2", ExpectedModifyIndex: r.s.Deployment("web.2").ModifyIndex,
				Status: fleet.DeploymentSuccessful})
			if r.c.counters[asWritten].evaluated == 0 {
				r.t.Error("nothing was compared with what people wrote")
			}
			r.c.RoutesServed("h1", r.s.Index(), []fleet.Rule{*r.s.Rule("web/default")})
		}},
		"it goes back, and blue is whole": {"", "", func(r *rig) {
			r.to(fleet.StageProductionTrafficShift)
			r.do(fleet.OrderDeployment{ID: "web.2", Order: fleet.OrderRollback})
		}},
		"green has traffic and is not healthy": {"", "I7", func(r *rig) {
			r.to(fleet.StagePreProductionTrafficShift)
			for _, id := range []fleet.TaskID{"c", "d"} {
				r.c.model.tasks[id].targets[0].state = fleet.TargetUnhealthy
			}
			r.advance()
		}},
		"a planner takes a task of blue": {"", "I7", func(r *rig) {
			r.to(fleet.StageProductionTrafficShift)
			r.by("service", fleet.StopTasks{Tasks: []fleet.TaskID{"a"}, Cause: fleet.CauseRollout})
		}},
		"a planner takes a task of blue that others are to replace": {"", "I7", func(r *rig) {
			r.to(fleet.StageProductionTrafficShift)
			r.do(fleet.ReplaceTasks{Tasks: []fleet.TaskID{"a"}, Cause: fleet.CauseDrain})
			r.by("service", fleet.StopTasks{Tasks: []fleet.TaskID{"a"}, Cause: fleet.CauseDrain})
		}},
		"a planner that knew nothing of the deployment takes a task of blue": {"", "", func(r *rig) {
			s := r.c.model.services["web"]
			s.settings[0].lower, r.planned = 0, r.s.Index()
			r.deployment().made = r.s.Index() + 1
			r.by("service", fleet.StopTasks{Tasks: []fleet.TaskID{"a"}, Cause: fleet.CauseRollout})
		}},
		"goals want less of blue than is desired": {"", "I7", func(r *rig) {
			s := r.c.model.services["web"]
			s.settings[len(s.settings)-1].desired = 3
			r.by("deploy", *goalsCommand(r.s))
		}},
		"a rollback starts a task of green": {"", "I7", func(r *rig) {
			r.deployment().back = true
			r.do(fleet.StopTasks{Tasks: []fleet.TaskID{"c"}, Cause: fleet.CauseOperator},
				fleet.CreateTasks{Revision: "web/2", Tasks: []fleet.TaskID{"e"}})
		}},
		"weights fall": {"", "I7", func(r *rig) {
			r.to(fleet.StagePreProductionTrafficShift)
			r.deployment().production = 5_000
			r.advance()
		}},
		"a rule gives what the deployment does not say": {"", "I7", func(r *rig) {
			r.to(fleet.StageProductionTrafficShift)
			r.deployment().production = 1_000
			r.c.model.traffic = true
			r.commit()
		}},
		"a rule does not read as it was written": {"", "I7", func(r *rig) {
			r.c.model.wrote["web/default"] = []fleet.GroupWeight{{Group: "blue", Weight: 9_000}}
			r.to(fleet.StageReconcileService)
		}},
		"a host serves what was never committed": {"", "I7", func(r *rig) {
			rule := *r.s.Rule("web/default")
			rule.Action = fleet.Action{Forward: &fleet.Forward{Groups: []fleet.GroupWeight{{Group: "green", Weight: 1}}}}
			r.c.RoutesServed("h1", r.s.Index(), []fleet.Rule{rule})
		}},
		"a host serves what came later": {"", "I7", func(r *rig) {
			before := r.s.Index()
			r.to(fleet.StageProductionTrafficShift)
			r.c.RoutesServed("h1", before, []fleet.Rule{*r.s.Rule("web/default")})
		}},
		"another goes back to what did not succeed last": {"", "I7", func(r *rig) {
			r.c.model.services["web"].good = "web/9"
			r.update()
		}},
		"another is in the groups of blue": {"", "I7", func(r *rig) {
			r.c.model.services["web"].groups["web/1"] = []fleet.TargetGroupName{"green"}
			r.c.deploys(r.c.model.services["web"], "web.2", fleet.DeploymentConfig{Strategy: fleet.BlueGreen}, r.s)
		}},
		"a stage is passed over": {"", "I8", func(r *rig) {
			r.to(fleet.StagePreScaleUp)
			r.deployment().stage = fleet.StageReconcileService
			r.advance()
		}},
		"a stage ends before its hook": {"", "I8", func(r *rig) {
			r.to(fleet.StagePostTestTrafficShift)
			r.call()
			r.do(fleet.OrderDeployment{ID: "web.2", Order: fleet.OrderContinue, Run: "web.2-1"})
			r.deployment().calls["web.2-1"].status = fleet.HookFailed
			r.advance()
		}},
		"a hook is called twice": {"", "I8", func(r *rig) {
			r.to(fleet.StagePostTestTrafficShift)
			r.deployment().called[hookPlace{hook: "ann", stage: fleet.StagePostTestTrafficShift}] = "web.2-0"
			r.call()
		}},
		"a shift is done before a host serves it": {"", "I7", func(r *rig) {
			r.to(fleet.StagePreProductionTrafficShift)
			r.c.routes["h2"] = 1
			d := r.deployment()
			r.c.noted(fleet.NoteDeployment{ID: d.id, Shifted: true, WeightsIndex: r.s.Index()})
		}},
		"a stage ends though an alarm fires": {"", "I8", func(r *rig) {
			r.to(fleet.StagePostScaleUp)
			r.c.noted(fleet.NoteDeployment{ID: "web.2", Alarms: []fleet.AlarmState{{Name: "cpu", Status: fleet.AlarmFires}}})
			r.advance()
		}},
		"one ends though an alarm fires that is not looked at": {"", "", func(r *rig) {
			r.to(fleet.StagePostScaleUp)
			r.c.noted(fleet.NoteDeployment{ID: "web.2", Alarms: []fleet.AlarmState{
				{Name: "cpu", Status: fleet.AlarmFires, Ignored: true}}})
			r.advance()
		}},
		"a hook succeeds before its task has ended": {"", "I8", func(r *rig) {
			r.to(fleet.StagePostTestTrafficShift)
			r.call()
			r.deployment().calls["web.2-1"].task = "c"
			r.c.answered(r.deployment(), fleet.FinishHook{Run: "web.2-1", Status: fleet.HookSucceeded})
		}},
		"a hook has two verdicts": {"", "I8", func(r *rig) {
			r.to(fleet.StagePostTestTrafficShift)
			r.call()
			r.deployment().calls["web.2-1"].status = fleet.HookSucceeded
			r.do(fleet.OrderDeployment{ID: "web.2", Order: fleet.OrderContinue, Run: "web.2-1"})
		}},
		"one that ended goes on": {"", "I8", func(r *rig) {
			r.deployment().ended = true
			r.advance()
		}},
		"one that cleans up goes back to a blue that is not whole": {"", "I8", func(r *rig) {
			r.deployment().stage = fleet.StageCleanUp
			s := r.deployment().service
			s.settings[len(s.settings)-1].desired++
			r.do(fleet.OrderDeployment{ID: "web.2", Order: fleet.OrderRollback})
		}},
	}
	var told []story
	for name, s := range stories {
		happen := s.happen
		told = append(told, story{name, s.breaks, func(r *rig) {
			r.stands()
			if err := r.c.Full(r.s); err != nil || len(r.broken) > 0 {
				r.t.Fatalf("before: %v, %v", err, r.broken)
			}
			happen(r)
		}})
	}
	tell(t, told)
}

// goalsCommand is the command by which the goals of the service stand.
func goalsCommand(s *fleet.State) *fleet.PutGoals {
	g := s.Goals("web")
	return &fleet.PutGoals{
		Service:            "web",
		ServiceModifyIndex: s.Service("web").ModifyIndex,
		Max:                g.Max,
		Revisions:          g.Revisions,
	}
}
