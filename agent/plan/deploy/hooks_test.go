package deploy_test

import (
	"strings"
	"testing"

	"skein/agent/deployment"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

// What a hook's task gives back in its last line is handed to its next task, whichever way
// it is asked: both are told the stage that they are called at.
func TestTheTaskOfAHookIsToldWhereTheDeploymentStands(t *testing.T) {
	hosts := strings.Replace(threeHosts, "web desired=3", "def job\nweb desired=3", 1)
	r := &rollout{World: plantest.Parse(t, hosts), t: t,
		creates: map[fleet.RevisionID]int{}}
	r.play("expose web")
	r.play("live")
	r.play("deploy web strategy=BLUE_GREEN hook=smoke:task@POST_SCALE_UP+POST_PRODUCTION_TRAFFIC_SHIFT")
	told := func(stage fleet.LifecycleStage) map[string]string {
		t.Helper()
		r.play("live")
		d := r.State.LiveDeployment("web")
		if d == nil || d.Stage != stage || len(d.Hooks) == 0 {
			t.Fatalf("not at %s:\n%s", stage, r.play("deployments web"))
		}
		env := map[string]string{}
		for _, v := range r.State.Task(d.Hooks[len(d.Hooks)-1].Task).Overrides.Environment {
			env[v.Name] = v.Value
		}
		if env[deployment.EnvStage] != stage.String() || env[deployment.EnvService] != "web" {
			t.Errorf("at %s it is told %v", stage, env)
		}
		return env
	}
	if got := told(fleet.StagePostScaleUp)[deployment.EnvDetails]; got != "{}" {
		t.Errorf("the first is told %s", got)
	}
	run := r.State.LiveDeployment("web").Hooks[0]
	r.play("obey " + string(run.Task) + "=done")
	r.play("live")
	r.play("answer " + run.ID + ` tail checked {"hookDetails":{"run":7}}`)
	if got := told(fleet.StagePostProductionTrafficShift)[deployment.EnvDetails]; got != `{"run":7}` {
		t.Errorf("the next is told %s", got)
	}
}
