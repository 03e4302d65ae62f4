package deploy_test

import (
	"strings"
	"testing"

	"skein/raftfsm/fleet"
)

// A version whose tasks are all gone answers nothing; what its clients get instead counts
// against it, and nothing of that is ever a success.
func TestRequestsThatFindNoTaskOfTheTargetAreItsFailures(t *testing.T) {
	const shares = "analysis=5/50"
	tests := map[string]struct {
		until   fleet.LifecycleStage
		words   string
		traffic string
		want    string // the status of the alarm; empty: none yet
	}{
		"all of them": {fleet.StageProductionTrafficShift, shares, "unserved:web/3 60 60 web/2 500 1", "ALARM"},
		"a share above the bound": {fleet.StageProductionTrafficShift, shares,
			"web/3 90 0 unserved:web/3 10 10 web/2 500 1", "ALARM"},
		"a share within the bound": {fleet.StageProductionTrafficShift, shares,
			"web/3 97 0 unserved:web/3 3 3 web/2 500 1", "OK"},
		"too few of them": {fleet.StageProductionTrafficShift, shares, "unserved:web/3 40 40 web/2 500 1",
			"INSUFFICIENT_DATA"},
		"as many of blue's: no success for all that": {fleet.StageProductionTrafficShift, shares,
			"unserved:web/3 60 60 unserved:web/2 500 500", "INSUFFICIENT_DATA"},
		"where only latency is looked at": {fleet.StageProductionTrafficShift, "analysis=p99:100/50",
			"unserved:web/3 60 60 web/2 500 1", "INSUFFICIENT_DATA"},
		"blue's are not the target's": {fleet.StageProductionTrafficShift, shares,
			"web/3 60 0 unserved:web/2 500 500", "OK"},
		"before it is scaled up nobody expects it": {fleet.StageScaleUp, shares, "unserved:web/3 60 60 web/2 500 1",
			"INSUFFICIENT_DATA"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := begin(t, true, "strategy=CANARY canary=10 every=10m bake=5m "+tt.words)
			if !r.until(tt.until) {
				t.Fatal(r.play("deployments web"))
			}
			r.play("wait 30s")
			r.play("traffic " + tt.traffic)
			id := r.State.LiveDeployment("web").ID
			r.play("plan")
			d := r.State.Deployment(id)
			if got := d.Alarms[0].Status.String(); !strings.EqualFold(got, tt.want) {
				t.Errorf("the alarm says %s (%s), want %s", got, d.Alarms[0].Answer, tt.want)
			}
		})
	}
}
