package fleet

import (
	"slices"
	"strings"
	"testing"
)

func TestRunTasks(t *testing.T) {
	w := fleetOf(t, 1)
	w.must(RegisterTaskDef{Family: "job", Def: webDef()})
	ids := w.must(RunTasks{TaskDef: "job:1", Tasks: []TaskID{"b", "a"}, StartedBy: "ada"})
	if !slices.Equal(ids, []string{"b", "a"}) {
		t.Errorf("ids %v", ids)
	}
	if task := w.task("a"); !task.Standalone() || task.Group != "family:job" || task.Last != TaskProvisioning ||
		task.StartedBy != "ada" {
		t.Errorf("task %+v", task)
	}
	w.refused(RunTasks{TaskDef: "job:1", Tasks: []TaskID{"a"}}, ErrExists, "a")
	w.refused(RunTasks{TaskDef: "job:1", Tasks: []TaskID{"c", "c"}}, ErrExists, "c")
	w.refused(RunTasks{TaskDef: "job:1"}, ErrInvalid, "1 to 10")
	w.refused(RunTasks{TaskDef: "job:1", Tasks: make([]TaskID, 11)}, ErrInvalid, "1 to 10")
	w.refused(RunTasks{TaskDef: "job:1", Tasks: []TaskID{"../etc"}}, ErrInvalid, "tasks[0]")
	w.refused(RunTasks{TaskDef: "job:2", Tasks: []TaskID{"c"}}, ErrNotFound, "job:2")
	if e := w.lastEvent(); e.Message != "run 2 standalone tasks of job:1" {
		t.Errorf("decision %+v", e)
	}
}

func TestCreateTasks(t *testing.T) {
	t.Run("makes tasks of the current revision up to the upper bound", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 2)
		w.create("web", 1, 3)
		w.refused(CreateTasks{Revision: "web/1", Tasks: []TaskID{"x", "y"}}, ErrBound, "3 are present, at most 4")
		w.must(CreateTasks{Revision: "web/1", Tasks: []TaskID{"x"}})
		if e := w.lastEvent(); e.Message != "web: started 1 task (web/1)" || e.Subject != ServiceSubject("web") {
			t.Errorf("decision %+v", e)
		}
	})
	t.Run("is refused for a service or revision that is not there, and for no tasks", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 2)
		w.planned("web")
		w.refused(CreateTasks{Revision: "web/2", Tasks: []TaskID{"x"}}, ErrNotInGoals, "web/2")
		w.refused(CreateTasks{Revision: "db/1", Tasks: []TaskID{"x"}}, ErrNotFound, "db")
		w.refused(CreateTasks{Revision: "web", Tasks: []TaskID{"x"}}, ErrNotInGoals, "web")
		w.refused(CreateTasks{Revision: "web/1"}, ErrInvalid, "tasks")
	})
	t.Run("tasks that stop or are out of reach leave room", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.must(RegisterTaskDef{Family: "web", Def: webDef()})
		w.must(PutService{Name: "web", TaskDef: "web:1", Desired: 2, MinPercent: 0, MaxPercent: 100})
		ids := w.create("web", 1, 2)
		w.refused(CreateTasks{Revision: "web/1", Tasks: []TaskID{"x"}}, ErrBound, "at most 2")
		w.assign(1, ids[0])
		w.assign(2, ids[1])
		w.must(StopTasks{Tasks: ids[:1], Cause: CauseScaleIn, Reason: "scaled in"})
		w.must(CreateTasks{Revision: "web/1", Tasks: []TaskID{"x"}})
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.must(CreateTasks{Revision: "web/1", Tasks: []TaskID{"y"}})
		w.refused(CreateTasks{Revision: "web/1", Tasks: []TaskID{"z"}}, ErrBound, "at most 2")
	})
}

func TestBoundsAreThoseOfECS(t *testing.T) {
	for _, v := range []struct{ desired, min, max, lower, upper int }{
		{4, 100, 200, 4, 8}, {4, 50, 100, 2, 4}, {2, 75, 100, 2, 2}, {3, 100, 125, 3, 3},
		{1, 100, 200, 1, 2}, {1, 0, 100, 0, 1}, {7, 100, 100, 7, 7},
	} {
		s := Service{Desired: v.desired, MinPercent: v.min, MaxPercent: v.max}
		if s.MinHealthy() != v.lower || s.MaxRunning() != v.upper {
			t.Errorf("%+v: lower %d, upper %d", v, s.MinHealthy(), s.MaxRunning())
		}
	}
}

func TestStopTasks(t *testing.T) {
	t.Run("asks once, and keeps what was said first", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.runs("web", 1)
		w.must(StopTasks{Tasks: []TaskID{"web-1"}, Cause: CauseOperator, Reason: "because"})
		if e := w.lastEvent(); e.Message != "web: stopping 1 task: because" {
			t.Errorf("decision %+v", e)
		}
		if got := slices.Collect(w.outcome.ChangeSet.WantedHosts()); !slices.Equal(got, []HostID{hostID(1)}) ||
			w.Host(hostID(1)).WantedModifyIndex != w.Index() {
			t.Errorf("its host does not hear of it: wanted %v", got)
		}
		w.noop(StopTasks{Tasks: []TaskID{"web-1"}, Cause: CauseScaleIn, Reason: "again"})
		task := w.task("web-1")
		if task.Desired != TaskStopped || task.Last != TaskRunning || task.StopCode != StopUserInitiated ||
			task.Reason != "because" || task.StoppingAt != w.at {
			t.Errorf("task %+v", task)
		}
	})
	t.Run("ends a task without a host at once", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 1)
		w.create("web", 1, 1)
		w.must(StopTasks{Tasks: []TaskID{"web-1"}, Cause: CauseScaleIn, Reason: "x"})
		if task := w.task("web-1"); !task.Stopped() || task.StoppedAt != w.at || w.UnassignedCount() != 0 {
			t.Errorf("task %+v", task)
		}
	})
	t.Run("is refused as a whole when a row moved, is not there, or the code is a host's", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.runs("web", 2)
		mods := []uint64{w.task("web-1").ModifyIndex, w.task("web-2").ModifyIndex - 1}
		ids := []TaskID{"web-1", "web-2"}
		c := StopTasks{Tasks: ids, Cause: CauseOperator, Reason: "x", ExpectedModifyIndex: mods}
		w.refused(c, ErrMoved, "web-2")
		c.ExpectedModifyIndex = mods[:1]
		w.refused(c, ErrInvalid, "expectMod")
		c.ExpectedModifyIndex = nil
		c.Code = StopUserInitiated
		w.refused(c, ErrInvalid, "stopCode")
		c.Cause, c.Code = 0, StopEssentialContainerExited
		w.refused(c, ErrInvalid, "cause")
		c.Cause, c.Code = CauseTaskFailed+1, 0
		w.refused(c, ErrInvalid, "cause")
		w.refused(StopTasks{Tasks: []TaskID{"nope"}, Cause: CauseOperator}, ErrNotFound, "nope")
	})
}

func TestWanted(t *testing.T) {
	w := fleetOf(t, 1)
	w.service("web", 2)
	w.service("db", 1)
	w.create("web", 1, 2)
	w.create("db", 1, 1)
	w.must(RunTasks{TaskDef: "db:1", Tasks: []TaskID{"job"}, Images: []ImagePin{{"app", "sha256:" + digits}}})
	w.assign(1, "web-2", "web-1")
	w.assign(1, "db-1", "job")
	got := w.Wanted(hostID(1))
	var ids, defs []string
	for _, task := range got.Tasks {
		ids = append(ids, string(task.ID))
	}
	for _, d := range got.TaskDefs {
		defs = append(defs, string(d.ID))
	}
	if !slices.Equal(ids, []string{"db-1", "job", "web-1", "web-2"}) || !slices.Equal(defs, []string{"db:1", "web:1"}) {
		t.Errorf("tasks %v, definitions %v", ids, defs)
	}
	if got.Fleet != "f-1" || got.Epoch != 1 || got.Index != w.Index() || got.Session != 1 ||
		len(got.Tasks[1].Images) != 1 {
		t.Errorf("wanted %+v", got)
	}
	modifyIndex := w.Host(hostID(1)).WantedModifyIndex
	w.report(1, running("web-1"))
	if w.Host(hostID(1)).WantedModifyIndex != modifyIndex || w.outcome.ChangeSet.Any(SubjectWanted) {
		t.Error("a host's own report woke its stream")
	}
	w.report(1, stopped("web-1", 0))
	if w.Host(hostID(1)).WantedModifyIndex != w.Index() || len(w.Wanted(hostID(1)).Tasks) != 3 {
		t.Error("a stopped task did not leave the list")
	}
	if w := w.Wanted("h-x"); len(w.Tasks) != 0 || w.Fleet != "" {
		t.Errorf("an unknown host wants %+v", w)
	}
}

const digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestATaskIsRunWithAnEnvironmentOfItsOwn(t *testing.T) {
	w := trafficOf(t, 1)
	run := RunTasks{TaskDef: "web:1", Tasks: []TaskID{"job"}}
	for _, c := range []struct {
		env  EnvVar
		text string
	}{
		{EnvVar{Name: "A=B", Value: "x"}, "overrides.environment[0].name"},
		{EnvVar{Name: "A", Value: strings.Repeat("x", MaxOverrides)}, "overrides.environment: has 8193 bytes"},
	} {
		run.Overrides = &TaskOverrides{Environment: []EnvVar{c.env}}
		w.refused(run, ErrInvalid, c.text)
	}
	run.Overrides = &TaskOverrides{Environment: []EnvVar{{Name: "STAGE", Value: "BAKE_TIME"}}}
	w.must(run)
	w.must(AssignTasks{Host: hostID(1), Tasks: run.Tasks, Ports: [][]PortBinding{{
		{Container: "app", ContainerPort: 8080, HostPort: 50000, Protocol: TCP}}}})
	if sent := w.Wanted(hostID(1)).Tasks; len(sent) != 1 || sent[0].Overrides == nil ||
		sent[0].Overrides.Environment[0] != run.Overrides.Environment[0] {
		t.Errorf("its host is sent %+v", sent)
	}
	w.checked()
}
