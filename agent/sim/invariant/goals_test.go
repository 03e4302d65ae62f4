package invariant

import (
	"testing"

	"skein/raftfsm/fleet"
)

func TestTasksAreCreatedWithinGoals(t *testing.T) {
	web := fleet.PutService{Name: "web", TaskDef: "app:1", Desired: 2, MinPercent: 100, MaxPercent: 200}
	goal := func(revision fleet.RevisionID, desired, most int) fleet.RevisionGoal {
		return fleet.RevisionGoal{Revision: revision, Desired: desired, Max: most}
	}
	put := func(r *rig, by string, most int, revisions ...fleet.RevisionGoal) {
		at := r.s.Service("web").ModifyIndex
		r.by(by, fleet.PutGoals{Service: "web", ServiceModifyIndex: at, Max: most, Revisions: revisions})
	}
	update := func(r *rig) {
		again := web
		again.Force, again.ExpectedModifyIndex = true, r.s.Service("web").ModifyIndex
		r.do(again)
	}
	create := func(r *rig, revision fleet.RevisionID, ids ...fleet.TaskID) {
		r.do(fleet.CreateTasks{Revision: revision, Tasks: ids})
	}
	tell(t, []story{
		{"as many as may be", "", func(r *rig) {
			r.do(web)
			create(r, "web/1", "a", "b", "c", "d")
		}},
		{"two revisions, as another planner says", "", func(r *rig) {
			r.do(web)
			update(r)
			put(r, "deploy", 4, goal("web/1", 2, 2), goal("web/2", 2, 2))
			create(r, "web/1", "a", "b")
			create(r, "web/2", "c", "d")
		}},
		{"what stops makes room", "", func(r *rig) {
			r.do(web)
			create(r, "web/1", "a", "b", "c", "d")
			r.by("service", stop("a"))
			create(r, "web/1", "e")
		}},
		{"more of a revision than may be", "goals", func(r *rig) {
			r.do(web)
			put(r, "deploy", 4, goal("web/1", 2, 4))
			r.c.model.services["web"].goals.of["web/1"] = goal("web/1", 2, 2)
			create(r, "web/1", "a", "b", "c")
		}},
		{"more of all revisions than may be", "goals", func(r *rig) {
			r.do(web)
			update(r)
			put(r, "deploy", 4, goal("web/1", 2, 2), goal("web/2", 2, 2))
			create(r, "web/1", "a", "b")
			r.c.model.services["web"].goals.most = 3
			create(r, "web/2", "c", "d")
		}},
		{"of a revision that the goals do not name", "goals", func(r *rig) {
			r.do(web)
			put(r, "deploy", 4, goal("web/1", 2, 4))
			delete(r.c.model.services["web"].goals.of, "web/1")
			create(r, "web/1", "a")
		}},
		{"by goals that were for what the service was", "goals", func(r *rig) {
			r.do(web)
			put(r, "service", 4, goal("web/1", 2, 4))
			r.c.model.services["web"].goals = nil
			create(r, "web/1", "a")
		}},
		{"the service planner allows more than the maximum", "goals", func(r *rig) {
			r.do(web)
			put(r, "service", 5, goal("web/1", 2, 5))
		}},
		{"the service planner wants other than is desired", "goals", func(r *rig) {
			r.do(web)
			put(r, "service", 4, goal("web/1", 3, 4))
		}},
		{"the service planner wants a former revision", "goals", func(r *rig) {
			r.do(web)
			update(r)
			put(r, "service", 4, goal("web/1", 2, 4))
		}},
	})
}

func TestGoalsOfStateAreThoseOfTheLog(t *testing.T) {
	r := newRig(t)
	r.do(fleet.PutService{Name: "web", TaskDef: "app:1", Desired: 2, MinPercent: 100, MaxPercent: 200})
	r.do(fleet.CreateTasks{Revision: "web/1", Tasks: []fleet.TaskID{"a"}})
	check := func(want bool) {
		t.Helper()
		if err := r.c.Full(r.s); (err == nil) != want {
			t.Errorf("compared: %v", err)
		}
	}
	check(true)
	service := r.c.model.services["web"]
	service.goals.most++
	check(false)
	service.goals = nil
	check(false)
	r.do(fleet.ScaleService{Name: "web", Desired: 3})
	check(true)
}
