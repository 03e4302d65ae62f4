package fleet

import (
	"fmt"
	"testing"
)

func goal(revision RevisionID, desired, most int) RevisionGoal {
	return RevisionGoal{Revision: revision, Desired: desired, Max: most}
}

// twoRevisions is a service of two tasks in the middle of a roll-out: web/1 and web/2
// are there, and nobody has planned it yet.
func twoRevisions(t *testing.T) *world {
	t.Helper()
	w := fleetOf(t, 2)
	w.service("web", 2)
	w.must(w.update(PutService{Force: true}))
	return w
}

func (w *world) putGoals(most int, revisions ...RevisionGoal) PutGoals {
	return PutGoals{Service: "web", ServiceModifyIndex: w.Service("web").ModifyIndex, Max: most, Revisions: revisions}
}

func TestPutGoals(t *testing.T) {
	t.Run("they stand with their planner until another says otherwise", func(t *testing.T) {
		w := twoRevisions(t)
		own := w.Service("web").DefaultGoals()
		w.item(Item{Command: own, By: "service"})
		if g := w.Goals("web"); g == nil || g.By != "service" || !g.Say(own) || g.ModifyIndex != w.Index() {
			t.Fatalf("goals %+v", g)
		}
		if c := w.outcome.ChangeSet; fmt.Sprint(c.Services()) != "[web]" || c.Any(SubjectEvents) {
			t.Errorf("touched %+v", c)
		}
		events := w.LastEvent()
		w.item(Item{Command: w.putGoals(4, goal("web/1", 2, 2), goal("web/2", 1, 2)), By: "deploy"})
		if g := w.Goals("web"); g.By != "deploy" || len(g.Revisions) != 2 || w.LastEvent() != events {
			t.Errorf("goals %+v", g)
		}
		w.checked()
	})
	t.Run("the same again changes nothing, by another planner it does", func(t *testing.T) {
		w := twoRevisions(t)
		w.must(w.putGoals(4, goal("web/2", 2, 4)))
		w.noop(w.putGoals(4, goal("web/2", 2, 4)))
		w.item(Item{Command: w.putGoals(4, goal("web/2", 2, 4)), By: "deploy"})
		if g := w.Goals("web"); g.By != "deploy" {
			t.Errorf("goals %+v", g)
		}
	})
	t.Run("what cannot be kept is refused", func(t *testing.T) {
		w := twoRevisions(t)
		one, two := goal("web/1", 2, 2), goal("web/2", 2, 2)
		for name, c := range map[string]struct {
			goals    PutGoals
			sentinel error
			text     string
		}{
			"of no service":                      {PutGoals{Service: "db", Max: 1}, ErrNotFound, "db"},
			"of no revision":                     {w.putGoals(4), ErrInvalid, "revisions"},
			"of a revision that is not there":    {w.putGoals(4, goal("web/3", 2, 4)), ErrNotFound, "web/3"},
			"of another service's revision":      {w.putGoals(4, goal("db/1", 2, 4)), ErrNotFound, "db/1"},
			"of a revision twice":                {w.putGoals(4, two, two), ErrInvalid, "revisions[1]"},
			"in no order":                        {w.putGoals(4, two, one), ErrInvalid, "revisions[1]"},
			"of more than may be":                {w.putGoals(4, goal("web/2", 3, 2)), ErrInvalid, "revisions[0].desired"},
			"of a revision that passes them all": {w.putGoals(4, goal("web/2", 2, 5)), ErrInvalid, "revisions[0].max"},
			"of more in all than may be":         {w.putGoals(3, one, two), ErrInvalid, "sum of desired"},
			"of fewer than none":                 {w.putGoals(4, goal("web/2", -1, 4)), ErrInvalid, "revisions[0].desired"},
			"of more than any service has":       {w.putGoals(maxGoal+1, goal("web/2", 2, 4)), ErrInvalid, "max"},
		} {
			t.Run(name, func(t *testing.T) { w.t = t; w.refused(c.goals, c.sentinel, c.text) })
		}
	})
	t.Run("goals made for what the service was are refused", func(t *testing.T) {
		w := twoRevisions(t)
		old := w.Service("web").DefaultGoals()
		w.must(ScaleService{Name: "web", Desired: 3})
		w.refused(old, ErrMoved, "web")
		w.runs("db", 1)
		w.must(DeleteService{Name: "db", Force: true})
		w.refused(w.Service("db").DefaultGoals(), ErrConflict, "DRAINING")
	})
}

// Whatever changes a service ends its goals; what only happens to its tasks does not.
func TestGoalsEndWhenTheServiceChanges(t *testing.T) {
	one := []TaskID{"web-1"}
	for name, tt := range map[string]struct {
		change func(w *world) Command
		ends   bool
	}{
		"it scales":                  {func(*world) Command { return ScaleService{Name: "web", Desired: 3} }, true},
		"it is scaled to what it is": {func(*world) Command { return ScaleService{Name: "web", Desired: 2} }, false},
		"its settings change":        {func(w *world) Command { return w.update(PutService{GraceS: 5}) }, true},
		"it gets a revision":         {func(w *world) Command { return w.update(PutService{Force: true}) }, true},
		"it is deleted":              {func(*world) Command { return DeleteService{Name: "web", Force: true} }, true},
		"another service scales":     {func(*world) Command { return ScaleService{Name: "db", Desired: 3} }, false},
		"a task is to stop":          {func(*world) Command { return StopTasks{Tasks: one, Cause: CauseOperator} }, false},
		"a task is to be replaced":   {func(*world) Command { return ReplaceTasks{Tasks: one, Cause: CauseDrain} }, false},
		"a host falls silent":        {func(*world) Command { return SilenceHost{Host: hostID(1), Session: 1} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := fleetOf(t, 2)
			w.runs("web", 2)
			w.service("db", 1)
			w.must(tt.change(w))
			if ended := w.Goals("web") == nil; ended != tt.ends {
				t.Errorf("goals %+v", w.Goals("web"))
			}
			w.checked()
		})
	}
}

// A failed start is counted in the service's row, and is no change of the service.
func TestGoalsOutliveAFailedStart(t *testing.T) {
	w := fleetOf(t, 1)
	w.runs("web", 1)
	w.report(1, stopped("web-1", 1))
	if w.Service("web").Failures != 1 || w.Goals("web") == nil {
		t.Errorf("failures %d, goals %+v", w.Service("web").Failures, w.Goals("web"))
	}
}

// update completes a change of the service web as it is.
func (w *world) update(c PutService) PutService {
	v := w.Service("web")
	c.Name, c.ExpectedModifyIndex, c.TaskDef = "web", v.ModifyIndex, w.Revision(v.Revision).TaskDef
	c.Desired, c.MinPercent, c.MaxPercent = v.Desired, v.MinPercent, v.MaxPercent
	return c
}

func TestCreateTasksKeepsToTheGoals(t *testing.T) {
	t.Run("nothing is created where no goals stand", func(t *testing.T) {
		w := twoRevisions(t)
		w.refused(CreateTasks{Revision: "web/2", Tasks: []TaskID{"x"}}, ErrNoGoals, "web")
		w.planned("web")
		w.must(ScaleService{Name: "web", Desired: 9})
		w.refused(CreateTasks{Revision: "web/2", Tasks: []TaskID{"x"}}, ErrNoGoals, "web")
	})
	t.Run("two revisions grow side by side, each within its bound and both within the service's", func(t *testing.T) {
		w := twoRevisions(t)
		w.must(w.putGoals(5, goal("web/1", 2, 3), goal("web/2", 2, 4)))
		w.must(CreateTasks{Revision: "web/1", Tasks: []TaskID{"a1", "a2", "a3"}})
		w.refused(CreateTasks{Revision: "web/1", Tasks: []TaskID{"a4"}}, ErrBound, "of web/1: 3 are present, at most 3")
		w.must(CreateTasks{Revision: "web/2", Tasks: []TaskID{"b1", "b2"}})
		w.refused(CreateTasks{Revision: "web/2", Tasks: []TaskID{"b3"}}, ErrBound, "of web: 5 are present, at most 5")
		w.must(StopTasks{Tasks: []TaskID{"a1"}, Cause: CauseRollout})
		w.must(CreateTasks{Revision: "web/2", Tasks: []TaskID{"b3"}})
		w.checked()
	})
	t.Run("a revision that is on its way out gets no more", func(t *testing.T) {
		w := twoRevisions(t)
		w.must(w.putGoals(4, goal("web/1", 0, 0), goal("web/2", 2, 4)))
		w.refused(CreateTasks{Revision: "web/1", Tasks: []TaskID{"x"}}, ErrBound, "of web/1: 0 are present, at most 0")
	})
	t.Run("one more may run for a task that is to be replaced", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.runs("web", 2)
		w.must(w.putGoals(3, goal("web/1", 2, 3)))
		w.must(ReplaceTasks{Tasks: []TaskID{"web-1"}, Cause: CauseDrain})
		w.must(CreateTasks{Revision: "web/1", Tasks: []TaskID{"x"}})
		w.refused(CreateTasks{Revision: "web/1", Tasks: []TaskID{"y"}}, ErrBound, "3 are present, at most 3")
	})
}

func TestDefaultGoalsAreTheServicesOwnNumbers(t *testing.T) {
	for _, tt := range []struct{ desired, percent, most int }{{4, 200, 8}, {3, 125, 3}, {0, 200, 0}, {1, 100, 1}} {
		t.Run(fmt.Sprintf("%d tasks at %d %%", tt.desired, tt.percent), func(t *testing.T) {
			v := Service{Name: "web", ModifyIndex: 9, Revision: "web/3", Desired: tt.desired, MaxPercent: tt.percent}
			g := v.DefaultGoals()
			want := Goals{Max: tt.most, Revisions: []RevisionGoal{goal("web/3", tt.desired, tt.most)}}
			if g.Service != "web" || g.ServiceModifyIndex != 9 || !want.Say(g) {
				t.Errorf("goals %+v", g)
			}
		})
	}
}
