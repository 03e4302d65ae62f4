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
					goals := someGoals(w.State, service, r)
					n, all := inputsOf(w.State, service, goals, now), sorted(w.State, service, goals, now)
					var current, old taskCounts
					for i := range goals.Revisions {
						of := func(k kind) int { return all.groups[all.group(i, k)].tasks }
						counted := taskCounts{pending: of(kindUnplaced) + of(kindPending), starting: of(kindStarting),
							healthy: of(kindHealthy), unhealthy: of(kindUnhealthy)}
						if n.revisions[i].current != counted {
							t.Fatalf("seed %d, step %d: %s %s later: sums %+v, tasks %+v",
								seed, step, service.Name, later, n.revisions[i], counted)
						}
						moving := taskCounts{of(oldPending), of(oldStarting), of(oldHealthy), of(oldUnhealthy)}
						if n.revisions[i].moving != moving {
							t.Fatalf("seed %d, step %d: %s %s later: sums %+v, to be replaced are %+v",
								seed, step, service.Name, later, n.revisions[i], moving)
						}
						current, old = current.plus(counted), old.plus(moving)
					}
					of := func(k kind) int { return all.groups[all.group(all.leftover(), k)].tasks }
					old = old.plus(taskCounts{of(oldPending), of(oldStarting), of(oldHealthy), of(oldUnhealthy)})
					if n.current != current || n.old != old {
						t.Fatalf("seed %d, step %d: %s %s later: sums %+v, %+v; tasks %+v, %+v", seed, step, service.Name, later,
							n.current, n.old, current, old)
					}
				}
			}
		}
	}
}

// someGoals are of the newest revision alone, or of a few.
func someGoals(s *fleet.State, service *fleet.Service, r *rand.Rand) *fleet.Goals {
	g := &fleet.Goals{Service: service.Name}
	for revision := range s.Revisions(service.Name) {
		if revision.ID == service.Revision || r.IntN(3) == 0 {
			g.Revisions = append(g.Revisions, fleet.RevisionGoal{Revision: revision.ID})
		}
	}
	return g
}

// randomStep lets one thing happen to the fleet.
func randomStep(w *plantest.World, r *rand.Rand) {
	hosts := []fleet.HostID{"h1", "h2", "h3"}
	name := []string{"web", "job"}[r.IntN(2)]
	v := w.State.Service(name)
	switch r.IntN(9) {
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
	case 7:
		for t := range w.State.LiveTasksOfService(name) {
			if r.IntN(3) == 0 {
				w.Do(fleet.ReplaceTasks{Tasks: []fleet.TaskID{t.ID}, Cause: []fleet.Cause{0, fleet.CauseDrain}[r.IntN(2)]})
			}
		}
	default:
		w.Do(fleet.PutService{Name: name, ExpectedModifyIndex: v.ModifyIndex, TaskDef: fleet.MakeTaskDefID(name, 1),
			Desired:    2 + r.IntN(8),
			MinPercent: v.MinPercent, MaxPercent: v.MaxPercent, GraceS: 30 * r.IntN(3), Force: r.IntN(2) == 0})
	}
}
