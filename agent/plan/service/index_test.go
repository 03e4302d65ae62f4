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

// What is kept between passes gives the plans of a look at every task, whatever
// happens in between, whether what was planned commits or not, and though an earlier
// planner of the same pass did what never commits.
func TestAKeptIndexPlansAsAFreshOne(t *testing.T) {
	reused := 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 5))
		w := plantest.Parse(t, `
			h1 zone=a:
			h2 zone=b:
			h3 zone=a:
			h4 zone=a:
			h5 zone=b:
			web desired=9 check grace=60s
			job desired=9
		`)
		index := &Index{least: 1}
		scope := plan.Scope{Full: true}
		for step := range 60 {
			in := scoped(w.Input(), w.State, scope, step)
			if r.IntN(4) == 0 {
				in = withUncommitted(in, r)
			}
			before := len(index.kept)
			got, want := index.Next(in), Next(scoped(in, in.State, in.Scope, step))
			if plantest.Text(got) != plantest.Text(want) {
				t.Fatalf("seed %d, step %d:\n  kept: %s\n fresh: %s", seed, step, plantest.Text(got), plantest.Text(want))
			}
			if before > 0 && len(index.kept) > 0 && !in.Scope.Full {
				reused++
			}
			if in.State == w.State && r.IntN(3) > 0 {
				w.Apply(got.Items...)
				if r.IntN(2) == 0 {
					w.Apply(placement.Next(w.Input()).Items...)
				}
			}
			for range r.IntN(3) {
				randomStep(w, r)
			}
			if r.IntN(3) == 0 {
				changeGrace(w, r)
			}
			scope = plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.ServiceSubject("job"), fleet.ServiceSubject("web"))}
			scope.Merge(w.TakeChanged())
		}
	}
	if reused < 1000 {
		t.Errorf("what was kept was used in %d passes", reused)
	}
}

// changeGrace changes nothing else of a service, so that its tasks stay of its revision.
func changeGrace(w *plantest.World, r *rand.Rand) {
	v := w.State.Service("web")
	w.Do(fleet.PutService{Name: v.Name, ExpectedModifyIndex: v.ModifyIndex, TaskDef: "web:1", Desired: v.Desired,
		MinPercent: v.MinPercent, MaxPercent: v.MaxPercent, GraceS: 30 * r.IntN(4)})
}

// scoped is an input over a State with a scope of its own, and ids of its own.
func scoped(in plan.Input, s *fleet.State, scope plan.Scope, step int) plan.Input {
	ids := 0
	in.State, in.Scope = s, scope
	in.NewID = func() fleet.TaskID { ids++; return fleet.TaskID(fmt.Sprintf("new-%02d-%02d", step, ids)) }
	return in
}

// withUncommitted is the input after commands of an earlier planner, which the log
// never gets.
func withUncommitted(in plan.Input, r *rand.Rand) plan.Input {
	in.State = in.State.Clone()
	host := in.State.Host([]fleet.HostID{"h1", "h2", "h3"}[r.IntN(3)])
	items := []fleet.Item{{Command: fleet.SilenceHost{Host: host.ID, Session: host.Session.N}}}
	for task := range in.State.HeldBy(host.ID) {
		items = append(items, fleet.Item{Command: fleet.StopTasks{Tasks: []fleet.TaskID{task.ID}, Cause: fleet.CauseOperator,
			Reason: "x"}})
		break
	}
	out := in.State.Apply(in.State.Index()+1, fleet.Entry{At: in.Now, Items: items})
	in.Scope.Merge(out.ChangeSet)
	return in
}

func TestTheTasksKeptAreBounded(t *testing.T) {
	w := plantest.Parse(t, "web desired=1; job desired=1; h1: web/1 x4, job/1 x4")
	index := &Index{least: 4}
	in := scoped(w.Input(), w.State, plan.Scope{Full: true}, 0)
	index.refresh(in)
	for _, name := range []string{"web", "job"} {
		goals := w.State.Service(name).DefaultGoals()
		index.of(in, w.State.Service(name), &fleet.Goals{Revisions: goals.Revisions})
	}
	if len(index.kept) != 2 || index.tasks != 8 {
		t.Fatalf("kept %d services of %d tasks, want 2 of 8", len(index.kept), index.tasks)
	}
	index.tasks = MaxKept
	goals := w.State.Service("web").DefaultGoals()
	index.kept["web"].goals = &fleet.Goals{} // sorted anew
	index.kept["web"].keptAs = 0
	index.of(in, w.State.Service("web"), &fleet.Goals{Revisions: goals.Revisions})
	if len(index.kept) != 1 || index.tasks != 4 {
		t.Errorf("kept %d services of %d tasks, want 1 of 4: the others made room", len(index.kept), index.tasks)
	}
	in.Scope, in.Now = plan.Scope{}, in.Now.Add(keptFor+time.Second)
	index.refresh(in)
	if len(index.kept) != 0 || index.tasks != 0 {
		t.Errorf("kept %d services of %d tasks after a gap", len(index.kept), index.tasks)
	}
}
