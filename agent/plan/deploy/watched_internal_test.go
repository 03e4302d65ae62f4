package deploy

import (
	"fmt"
	"strings"
	"testing"

	"skein/agent/plan"
	"skein/agent/plan/plantest"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

// A leader hears of so many groups, by name; a deployment beyond them must not be said to have
// few requests.
func TestADeploymentWhoseGroupsAreTooManyToBeWatchedSaysSo(t *testing.T) {
	w := plantest.Parse(t, "web desired=1 dynamic check\nh1 zone=a reads=2: web/1 running healthy\nleader format=2")
	w.Play("expose web", Next, service.Next)
	w.Play("live", Next, service.Next)
	w.Play("deploy web strategy=CANARY canary=10 analysis=5/50", Next, service.Next)
	for range 8 {
		w.Play("plan", Next, service.Next)
	}
	d := w.State.LiveDeployment("web")
	if d == nil || len(watches(w.State, d)) == 0 {
		t.Fatalf("nothing is watched of %+v", d)
	}
	for _, tt := range []struct {
		others string
		count  int
		beyond bool
	}{{"a", plan.MaxWatched, true}, {"a", plan.MaxWatched - 2, false}, {"z", plan.MaxWatched, false}} {
		p := planner{in: w.Input()}
		p.out.Watch = watches(w.State, d)
		for i := range tt.count {
			p.out.Watch = append(p.out.Watch, fleet.TargetGroupName(fmt.Sprint(tt.others, i)))
		}
		n := p.gather(d, w.State.Service("web"))
		if said := strings.Contains(n.whyUncounted(), "are to be watched"); said != tt.beyond {
			t.Errorf("beside %d groups like %s0: %s", tt.count, tt.others, n.whyUncounted())
		}
	}
}
