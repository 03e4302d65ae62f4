package fleet

import (
	"strings"
	"testing"
)

func TestReachability(t *testing.T) {
	want := func(t *testing.T, w *world, c Counts) {
		t.Helper()
		if got := w.counts("web"); got != c {
			t.Errorf("counts %+v, want %+v", got, c)
		}
		w.checked()
	}
	t.Run("tasks of a silent host are out of reach without a write to them", func(t *testing.T) {
		w := fleetOf(t, 3)
		w.runs("web", 3)
		w.must(StopTasks{Tasks: []TaskID{"web-3"}, Cause: CauseOperator, Reason: "x"})
		modifyIndex := w.task("web-2").ModifyIndex
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.must(SilenceHost{Host: hostID(3), Session: 1})
		want(t, w, Counts{Total: 3, Running: 1, Stopping: 1, Unreachable: 1})
		task := w.Task("web-2")
		if task.ModifyIndex != modifyIndex || w.Reachable(task) || len(w.outcome.ChangeSet.Services()) != 1 {
			t.Errorf("task %+v, touched %+v", task, w.outcome.ChangeSet)
		}
		if zones := w.TasksByZone("web"); len(zones) != 1 || zones["a"] != 1 {
			t.Errorf("zones %v", zones)
		}
		if w.TasksOnHost("web", hostID(2)) != 1 || w.Reserved(hostID(2)) == (Resources{}) {
			t.Error("a silent host gave back what it holds")
		}
		w.must(ReturnHost{Host: hostID(2), Session: 1})
		want(t, w, Counts{Total: 3, Running: 2, Stopping: 1})
	})
	t.Run("an agent's new session in the same boot changes nothing", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.runs("web", 1)
		w.must(session(1, 2))
		want(t, w, Counts{Total: 1, Running: 1})
	})
	t.Run("a reboot puts tasks out of reach until they are reported under it", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.service("web", 3)
		w.create("web", 1, 3)
		w.assign(1, "web-1", "web-2", "web-3")
		w.report(1, running("web-1"), running("web-2"))
		c := session(1, 2)
		c.Boot = "boot-new"
		w.must(c)
		want(t, w, Counts{Total: 3, Unreachable: 3})
		if got := w.outcome.ChangeSet.Services(); len(got) != 1 {
			t.Errorf("touched services %v", got)
		}
		w.report(1, stopped("web-1", 0))
		if task := w.task("web-1"); task.StopCode != StopInfrastructureHealth || task.Reason != "host h1 rebooted" ||
			w.Service("web").Failures != 0 {
			t.Errorf("task %+v", task)
		}
		// Cold start: the second is run again, under another attempt.
		again := TaskReport{Task: "web-2", Status: TaskActivating, Attempt: 2}
		if res := w.report(1, again); res.Dropped != 1 {
			t.Error("a status behind the recorded one was taken")
		}
		want(t, w, Counts{Total: 2, Unreachable: 2})
		w.wait(100)
		again.Status, again.Health = TaskRunning, HealthHealthy
		w.report(1, again)
		want(t, w, Counts{Total: 2, Running: 1, Unreachable: 1, Healthy: 1})
		if task := w.task("web-2"); task.StartedAt != w.at || task.HealthyAt != w.at || task.Attempt != 2 {
			t.Errorf("task %+v", task)
		}
		w.report(1, TaskReport{Task: "web-3", Status: TaskPending})
		want(t, w, Counts{Total: 2, Running: 1, Pending: 1, Healthy: 1})
	})
	t.Run("a host that moves to another zone takes its counts along", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.runs("web", 1)
		c := session(1, 2)
		c.Zone = "z"
		w.must(c)
		if zones := w.TasksByZone("web"); zones["z"] != 1 || len(zones) != 1 {
			t.Errorf("zones %v", zones)
		}
		w.checked()
	})
}

func TestHealthy(t *testing.T) {
	w := fleetOf(t, 2)
	checked := webDef()
	checked.Containers[0].HealthCheck = &HealthCheck{Command: []string{"true"}, IntervalS: 5, TimeoutS: 2, Retries: 1}
	w.must(RegisterTaskDef{Family: "api", Def: checked})
	w.must(PutService{Name: "api", TaskDef: "api:1", Desired: 1, MaxPercent: 100, GraceS: 60})
	w.create("api", 1, 1)
	w.runs("web", 1)
	w.assign(2, "api-1")
	w.report(2, running("api-1"))
	healthy := func(id TaskID) bool { return w.Healthy(w.Task(id), w.at) }
	if healthy("web-1") || healthy("api-1") {
		t.Error("healthy at once")
	}
	began := w.at
	w.wait(HealthySettle.Milliseconds())
	if !healthy("web-1") || healthy("api-1") {
		t.Error("a task without checks is healthy after 40 s, one with checks when it says so")
	}
	w.report(2, TaskReport{Task: "api-1", Status: TaskRunning, Health: HealthUnhealthy, Attempt: 1})
	var due []string
	for subject := range w.Due(began, began+60_000) {
		due = append(due, subject.String())
	}
	if strings.Join(due, " ") != "service:web service:api" || w.NextDue(began) != began+40_000 {
		t.Errorf("due %v", due)
	}
	w.must(PutService{Name: "api", ExpectedModifyIndex: w.Service("api").ModifyIndex, TaskDef: "api:1", Desired: 1,
		MaxPercent: 100, GraceS: 90})
	if due := w.NextDue(began + 40_000); due != began+90_000 {
		t.Errorf("another grace period: due %s", due)
	}
	w.checked()
	for _, at := range []struct {
		after   int64
		failing int
	}{{89_999, 0}, {90_000, 1}} {
		w.at = began + Time(at.after)
		w.must(ScaleService{Name: "api", Desired: 2 + at.failing}) // what is touched is counted again
		if got := w.counts("api").Failing; got != at.failing {
			t.Errorf("%d ms after its start %d count as failing, want %d", at.after, got, at.failing)
		}
		w.checked()
	}
	w.report(2, TaskReport{Task: "api-1", Status: TaskRunning, Health: HealthHealthy, Attempt: 1})
	if !healthy("api-1") {
		t.Error("a checked task that says so is not healthy")
	}
	w.must(SilenceHost{Host: hostID(2), Session: 1})
	w.must(StopTasks{Tasks: []TaskID{"web-1"}, Cause: CauseOperator, Reason: "x"})
	if healthy("api-1") || healthy("web-1") {
		t.Error("a task out of reach or to stop is healthy")
	}
	w.wait(dueKept.Milliseconds())
	w.must(UncordonHost{Host: hostID(1)})
	if w.due.Len() != 1 {
		t.Errorf("%d deadlines kept, want that of the silent host only", w.due.Len())
	}
	w.checked()
}
