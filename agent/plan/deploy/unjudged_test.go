package deploy_test

import (
	"testing"

	"skein/raftfsm/fleet"
)

// Nothing waits for an alarm without data, and a success says that it was not judged by it.
func TestASuccessSaysWhatDidNotJudgeIt(t *testing.T) {
	r := begin(t, true, "strategy=ROLLING")
	r.end()
	r.play("deploy web strategy=BLUE_GREEN bake=1m analysis=5/10")
	r.end()
	d := r.State.LastDeployment("web")
	const want = "web/4 serves alone; not judged, for want of data, by ingress"
	if d.Status != fleet.DeploymentSuccessful || d.Reason != want {
		t.Errorf("%s is %s: %s", d.ID, d.Status, d.Reason)
	}
}

func TestWhyTrafficIsNotJudgedIsSaid(t *testing.T) {
	tests := map[string]struct {
		step, want string
	}{
		"nobody counts": {"plan", "no host was heard to count requests to web/3"},
		"few come":      {"traffic web/3 5 0 web/2 5 0", "fewer than 50 requests to web/3 in 60 s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := begin(t, true, "strategy=CANARY canary=10 every=10m bake=5m analysis=5/50")
			if !r.until(fleet.StageProductionTrafficShift) {
				t.Fatal(r.play("deployments web"))
			}
			r.play("wait 30s")
			r.play(tt.step)
			r.play("plan")
			if a := r.State.LiveDeployment("web").Alarms[0]; a.Status != fleet.AlarmInsufficientData || a.Answer != tt.want {
				t.Errorf("the alarm says %s: %s", a.Status, a.Answer)
			}
		})
	}
}
