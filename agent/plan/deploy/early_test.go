package deploy

import (
	"testing"

	"skein/raftfsm/fleet"
)

// Early success is the healthy percent of what is desired, rounded up, and at least one
// task. BLOCKING waits for the tasks of before in the end, DEFERRED does not.
func TestEarlySuccessNeedsItsShareOfHealthyTasks(t *testing.T) {
	for _, c := range []struct{ desired, percent, need int }{
		{1, 1, 1}, {1, 50, 1}, {3, 50, 2}, {4, 50, 2}, {7, 34, 3}, {10, 25, 3}, {4, 100, 4}, {200, 1, 2}, {0, 50, 0},
	} {
		for _, deferred := range []bool{false, true} {
			n := &inputs{service: &fleet.Service{Desired: c.desired}, blue: revision{id: "web/1"}, target: revision{id: "web/2"},
				deployment: &fleet.Deployment{ID: "web.2", Blue: "web/1", Config: fleet.DeploymentConfig{Strategy: fleet.Rolling,
					EarlySuccess: &fleet.EarlySuccess{HealthyPercent: c.percent, Deferred: deferred}}}}
			n.blue.Total = 1
			for n.target.Serving = 0; n.target.Serving <= c.desired; n.target.Serving++ {
				_, w := scaledUp(n)
				if enough := n.target.Serving >= c.need; enough != (w == nil) {
					t.Errorf("%d %% of %d with %d healthy: it waits for %+v", c.percent, c.desired, n.target.Serving, w)
				}
			}
			if _, w := cleanedUp(n); deferred != (w == nil) {
				t.Errorf("deferred %v, a task of before is left: it waits for %+v", deferred, w)
			}
		}
	}
}

// A share of traffic is borne by that share of the desired tasks, rounded up; the first of
// all, test or production, by all of them. What was given needs none: it is never taken
// back because a task restarts.
func TestTrafficRisesOnlyAsFarAsHealthyTasksBearIt(t *testing.T) {
	for desired := range 8 {
		for had := 0; had <= fleet.TotalWeight; had += 1250 {
			for to := 0; to <= fleet.TotalWeight; to += 625 {
				for _, test := range []int{0, fleet.TotalWeight} {
					need := 0
					switch {
					case to <= had && test == 0: // nothing rises
					case had == 0:
						need = desired
					default:
						for need*fleet.TotalWeight < desired*to {
							need++
						}
					}
					for serving := range desired + 1 {
						n := &inputs{service: &fleet.Service{Desired: desired}, target: revision{id: "web/2"},
							deployment: &fleet.Deployment{ID: "web.2", Production: had}}
						n.target.Serving = serving
						w := n.bears(max(had, to), test)
						if test != 0 && to <= had && had > 0 {
							continue // test traffic comes before production
						}
						if borne := serving >= need; borne != (w == nil) {
							t.Fatalf("%d desired, %d healthy, production %d to %d, test %d: it waits for %+v", desired, serving, had,
								to, test, w)
						}
					}
				}
			}
		}
	}
}
