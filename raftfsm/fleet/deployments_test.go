package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// rollout is a world with a service "web" of two tasks that serve from group "blue", with
// "green" as the alternate one and a test rule, of which a second revision is rolled out.
type rollout struct{ *world }

// rolls makes the second revision, with a way of deployment.
func rolls(t testing.TB, config DeploymentConfig) rollout {
	t.Helper()
	w := trafficOf(t, 3)
	w.must(PutRule{ID: "shop/test", Priority: 1, Conditions: host("test.example"), Action: *forward("blue", TotalWeight)})
	w.must(group("red"))
	w.must(PutRule{ID: "shop/api", Priority: 2, Conditions: host("api.example"), Action: *forward("blue", 5000, "red")})
	w.serves(2)
	r := rollout{w}
	r.deploy(config)
	return r
}

// deploy makes another revision.
func (r rollout) deploy(config DeploymentConfig) {
	r.t.Helper()
	put := balanced(2)
	put.LoadBalancers[0].TestRule = "shop/test"
	put.ExpectedModifyIndex, put.Force, put.Deployment = r.Service("web").ModifyIndex, true, config
	r.must(put)
}

func (r rollout) live() *Deployment {
	r.t.Helper()
	d := r.LiveDeployment("web")
	if d == nil {
		r.t.Fatalf("no live deployment; the last is %+v", r.LastDeployment("web"))
	}
	return d
}

// next is the command that takes the deployment on, with the weights that are due.
func (r rollout) next() AdvanceDeployment {
	r.t.Helper()
	d := r.live()
	stage, step, _ := d.Next()
	c := AdvanceDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Stage: stage, Step: step,
		Production: d.Production, Test: d.Test}
	switch stage {
	case StageTestTrafficShift:
		c.Test = TotalWeight
	case StageProductionTrafficShift:
		c.Production = (&Deployment{Config: d.Config, Step: step, Promote: d.Promote}).Goal()
	default:
	}
	return c
}

// to takes the deployment on until it is at a stage, and answers what it waits for.
func (r rollout) to(stage LifecycleStage) {
	r.t.Helper()
	for range 100 {
		d := r.live()
		switch {
		case d.Stage == stage:
			return
		case d.Stage == StageScaleUp && r.Counts("web", d.Target).Serving < 2:
			r.green()
		case d.ShiftedAt == 0 && d.WeightsIndex != 0:
			r.served()
		}
		if until := r.live().WaitsUntil(); until > r.at {
			r.at = until
		}
		r.must(r.next())
	}
	r.t.Fatalf("it never comes to %s: %+v", stage, r.live())
}

// served says that every host serves the weights.
func (r rollout) served() {
	r.t.Helper()
	d := r.live()
	r.must(NoteDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Shifted: true, WeightsIndex: d.WeightsIndex})
}

// green starts two tasks of the target, which become healthy.
func (r rollout) green() {
	r.t.Helper()
	v, d := r.Service("web"), r.live()
	goals := PutGoals{Service: "web", ServiceModifyIndex: v.ModifyIndex, Max: 8}
	for _, id := range append(slices.Clone(d.Sources), d.Target) {
		goals.Revisions = append(goals.Revisions, RevisionGoal{Revision: id, Desired: 2, Max: 2})
	}
	r.must(goals)
	_, n := d.Target.Split()
	for i := 1; i <= 2; i++ {
		id := TaskID(fmt.Sprintf("green-%d-%d", n, i))
		r.must(CreateTasks{Revision: d.Target, Tasks: []TaskID{id}})
		r.must(AssignTasks{Host: hostID(i), Tasks: []TaskID{id}, Ports: [][]PortBinding{{
			{Container: "app", ContainerPort: 8080, HostPort: 50000 + 10*n + i, Protocol: TCP}}}})
		r.reportTarget(i, id, TargetHealthy)
	}
}

// reportTarget reports a task that runs as a target of the group that it is in.
func (r rollout) reportTarget(n int, id TaskID, state TargetState) {
	r.t.Helper()
	said := running(id)
	said.Targets = []TargetReport{{Group: r.task(id).Targets[0].Group, State: state}}
	r.report(n, said)
}

// gone stops all tasks of a revision.
func (r rollout) gone(id RevisionID) {
	r.t.Helper()
	for _, t := range slices.Collect(r.LiveTasksOfService("web")) {
		if t.Revision == id {
			r.must(StopTasks{Tasks: []TaskID{t.ID}, Cause: CauseRollout})
			r.do(Report{Host: t.Host, Session: 1, Seq: r.Host(t.Host).ReportSeq + 1, Tasks: []TaskReport{stopped(t.ID, 0)}})
		}
	}
}

func (r rollout) finish(status DeploymentStatus) FinishDeployment {
	d := r.live()
	return FinishDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Status: status, Reason: "test"}
}

// shares are those of the rules, for people.
func (r rollout) shares() string {
	var parts []string
	for _, id := range []RuleID{"shop/default", "shop/test"} {
		parts = append(parts, shares(r.Rule(id).Action.Forward.Groups))
	}
	return strings.Join(parts, "; test ")
}

func (r rollout) want(what, got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

var canary = DeploymentConfig{Strategy: Canary, CanaryShare: 1000, StepBakeS: 60, BakeS: 300}

func TestACanaryGoesThroughAllStagesAndLeavesEverythingAsPeopleWroteIt(t *testing.T) {
	r := rolls(t, canary)
	d := r.live()
	if d.ID != "web.2" || d.Blue != "web/1" || d.Target != "web/2" || !slices.Equal(d.Sources, []RevisionID{"web/1"}) ||
		d.Status != DeploymentPending || r.Service("web").Revision != "web/2" {
		t.Fatalf("deployment %+v", d)
	}
	if before := r.Deployment("web.1"); before.Status != DeploymentStopped || before.Reason != "replaced by web.2" {
		t.Errorf("the one before is %+v", before)
	}
	r.want("green is bound to", string(r.Revision("web/2").Groups[0].Group), "green")
	r.want("before", r.shares(), "blue 100 %; test blue 100 %")
	var events []string
	for _, stage := range []LifecycleStage{StagePostScaleUp, StageTestTrafficShift, StagePreProductionTrafficShift,
		StageProductionTrafficShift, StagePostProductionTrafficShift, StageCleanUp} {
		r.to(stage)
		events = append(events, r.lastEvent().Message)
		switch stage {
		case StageTestTrafficShift:
			r.want("test traffic", r.shares(), "blue 100 %; test blue 0 %, green 100 %")
		case StageProductionTrafficShift:
			r.want("canary", r.shares(), "blue 90 %, green 10 %; test blue 0 %, green 100 %")
		case StagePostProductionTrafficShift:
			r.want("all", r.shares(), "blue 0 %, green 100 %; test blue 0 %, green 100 %")
		default:
		}
		r.checked()
	}
	r.want("events", strings.Join(events, "\n"), `web.2: POST_SCALE_UP
web.2: test traffic 100 % to web/2
web.2: PRE_PRODUCTION_TRAFFIC_SHIFT (step 1 of 2)
web.2: production 10 % to web/2 (step 1 of 2)
web.2: POST_PRODUCTION_TRAFFIC_SHIFT
web.2: CLEAN_UP`)
	r.refused(r.finish(DeploymentSuccessful), ErrTooEarly, "2 tasks of other revisions")
	r.gone("web/1")
	r.must(r.finish(DeploymentSuccessful))
	r.want("after", r.shares(), "blue 100 %; test blue 100 %")
	r.want("green becomes blue in", string(r.Revision("web/2").Groups[0].Group), "blue")
	if targets := r.Targets("blue"); len(targets) != 2 || targets[0].State != TargetHealthy {
		t.Errorf("targets of blue: %+v", targets)
	}
	if left := r.Targets("green"); len(left) != 0 {
		t.Errorf("targets of green: %+v", left)
	}
	if v := r.Service("web"); v.Good != "web/2" || r.LiveDeployment("web") != nil || r.Goals("web") != nil {
		t.Errorf("service %+v", v)
	}
	if n := len(r.Deployment("web.2").Stages); n != 13 {
		t.Errorf("%d stages in the history", n)
	}
	r.checked()
}

func TestGreenThatBecameBlueIsAHealthyTargetWhateverItsHostSaysOfTheFormerGroup(t *testing.T) {
	r := rolls(t, canary)
	r.to(StageCleanUp)
	r.gone("web/1")
	former := running("green-2-1")
	former.Targets = []TargetReport{{Group: "green", State: TargetUnhealthy}}
	index := r.Host(hostID(1)).WantedModifyIndex
	r.must(r.finish(DeploymentSuccessful))
	if now := r.Host(hostID(1)).WantedModifyIndex; now <= index {
		t.Error("its host does not hear of it")
	}
	r.report(1, former)
	if v := r.task("green-2-1").Targets; len(v) != 1 || v[0].Group != "blue" || v[0].State != TargetHealthy {
		t.Errorf("targets %+v", v)
	}
	r.reportTarget(1, "green-2-1", TargetUnhealthy)
	if v := r.task("green-2-1").Targets; v[0].State != TargetUnhealthy {
		t.Errorf("targets %+v", v)
	}
	r.deploy(canary)
	r.want("the next is bound to", string(r.Revision("web/3").Groups[0].Group), "green")
	r.want("and goes back to", string(r.live().Blue), "web/2")
}

func TestAdvanceDeploymentRefuses(t *testing.T) {
	hooked := canary
	hooked.Hooks = []Hook{{Name: "look", Stages: []LifecycleStage{StagePreScaleUp}, Pause: true}}
	for _, c := range []struct {
		name     string
		config   DeploymentConfig
		at       LifecycleStage
		change   func(r rollout, c *AdvanceDeployment)
		sentinel error
		text     string
	}{
		{"a row that moved", canary, StagePreScaleUp, func(_ rollout, c *AdvanceDeployment) { c.ExpectedModifyIndex-- },
			ErrMoved, "web.2: it is at"},
		{"one that is not there", canary, StagePreScaleUp, func(_ rollout, c *AdvanceDeployment) { c.ID = "web.9" },
			ErrNotFound, `"web.9"`},
		{"a stage that does not follow", canary, StagePreScaleUp,
			func(_ rollout, c *AdvanceDeployment) { c.Stage = StageBakeTime }, ErrConflict, "to BAKE_TIME"},
		{"a stage of before", canary, StagePostScaleUp,
			func(_ rollout, c *AdvanceDeployment) { c.Stage = StagePreScaleUp }, ErrConflict, "to PRE_SCALE_UP"},
		{"traffic where none is shifted", canary, StagePreScaleUp,
			func(_ rollout, c *AdvanceDeployment) { c.Production = 1 }, ErrInvalid, "production: is 1: 0 to 0"},
		{"test traffic too early", canary, StagePreScaleUp, func(_ rollout, c *AdvanceDeployment) { c.Test = 1 },
			ErrInvalid, "test: is 1"},
		{"more than the step's share", canary, StagePreProductionTrafficShift,
			func(_ rollout, c *AdvanceDeployment) { c.Production = 1001 }, ErrInvalid, "0 to 1000"},
		{"a weight that falls", canary, StageProductionTrafficShift, func(r rollout, c *AdvanceDeployment) {
			r.served()
			r.wait(60_000)
			*c = r.next()
			c.Production = 900
		}, ErrInvalid, "production: is 900"},
		{"more traffic than healthy tasks bear", canary, StagePreProductionTrafficShift,
			func(r rollout, c *AdvanceDeployment) {
				r.reportTarget(1, "green-2-1", TargetUnhealthy)
				r.reportTarget(2, "green-2-2", TargetUnhealthy)
			}, ErrTooEarly, "10 % of traffic needs 2 healthy tasks of web/2, and 0 are"},
		{"the first traffic before all tasks are healthy", canary, StagePreProductionTrafficShift,
			func(r rollout, c *AdvanceDeployment) {
				r.reportTarget(1, "green-2-1", TargetUnhealthy)
			}, ErrTooEarly, "10 % of traffic needs 2 healthy tasks of web/2, and 1 are"},
		{"the first test traffic before all tasks are healthy", canary, StagePostScaleUp,
			func(r rollout, c *AdvanceDeployment) {
				r.reportTarget(1, "green-2-1", TargetUnhealthy)
			}, ErrTooEarly, "100 % of traffic needs 2 healthy tasks of web/2, and 1 are"},
		{"to go on before all hosts serve it", canary, StageProductionTrafficShift, nil, ErrTooEarly,
			"not every host is known to serve"},
		{"to go on before the wait is over", canary, StageProductionTrafficShift, func(r rollout, c *AdvanceDeployment) {
			r.served()
			r.wait(59_999)
			*c = r.next()
		}, ErrTooEarly, "waits until"},
		{"to go on before the bake is over", canary, StageBakeTime, func(r rollout, c *AdvanceDeployment) {
			r.wait(299_999)
		}, ErrTooEarly, "BAKE_TIME waits until"},
		{"to clean up while fewer are healthy than of blue", canary, StageBakeTime, func(r rollout, c *AdvanceDeployment) {
			r.reportTarget(1, "green-2-1", TargetUnhealthy)
			r.wait(300_000)
			*c = r.next()
		}, ErrTooEarly, "1 tasks of web/2 are healthy, too few to clean up"},
		{"to clean up while none is healthy", DeploymentConfig{}, StageBakeTime, func(r rollout, c *AdvanceDeployment) {
			r.reportTarget(1, "green-2-1", TargetUnhealthy)
			r.reportTarget(2, "green-2-2", TargetUnhealthy)
			*c = r.next()
		}, ErrTooEarly, "0 tasks of web/2 are healthy, too few to clean up"},
		{"to go on before a hook was called", hooked, StagePreScaleUp, nil, ErrTooEarly, `waits for hooks ["look"]`},
		{"to go on while a hook is open", hooked, StagePreScaleUp, func(r rollout, c *AdvanceDeployment) {
			r.must(r.call("look", StagePreScaleUp))
			*c = r.next()
		}, ErrTooEarly, `waits for hooks ["look"]`},
		{"to go on while it is paused", canary, StagePreScaleUp, func(r rollout, c *AdvanceDeployment) {
			r.must(OrderDeployment{ID: "web.2", Order: OrderPause})
			*c = r.next()
		}, ErrConflict, "operator paused it"},
		{"to go on once it goes back", canary, StagePostScaleUp, func(r rollout, c *AdvanceDeployment) {
			r.must(r.back())
			*c = r.next()
		}, ErrConflict, "it goes back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rolls(t, c.config)
			r.to(c.at)
			command := r.next()
			if c.change != nil {
				c.change(r, &command)
			}
			r.refused(command, c.sentinel, c.text)
		})
	}
}

// call is the first call of a hook.
func (r rollout) call(hook string, stage LifecycleStage) BeginHook {
	d := r.live()
	return BeginHook{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Run: d.NextRun(), Hook: hook, Stage: stage}
}

func (r rollout) back() RollBackDeployment {
	d := r.live()
	return RollBackDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Reason: "alarm errors fires"}
}

func TestARollbackIsOneChangeOfWeightsAtEachStageUntilCleanUp(t *testing.T) {
	for _, stage := range Canary.Stages() {
		t.Run(stage.String(), func(t *testing.T) {
			r := rolls(t, canary)
			r.to(stage)
			blue, tasks := r.Counts("web", "web/1"), r.TaskCount()
			r.must(r.back())
			d := r.live()
			r.want("shares", strings.ReplaceAll(r.shares(), ", green 0 %", ""), "blue 100 %; test blue 100 %")
			if d.Status != DeploymentRollingBack || d.Production != 0 || d.Test != 0 || d.Stage != stage ||
				r.Service("web").Revision != "web/1" || r.Goals("web") != nil {
				t.Errorf("deployment %+v, service %+v", d, r.Service("web"))
			}
			if now := r.Counts("web", "web/1"); now != blue || r.TaskCount() != tasks {
				t.Errorf("blue is %+v, was %+v; %d tasks, were %d", now, blue, r.TaskCount(), tasks)
			}
			r.must(r.Service("web").DefaultGoals())
			if r.Counts("web", "web/2").Total > 0 {
				r.refused(r.finish(DeploymentRolledBack), ErrTooEarly, "2 tasks of web/2")
				r.gone("web/2")
			}
			r.must(r.finish(DeploymentRolledBack))
			r.want("shares", r.shares(), "blue 100 %; test blue 100 %")
			if v := r.Service("web"); v.Good == "web/2" || r.StalledDeployment(v) != nil {
				t.Errorf("service %+v", v)
			}
			r.checked()
		})
	}
}

// A host that both revisions miss keeps neither of them from being what is left.
func TestATargetThatIsNoWorseThanBlueMayCleanUp(t *testing.T) {
	r := rolls(t, canary)
	r.to(StageBakeTime)
	r.reportTarget(1, "green-2-1", TargetUnhealthy)
	for v := range r.LiveTasksOfService("web") {
		if v.Revision == "web/1" && v.Host == hostID(1) {
			r.reportTarget(1, v.ID, TargetUnhealthy)
		}
	}
	r.wait(300_000)
	r.must(r.next())
	if d := r.live(); d.Stage != StageCleanUp || r.MayRollBack(d) {
		t.Errorf("it is at %s", d.Stage)
	}
}

func TestADeploymentKeepsSinceWhenItIsShort(t *testing.T) {
	r := rolls(t, canary)
	r.to(StageBakeTime)
	note := func(short bool) Time {
		d := r.live()
		r.must(NoteDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Short: &short})
		return r.live().ShortSince
	}
	since := note(true)
	if since != r.at {
		t.Fatalf("short since %s, now is %s", since, r.at)
	}
	r.wait(1000)
	index := r.live().ModifyIndex
	if again := note(true); again != since || r.live().ModifyIndex != index {
		t.Errorf("said again: since %s, was %s", again, since)
	}
	if ends := note(false); ends != 0 {
		t.Errorf("it is whole, short since %s", ends)
	}
}

func TestFailuresOfBeforeATargetWasWholeDoNotCountWhereTrafficIsShifted(t *testing.T) {
	r := rolls(t, canary)
	r.to(StageScaleUp)
	r.green()
	r.must(PutGoals{Service: "web", ServiceModifyIndex: r.Service("web").ModifyIndex, Max: 8,
		Revisions: []RevisionGoal{{Revision: "web/1", Desired: 2, Max: 2}, {Revision: "web/2", Desired: 2, Max: 3}}})
	r.must(CreateTasks{Revision: "web/2", Tasks: []TaskID{"early"}})
	r.must(AssignTasks{Host: hostID(3), Tasks: []TaskID{"early"}, Ports: [][]PortBinding{{
		{Container: "app", ContainerPort: 8080, HostPort: 50100, Protocol: TCP}}}})
	ended := stopped("early", 1)
	ended.StopCode = StopEssentialContainerExited
	r.report(3, ended)
	if n := r.BreakerFailures(r.live()); n != 1 {
		t.Fatalf("%d failures in SCALE_UP", n)
	}
	r.to(StagePostScaleUp)
	if n := r.BreakerFailures(r.live()); n != 0 {
		t.Errorf("%d failures after SCALE_UP", n)
	}
	ended = stopped("green-2-1", 1)
	ended.StopCode = StopEssentialContainerExited
	r.report(1, ended)
	if n := r.BreakerFailures(r.live()); n != 1 {
		t.Errorf("%d failures of one task that ended since", n)
	}
}

func TestARollbackWithoutARevisionToGoBackToFails(t *testing.T) {
	w := trafficOf(t, 2)
	w.must(balanced(2))
	r := rollout{w}
	r.must(r.back())
	d := r.LastDeployment("web")
	if d.Status != DeploymentRollbackFailed || !strings.Contains(d.Reason, "there is no revision to go back to") {
		t.Errorf("deployment %+v", d)
	}
	if r.StalledDeployment(r.Service("web")) != d {
		t.Error("it is not stalled")
	}
	r.checked()
}

func TestANewerDeploymentTakesOverAtEachStage(t *testing.T) {
	for _, stage := range Canary.Stages() {
		t.Run(stage.String(), func(t *testing.T) {
			r := rolls(t, canary)
			r.to(stage)
			r.deploy(canary)
			before, d := r.Deployment("web.2"), r.live()
			blue, status := "web/1", DeploymentStopped
			if stage == StageCleanUp {
				blue, status = "web/2", DeploymentSuccessful
			}
			if before.Status != status || !strings.Contains(before.Reason, "web.3") || d.ID != "web.3" ||
				d.Blue != RevisionID(blue) || r.Service("web").Revision != "web/3" {
				t.Errorf("before %+v, now %+v", before, d)
			}
			r.want("the newer is bound to", string(r.Revision("web/3").Groups[0].Group), "green")
			r.want("shares", strings.ReplaceAll(r.shares(), ", green 0 %", ""), "blue 100 %; test blue 100 %")
			r.checked()
			if stage != StageCleanUp {
				return
			}
			for _, id := range []TaskID{"green-2-1", "green-2-2"} {
				r.want(string(id)+" is in", string(r.task(id).Targets[0].Group), "blue")
			}
			if left := r.Targets("green"); len(left) != 2 || left[0].Revision != "web/1" || left[0].State != TargetHealthy {
				r.t.Errorf("old blue, which stops, is not in the alternate group: %+v", left)
			}
			r.gone("web/1")
			r.to(StageCleanUp)
			r.gone("web/2")
			r.must(r.finish(DeploymentSuccessful))
			r.want("shares", r.shares(), "blue 100 %; test blue 100 %")
			r.want("bound to", string(r.Revision("web/3").Groups[0].Group), "blue")
			r.checked()
		})
	}
}

func TestAServiceIsDeletedOrScaledAtEachStage(t *testing.T) {
	for _, stage := range Canary.Stages() {
		t.Run(stage.String(), func(t *testing.T) {
			r := rolls(t, canary)
			r.to(stage)
			r.must(ScaleService{Name: "web", Desired: 3})
			few := PutGoals{Service: "web", ServiceModifyIndex: r.Service("web").ModifyIndex, Max: 9,
				Revisions: []RevisionGoal{{Revision: "web/1", Desired: 2, Max: 2}, {Revision: "web/2", Desired: 3, Max: 3}}}
			if stage == StageCleanUp {
				r.must(few)
			} else {
				r.refused(few, ErrConflict, "goals of service web: 2 of web/1, which deployment web.2 may go back to with 3")
				few.Revisions[0] = RevisionGoal{Revision: "web/1", Desired: 3, Max: 3}
				r.must(few)
			}
			r.checked()
			r.must(DeleteService{Name: "web", Force: true})
			if d := r.Deployment("web.2"); d.Status != DeploymentStopped || d.Reason != "the service is deleted" {
				t.Errorf("deployment %+v", d)
			}
			r.want("shares", r.shares(), "blue 100 %; test blue 100 %")
			r.checked()
			r.gone("web/1")
			r.gone("web/2")
			if r.Service("web") != nil || r.Deployment("web.2") != nil || len(slices.Collect(r.AllDeployments())) > 0 {
				t.Error("something is left")
			}
			r.must(balanced(1))
			r.want("the next of that name", string(r.live().ID), "web.3")
			r.checked()
		})
	}
}

func TestARuleIsHeldWhileADeploymentShiftsIt(t *testing.T) {
	r := rolls(t, canary)
	for _, id := range []RuleID{"shop/default", "shop/test"} {
		rule := r.Rule(id)
		r.refused(SetWeights{Rule: id, ExpectedModifyIndex: rule.ModifyIndex,
			Weights: []GroupWeight{{"blue", 5000}, {"red", 5000}}}, ErrConflict, "deployment web.2 holds it")
		put := PutRule{ID: id, ExpectedModifyIndex: rule.ModifyIndex, Priority: rule.Priority, Conditions: rule.Conditions,
			Action: *forward("red", TotalWeight)}
		r.refused(put, ErrConflict, "skein deployment stop web.2")
		put.Action, put.TimeoutS = rule.Action, 9
		r.must(put)
	}
	r.must(OrderDeployment{ID: "web.2", Order: OrderStop})
	r.must(SetWeights{Rule: "shop/default", ExpectedModifyIndex: r.Rule("shop/default").ModifyIndex,
		Weights: []GroupWeight{{"blue", 5000}, {"red", 5000}}})
}

func TestWhatARuleGivesToOthersStaysWhileItsOwnShareIsShifted(t *testing.T) {
	r := rolls(t, DeploymentConfig{})
	r.must(SetWeights{Rule: "shop/default", ExpectedModifyIndex: r.Rule("shop/default").ModifyIndex,
		Weights: []GroupWeight{{"red", 4000}, {"blue", 5000}, {"green", 1000}}})
	r.deploy(canary)
	r.want("at first", r.shares(), "red 40 %, blue 60 %, green 0 %; test blue 100 %")
	r.to(StageProductionTrafficShift)
	r.want("canary", r.shares(), "red 40 %, blue 54 %, green 6 %; test blue 0 %, green 100 %")
	r.to(StageCleanUp)
	for _, id := range r.live().Sources {
		r.gone(id)
	}
	r.must(r.finish(DeploymentSuccessful))
	r.want("at last", r.shares(), "red 40 %, blue 60 %, green 0 %; test blue 100 %")
}

func TestEachRuleThatForwardsToTheGroupIsShiftedWhereNoneIsNamed(t *testing.T) {
	r := rolls(t, DeploymentConfig{})
	put := balanced(2)
	put.LoadBalancers[0].ProductionRule, put.LoadBalancers[0].TestRule = "", "shop/test"
	put.ExpectedModifyIndex, put.Deployment = r.Service("web").ModifyIndex, canary
	r.must(put)
	r.refused(PutRule{ID: "shop/more", Priority: 9, Conditions: host("more.example"),
		Action: *forward("blue", TotalWeight)}, ErrConflict, "create rule shop/more: deployment web.3 holds it")
	r.to(StageProductionTrafficShift)
	r.want("shares", r.shares(), "blue 90 %, green 10 %; test blue 0 %, green 100 %")
	r.want("api", shares(r.Rule("shop/api").Action.Forward.Groups), "blue 45 %, red 50 %, green 5 %")
}

func TestAServiceWithoutALoadBalancerGoesThroughAllStages(t *testing.T) {
	w := trafficOf(t, 2)
	w.service("api", 0)
	put := PutService{Name: "api", ExpectedModifyIndex: w.Service("api").ModifyIndex, TaskDef: "api:1", Force: true,
		MinPercent: 100, MaxPercent: 200, Deployment: DeploymentConfig{Strategy: Linear, StepShare: 3000}}
	w.must(put)
	for range 20 {
		d := w.LiveDeployment("api")
		stage, step, more := d.Next()
		if !more {
			break
		}
		c := AdvanceDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Stage: stage, Step: step,
			Production: d.Production, Test: d.Test}
		switch stage {
		case StageTestTrafficShift:
			c.Test = TotalWeight
		case StageProductionTrafficShift:
			c.Production = d.Config.StepTo(step)
		default:
		}
		w.must(c)
	}
	d := w.LiveDeployment("api")
	var shifts []string
	for _, r := range d.Stages {
		if r.Stage == StageProductionTrafficShift {
			shifts = append(shifts, share(d.Config.StepTo(r.Step)))
		}
	}
	if got := strings.Join(shifts, " "); got != "30 % 60 % 90 % 100 %" || d.Stage != StageCleanUp || d.WeightsIndex != 0 {
		t.Errorf("steps %s, deployment %+v", got, d)
	}
	w.must(FinishDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Status: DeploymentSuccessful})
	w.checked()
}

func TestOrdersOfPeople(t *testing.T) {
	order := func(o DeploymentOrder) OrderDeployment { return OrderDeployment{ID: "web.2", Order: o} }
	t.Run("promote gives all with the next shift, and waits no more", func(t *testing.T) {
		r := rolls(t, DeploymentConfig{Strategy: Linear, StepShare: 1000, StepBakeS: 600, BakeS: 600})
		r.to(StageProductionTrafficShift)
		r.served()
		r.refused(r.next(), ErrTooEarly, "waits until")
		r.must(order(OrderPromote))
		r.refused(order(OrderPromote), ErrConflict, "it was promoted")
		r.must(r.next())
		r.must(r.next())
		r.want("shares", r.shares(), "blue 0 %, green 100 %; test blue 0 %, green 100 %")
		r.served()
		before := r.at
		r.to(StageCleanUp)
		if r.at != before {
			t.Error("it waited")
		}
		r.checked()
	})
	t.Run("a pause holds until it is continued, and not a rollback", func(t *testing.T) {
		r := rolls(t, canary)
		r.refused(order(OrderContinue), ErrConflict, "it is not paused")
		r.must(order(OrderPause))
		r.refused(order(OrderPause), ErrConflict, "operator paused it")
		r.must(order(OrderContinue))
		r.must(r.next())
		r.must(order(OrderPause))
		r.must(r.back())
		r.refused(order(OrderPause), ErrConflict, "it goes back")
		r.checked()
	})
	t.Run("rollback says who asked", func(t *testing.T) {
		r := rolls(t, canary)
		if res := r.item(Item{Command: order(OrderRollback), By: "ada"}); res.Err != nil {
			t.Fatal(res.Err)
		}
		if back := r.live().Rollback; back.Reason != "by ada" || back.By != "ada" || back.Revision != "web/1" {
			t.Errorf("%+v", back)
		}
		r.refused(order(OrderRollback), ErrConflict, "goes back already")
	})
	t.Run("stop gives everything back to blue at once", func(t *testing.T) {
		r := rolls(t, canary)
		r.to(StageBakeTime)
		r.must(order(OrderStop))
		d := r.LastDeployment("web")
		r.want("shares", r.shares(), "blue 100 %; test blue 100 %")
		v := r.Service("web")
		if d.Status != DeploymentStopped || v.Revision != "web/1" || r.StalledDeployment(v) != nil {
			t.Errorf("%+v", d)
		}
		r.refused(order(OrderStop), ErrConflict, "it is STOPPED")
		r.checked()
	})
	t.Run("a rolling one that is stopped stays as it is", func(t *testing.T) {
		r := rolls(t, DeploymentConfig{})
		r.must(r.next())
		r.must(order(OrderStop))
		if d := r.StalledDeployment(r.Service("web")); d == nil || d.ID != "web.2" || r.Service("web").Revision != "web/2" {
			t.Errorf("%+v", d)
		}
		r.checked()
	})
	t.Run("nothing is asked of one that cleans up", func(t *testing.T) {
		r := rolls(t, canary)
		r.to(StageCleanUp)
		for _, o := range []DeploymentOrder{OrderPause, OrderPromote, OrderStop} {
			r.refused(order(o), ErrConflict, "cleaning up")
		}
		r.refused(r.finish(DeploymentStopped), ErrConflict, "cleaning up, web/2 has all traffic")
		for t := range r.LiveTasksOfService("web") {
			if t.Revision == "web/1" {
				r.must(StopTasks{Tasks: []TaskID{t.ID}, Cause: CauseRollout})
				break
			}
		}
		r.refused(order(OrderRollback), ErrConflict, "web/1 has not all its tasks any more")
	})
}

func TestDeploymentsAreKeptForNinetyDaysButForTheNewest(t *testing.T) {
	r := rolls(t, canary)
	r.must(OrderDeployment{ID: "web.2", Order: OrderStop})
	r.wait((91 * 24 * time.Hour).Milliseconds())
	r.must(timePasses(r.world))
	if !r.Prunable(r.at.Add(-2 * time.Hour)) {
		t.Error("nothing is said to be prunable")
	}
	r.must(Prune{Before: r.at.Add(-2 * time.Hour)})
	if r.Deployment("web.1") != nil || r.Deployment("web.2") == nil {
		t.Errorf("kept %v", slices.Collect(r.AllDeployments()))
	}
	r.checked()
	for range MaxServiceDeployments + 5 {
		r.deploy(DeploymentConfig{})
	}
	if n := len(slices.Collect(r.Deployments("web"))); n != MaxServiceDeployments {
		t.Errorf("%d are kept", n)
	}
	r.checked()
}

func TestWhereTheFleetHasTooManyDeploymentsTheNewestOfAServiceStays(t *testing.T) {
	r := rolls(t, DeploymentConfig{})
	r.service("api", 0)
	r.must(OrderDeployment{ID: "api.1", Order: OrderStop})
	if d := r.oldestReplaced(); d == nil || d.ID != "web.1" {
		t.Errorf("first goes %+v", d)
	}
	r.wait(1)
	r.must(OrderDeployment{ID: "web.2", Order: OrderStop})
	r.removeDeployment(&applyContext{out: &Outcome{}}, r.Deployment("web.1"))
	if d := r.oldestReplaced(); d != nil {
		t.Errorf("%s goes, though StalledDeployment is known by it", d.ID)
	}
}

// timePasses is a command that changes nothing of services but fleet time.
func timePasses(w *world) Command {
	return PutToken{ID: "late", TokenKind: TokenJoin, Hash: blob(32), Uses: 1, NotAfter: w.at + 3_600_000}
}

func TestDeadlinesOfADeploymentAreDue(t *testing.T) {
	r := rolls(t, canary)
	r.to(StageProductionTrafficShift)
	r.served()
	if due := r.NextDue(r.at); due != r.at+60_000 {
		t.Errorf("next is due in %s, the wait is 60 s", due.Sub(r.at))
	}
	for subject := range r.Due(r.at, r.at+60_000) {
		if subject != ServiceSubject("web") {
			t.Errorf("due is %s", subject)
		}
	}
	r.must(OrderDeployment{ID: "web.2", Order: OrderStop})
	if due := r.NextDue(r.at); due != 0 {
		t.Errorf("due in %s of one that ended", due.Sub(r.at))
	}
}
