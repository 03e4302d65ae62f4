package service

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/plan/placement"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

// The sums that State keeps and a look at every task give the same numbers, of
// tasks of all ages, checked or not, on hosts that are silent or have restarted,
// at State.Now and later.
func TestSumsCountAsALookAtEveryTaskDoes(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := plantest.Parse(t, `
			h1 zone=a:
			h2 zone=b:
			h3 zone=c:
			web desired=6 check grace=60s
			job desired=6
		`)
		for step := range 60 {
			randomStep(w, r)
			for service := range w.State.Services() {
				for _, later := range []time.Duration{0, time.Second, fleet.HealthySettle, 2 * time.Minute} {
					now := w.Now.Add(later)
					n, all := inputsOf(w.State, service, now), sorted(w.State, service, now)
					current := taskCounts{
						pending:   len(all.tasks[kindUnplaced]) + len(all.tasks[kindPending]),
						starting:  len(all.tasks[kindStarting]),
						healthy:   len(all.tasks[kindHealthy]),
						unhealthy: len(all.tasks[kindUnhealthy]),
					}
					old := taskCounts{len(all.tasks[oldPending]), len(all.tasks[oldStarting]), len(all.tasks[oldHealthy]), len(all.tasks[oldUnhealthy])}
					if n.current != current || n.old != old {
						t.Fatalf("seed %d, step %d: %s %s later: sums %+v, %+v; tasks %+v, %+v", seed, step, service.Name, later, n.current, n.old, current, old)
					}
				}
			}
		}
	}
}

// randomStep lets one thing happen to the fleet.
func randomStep(w *plantest.World, r *rand.Rand) {
	hosts := []fleet.HostID{"h1", "h2", "h3"}
	name := []string{"web", "job"}[r.IntN(2)]
	v := w.State.Service(name)
	switch r.IntN(8) {
	case 0, 1:
		w.Wait([]time.Duration{time.Second, 15 * time.Second, time.Minute}[r.IntN(3)])
	case 2, 3:
		for _, next := range []func(plan.Input) plan.Plan{Next, placement.Next} {
			w.Apply(next(w.Input()).Items...)
		}
	case 4:
		w.Obey()
	case 5:
		var fates []string
		for t := range w.State.LiveTasksOfService(name) {
			fates = append(fates, fmt.Sprintf("%s=%s", t.ID, []string{"unhealthy", "starting", "fails"}[r.IntN(3)]))
		}
		w.Obey(fates[:min(len(fates), 3)]...)
	case 6:
		host := w.State.Host(hosts[r.IntN(3)])
		if host.State == fleet.HostReady {
			w.Do(fleet.SilenceHost{Host: host.ID, Session: host.Session.N})
		} else {
			w.Do(fleet.ReturnHost{Host: host.ID, Session: host.Session.N})
		}
	default:
		w.Do(fleet.PutService{Name: name, ExpectedModifyIndex: v.ModifyIndex, TaskDef: fleet.MakeTaskDefID(name, 1), Desired: 2 + r.IntN(8),
			MinPercent: v.MinPercent, MaxPercent: v.MaxPercent, GraceS: 30 * r.IntN(3), Force: r.IntN(2) == 0})
	}
}
