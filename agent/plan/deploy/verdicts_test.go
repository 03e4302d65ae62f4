package deploy_test

import (
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// hooked begins a deployment of a service beside which there is a definition for the tasks
// of hooks.
func hooked(t *testing.T, words string) *rollout {
	t.Helper()
	hosts := threeHosts[:strings.LastIndex(threeHosts, "\n")]
	r := beginIn(t, hosts+"\nh4 zone=a reads=2 cpu=8000 mem=9000:\ndef job\nleader format=2")
	r.play("expose web")
	r.play("live")
	r.play("deploy web " + words)
	return r
}

// However much a hook says, its verdict is heard.
func TestADeploymentRollsBackHoweverLongTheReasonIs(t *testing.T) {
	long := strings.Repeat("at.com.example.Main|", 75)
	t.Run("a task of a hook that fails with a long trace", func(t *testing.T) {
		r := hooked(t, "strategy=CANARY canary=10 every=1m bake=5m hook=smoke:task@BAKE_TIME")
		if !r.until(fleet.StageBakeTime) {
			t.Fatal(r.play("deployments web"))
		}
		r.play("live")
		run := r.State.LiveDeployment("web").Hooks[0]
		r.play("obey " + string(run.Task) + "=fails")
		r.play("plan")
		r.play("answer " + run.ID + " tail " + long)
		r.end()
		r.rolledBack("web.2", "hook smoke failed at BAKE_TIME: exit code 1: at.com.example.Main|")
	})
	t.Run("a task that says much when it ends", func(t *testing.T) {
		r := begin(t, false, "strategy=ROLLING bake=5m breaker=1")
		r.until(fleet.StageScaleUp)
		r.play("plan")
		for task := range r.State.LiveTasksOfService("web") {
			if task.Revision == r.State.LiveDeployment("web").Target {
				code := 1
				r.Report(task.Host, fleet.TaskReport{Task: task.ID, Status: fleet.TaskStopped, Attempt: 1,
					StopCode: fleet.StopEssentialContainerExited, Reason: long + "\n" + long,
					Exits: []fleet.ContainerExit{{Container: "app", Code: &code}}})
				break
			}
		}
		r.end()
		r.rolledBack("web.1", "circuit breaker: 1 tasks of web/2 failed in a row")
	})
}

// rolledBack checks that a deployment went back, and why.
func (r *rollout) rolledBack(id fleet.DeploymentID, why string) {
	r.t.Helper()
	d := r.State.Deployment(id)
	if d.Status != fleet.DeploymentRolledBack || !strings.HasPrefix(d.Reason, why) {
		r.t.Fatalf("%s is %s: %s; want %s:\n%s", id, d.Status, d.Reason, why, r.play("deployments web"))
	}
	r.atRest()
}

func TestAProbeThatIsToAskTooMuchFailsTheDeployment(t *testing.T) {
	r := begin(t, true, "strategy=BLUE_GREEN bake=5m")
	r.end()
	old := r.State.Rule("web/test")
	rule := fleet.PutRule{ID: old.ID, ExpectedModifyIndex: old.ModifyIndex, Priority: old.Priority, Action: old.Action}
	for i := range fleet.MaxConditionsRule {
		rule.Conditions = append(rule.Conditions, fleet.RuleCondition{Field: fleet.FieldHeader,
			Name: "x-test-" + string(rune('a'+i)), Values: []string{strings.Repeat("v", 128)}})
	}
	r.Do(rule)
	v := r.State.Service("web")
	put := fleet.PutService{Name: v.Name, ExpectedModifyIndex: v.ModifyIndex, TaskDef: r.State.LatestTaskDef("web").ID,
		Desired: v.Desired, MinPercent: v.MinPercent, MaxPercent: v.MaxPercent, LoadBalancers: v.LoadBalancers, Force: true,
		Deployment: v.Deployment}
	put.Deployment.Probe = &fleet.Probe{Path: "/" + strings.Repeat("p", 2_000), Count: 5,
		Contains: strings.Repeat("c", 1_000)}
	r.Do(put)
	r.end()
	r.rolledBack("web.3", "hook probe cannot be called at POST_TEST_TRAFFIC_SHIFT: what it is asked has")
}

// fates has tasks of the target meet a fate, as many as are named, while no other task
// finds a host.
func (r *rollout) fates(fate string, count int) {
	r.t.Helper()
	for _, host := range []string{"h1", "h2", "h3"} {
		r.play("cordon " + host)
	}
	step := "obey"
	for task := range r.State.LiveTasksOfService("web") {
		if task.Revision == r.State.LiveDeployment("web").Target && count > 0 {
			step, count = step+" "+string(task.ID)+"="+fate, count-1
		}
	}
	r.play(step)
}

// Nobody waits for the end of a bake while the target, which has all traffic, is not there.
func TestATargetThatFallsAfterTheShiftIsRolledBack(t *testing.T) {
	const config = "strategy=BLUE_GREEN bake=20m progress=10m"
	for name, c := range map[string]struct {
		at     fleet.LifecycleStage
		desire string
		fails  int
		within time.Duration
		why    string
	}{
		"all of it fails": {fleet.StageBakeTime, "3", 3, 0,
			"circuit breaker: 3 tasks of web/4 failed in a row, last: task "},
		"its only task fails": {fleet.StageBakeTime, "1", 1, 10 * time.Second,
			"0 of 1 tasks of web/4 are healthy, too few since "},
		"one of three fails": {fleet.StageBakeTime, "3", 1, 10 * time.Minute,
			"2 of 3 tasks of web/4 are healthy, too few since "},
		"it fails before it has traffic": {fleet.StagePostScaleUp, "3", 3, 0,
			"circuit breaker: 3 tasks of web/4 failed in a row"},
		"it fails when clean-up has begun": {fleet.StageCleanUp, "3", 3, 0,
			"circuit breaker: 3 tasks of web/4 failed in a row"},
		"one of it fails as clean-up begins": {fleet.StageCleanUp, "3", 1, 10 * time.Minute,
			"2 of 3 tasks of web/4 are healthy"},
		"its only task fails during clean-up": {fleet.StageCleanUp, "1", 1, 10 * time.Second,
			"0 of 1 tasks of web/4 are healthy"},
	} {
		t.Run(name, func(t *testing.T) {
			r := begin(t, true, "strategy=ROLLING")
			r.end()
			r.play("scale web " + c.desire)
			r.end()
			r.play("deploy web " + config)
			if !r.until(c.at) {
				t.Fatal(r.play("deployments web"))
			}
			began := r.Now
			clear(r.creates)
			r.fates("fails", c.fails)
			for r.State.LastDeployment("web").Rollback == nil && r.Now.Sub(began) <= c.within {
				r.play("plan")
				r.play("plan")
				r.play("obey")
				r.play("wait 5s")
			}
			d := r.State.LastDeployment("web")
			if d.Rollback == nil || r.Now.Sub(began) < c.within || !strings.HasPrefix(d.Reason, c.why) {
				t.Fatalf("after %s:\n%s", r.Now.Sub(began), r.play("deployments web"))
			}
			if n := r.creates[d.Blue]; n > 0 {
				t.Errorf("%d tasks of blue were started", n)
			}
			for _, host := range []string{"h1", "h2", "h3"} {
				r.play("uncordon " + host)
			}
			r.end()
			r.rolledBack(d.ID, c.why)
		})
	}
}

// A version that was rolled back serves nobody: it goes though the version before cannot
// start, so that a third one, which mends both, is not kept waiting.
func TestAFixIsNotKeptWaitingByAVersionBeforeThatCannotStart(t *testing.T) {
	r := begin(t, true, "strategy=BLUE_GREEN")
	r.end()
	r.play("deploy web strategy=BLUE_GREEN bake=20m")
	if !r.until(fleet.StageBakeTime) {
		t.Fatal(r.play("deployments web"))
	}
	r.shaken = true
	for _, host := range []string{"h1", "h2", "h3"} {
		r.play("cordon " + host)
	}
	bad := r.State.LiveDeployment("web").Target
	step := "obey"
	for task := range r.State.LiveTasksOfService("web") {
		if task.Revision != bad {
			step += " " + string(task.ID) + "=fails"
		}
	}
	r.play(step)
	r.play("order web rollback")
	for range 3 {
		r.play("live")
		r.play("wait 10s")
	}
	if n := r.State.Counts("web", bad).Total; n > 0 {
		t.Fatalf("%d tasks of %s wait for blue:\n%s%s", n, bad, r.play("deployments web"), r.play("status"))
	}
	r.play("deploy web strategy=BLUE_GREEN")
	for _, host := range []string{"h1", "h2", "h3"} {
		r.play("uncordon " + host)
	}
	r.end()
	r.atRest()
}

// What was scaled to nothing has no version that fails.
func TestTheBreakerOfAServiceWithoutTasksDoesNotTrip(t *testing.T) {
	for _, config := range []string{"strategy=BLUE_GREEN bake=20m", "strategy=ROLLING bake=20m breaker=1"} {
		t.Run(config, func(t *testing.T) {
			r := begin(t, true, "strategy=ROLLING")
			r.end()
			r.play("deploy web " + config)
			if !r.until(fleet.StageBakeTime) {
				t.Fatal(r.play("deployments web"))
			}
			r.fates("fails", 1)
			r.play("scale web 0")
			r.end()
			if got := r.State.LastDeployment("web"); got.Status != fleet.DeploymentSuccessful {
				t.Errorf("it is %s: %s\n%s", got.Status, got.Reason, r.play("deployments web"))
			}
		})
	}
}

// A host that both revisions miss is no fault of the new one.
func TestABakeEndsThoughAHostIsMissing(t *testing.T) {
	for _, strategy := range []string{"ROLLING", "BLUE_GREEN"} {
		t.Run(strategy, func(t *testing.T) {
			r := begin(t, false, "strategy=ROLLING")
			r.end()
			r.shaken = true
			r.play("deploy web bake=5m progress=1m strategy=" + strategy + " bake=5m progress=1m")
			if !r.until(fleet.StageBakeTime) {
				t.Fatal(r.play("deployments web"))
			}
			for _, host := range []string{"h2", "h3"} {
				r.play("cordon " + host)
			}
			r.play("see h1 silent 40s")
			for range 20 {
				r.play("live")
				r.play("wait 1m")
			}
			if d := r.State.LastDeployment("web"); d.Rollback != nil || d.Stage != fleet.StageCleanUp {
				t.Fatalf("it does not clean up:\n%s", r.play("deployments web"))
			}
			r.play("uncordon h2") // what stops makes room
			r.end()
			if got := r.outcome("web.2"); got != fleet.DeploymentSuccessful {
				t.Errorf("it is %s:\n%s", got, r.play("deployments web"))
			}
		})
	}
}

// Requests for which a group has no target are errors of the revision that has the group.
func TestRequestsThatFindNoTargetAreErrorsOfTheRevisionThatHasTheGroup(t *testing.T) {
	r := begin(t, true, "strategy=ROLLING")
	r.end()
	r.play("deploy web strategy=BLUE_GREEN bake=1h analysis=5/10")
	if !r.until(fleet.StageBakeTime) {
		t.Fatal(r.play("deployments web"))
	}
	r.play("wait 2m")
	unserved := func(group fleet.TargetGroupName) {
		r.Traffic = plan.Traffic{At: time.Hour, Groups: map[fleet.TargetGroupName]plan.GroupTraffic{
			group: {Watched: time.Minute, Points: []plan.TrafficPoint{{At: time.Hour - time.Minute, Hosts: 1},
				{At: time.Hour, Hosts: 1, Revisions: map[fleet.RevisionID]fleet.TrafficCounts{
					"": {Requests: 50, Errors: 50}}}}},
		}}
		r.play("live")
	}
	unserved("web-blue")
	if d := r.State.LiveDeployment("web"); d.Status != fleet.DeploymentInProgress {
		t.Fatalf("what blue could not serve is held against green: %s", d.Reason)
	}
	unserved("web-green")
	d := r.State.LastDeployment("web")
	if d.Rollback == nil || !strings.HasPrefix(d.Reason, "web/4 is worse than before: 100.0 % errors") {
		t.Errorf("what green could not serve is not counted:\n%s", r.play("deployments web"))
	}
}

// A service that is first deployed is not blamed for requests of before it was there.
func TestRequestsOfBeforeARevisionWasWholeAreNotItsErrors(t *testing.T) {
	r := begin(t, true, "strategy=ROLLING bake=1h analysis=5/10")
	r.Traffic = plan.Traffic{At: time.Hour, Groups: map[fleet.TargetGroupName]plan.GroupTraffic{
		"web-blue": {Watched: time.Minute, Points: []plan.TrafficPoint{{At: time.Hour - 2*time.Second, Hosts: 1},
			{At: time.Hour, Hosts: 1, Revisions: map[fleet.RevisionID]fleet.TrafficCounts{
				"": {Requests: 50, Errors: 50}}}}},
	}}
	r.until(fleet.StageBakeTime)
	r.play("wait 1s")
	r.play("live")
	if d := r.State.LiveDeployment("web"); d == nil || d.Status != fleet.DeploymentInProgress {
		t.Errorf("it does not go on:\n%s", r.play("deployments web"))
	}
}

// A version that is whole has made its progress, however long tasks of before take to leave.
func TestTasksOfBeforeMayTakeLongerToStopThanProgressMay(t *testing.T) {
	r := begin(t, false, "strategy=ROLLING progress=10m")
	r.until(fleet.StageScaleUp)
	r.play("plan")
	r.play("obey")
	r.play("see h1 refused 1s") // it stops nothing meanwhile
	for range 30 {
		r.play("plan")
		r.play("obey")
		r.play("wait 1m")
	}
	d := r.State.LiveDeployment("web")
	if d == nil || d.Status != fleet.DeploymentInProgress || d.Stage != fleet.StageScaleUp ||
		r.State.Counts("web", d.Target).Serving != 3 || r.State.Counts("web", "web/1").Stopping != 1 {
		t.Fatalf("it should wait for the last task of before:\n%s%s", r.play("deployments web"), r.play("status"))
	}
	r.play("see h1 alive 1s")
	r.play("obey")
	r.end()
	if got := r.outcome(d.ID); got != fleet.DeploymentSuccessful {
		t.Errorf("it is %s:\n%s", got, r.play("deployments web"))
	}
	r.atRest()
}

// Tasks that come and go are no progress.
func TestACrashLoopIsNoProgress(t *testing.T) {
	r := begin(t, false, "strategy=ROLLING")
	r.end()
	r.play("deploy web strategy=BLUE_GREEN progress=10m")
	r.until(fleet.StageScaleUp)
	for range 120 {
		r.play("plan")
		step := "obey"
		fails := true // one of each kind, in turn
		for task := range r.State.LiveTasksOfService("web") {
			if task.Revision == "web/3" && task.Host != "" && task.Desired == fleet.TaskRunning {
				if fails = !fails; fails || task.Last == fleet.TaskRunning {
					step += " " + string(task.ID) + "=fails"
				}
			}
		}
		r.play(step)
		r.play("wait 30s")
		if d := r.State.LiveDeployment("web"); d == nil || d.Status != fleet.DeploymentInProgress {
			break
		}
	}
	if d := r.State.LastDeployment("web"); d.Rollback == nil ||
		!strings.HasPrefix(
			d.Reason,
			"no task of web/3 became healthy for 10m0s",
		) || !strings.Contains(d.Reason, "last: task") {
		t.Errorf("it goes on:\n%s", r.play("deployments web"))
	}
}

// What ends a task of a hook from outside is no verdict of it.
func TestATaskOfAHookThatWasStoppedIsCalledAgain(t *testing.T) {
	for cause, again := range map[fleet.Cause]bool{
		fleet.CauseDrain: true, fleet.CauseScaleIn: true, fleet.CauseOperator: false,
	} {
		t.Run(cause.String(), func(t *testing.T) {
			r := hooked(t, "strategy=BLUE_GREEN bake=5m hook=smoke:task@POST_SCALE_UP")
			if !r.until(fleet.StagePostScaleUp) {
				t.Fatal(r.play("deployments web"))
			}
			r.play("live")
			run := r.State.LiveDeployment("web").Hooks[0]
			r.Do(fleet.StopTasks{Tasks: []fleet.TaskID{run.Task}, Cause: cause, Reason: "test"})
			code := 143
			r.Report(r.State.Task(run.Task).Host, fleet.TaskReport{Task: run.Task, Status: fleet.TaskStopped, Attempt: 1,
				StopCode: fleet.StopEssentialContainerExited, Exits: []fleet.ContainerExit{{Container: "app", Code: &code}}})
			r.play("plan")
			d := r.State.LiveDeployment("web")
			if now := d.Hooks[0]; (now.Calls == 2 && now.Task != run.Task && now.Open()) != again {
				t.Fatalf("the call is %+v", now)
			}
			if again {
				r.play("plan")
				r.play("obey " + string(d.Hooks[0].Task) + "=done")
				r.play("plan")
				r.play("answer " + run.ID + " tail well")
				r.end()
				if got := r.outcome(d.ID); got != fleet.DeploymentSuccessful {
					t.Errorf("it is %s:\n%s", got, r.play("deployments web"))
				}
			}
		})
	}
}
