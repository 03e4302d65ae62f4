package deploy_test

import (
	"strings"
	"testing"

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
