package fleet

import (
	"strings"
	"testing"
)

func TestACauseIsKept(t *testing.T) {
	tests := map[string]struct {
		item  Item
		cause Cause
		code  StopCode
	}{
		"an operator's": {Item{Command: StopTasks{Cause: CauseOperator}, By: "operator ada"}, CauseOperator,
			StopUserInitiated},
		"a scale-in": {Item{Command: StopTasks{Cause: CauseScaleIn}, By: "service"}, CauseScaleIn,
			StopServiceSchedulerInitiated},
		"a roll-out": {Item{Command: StopTasks{Cause: CauseRollout}, By: "deploy"}, CauseRollout,
			StopServiceSchedulerInitiated},
		"a drain":    {Item{Command: StopTasks{Cause: CauseDrain}, By: "drain"}, CauseDrain, StopServiceSchedulerInitiated},
		"a deadline": {Item{Command: StopTasks{Cause: CauseDeadline}, By: "drain"}, CauseDeadline, StopTerminationNotice},
		"a move to balance": {Item{Command: StopTasks{Cause: CauseRebalance}, By: "balance"}, CauseRebalance,
			StopServiceSchedulerInitiated},
		"a move to save": {Item{Command: StopTasks{Cause: CauseConsolidation}, By: "consolidate"}, CauseConsolidation,
			StopServiceSchedulerInitiated},
		"a lost host": {Item{Command: StopTasks{Cause: CauseHostLost}, By: "hosts"}, CauseHostLost, StopInfrastructureHealth},
		"an unhealthy task": {Item{Command: StopTasks{Cause: CauseTaskFailed}, By: "service"}, CauseTaskFailed,
			StopServiceSchedulerInitiated},
		"an operator's of old": {Item{Command: StopTasks{Code: StopUserInitiated}, By: "operator ada"}, CauseOperator,
			StopUserInitiated},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := fleetOf(t, 1)
			w.runs("web", 1)
			c := tt.item.Command.(StopTasks)
			c.Tasks, c.Reason = []TaskID{"web-1"}, "because"
			if res := w.item(Item{Command: c, By: tt.item.By}); res.Err != nil {
				t.Fatal(res.Err)
			}
			task := w.task("web-1")
			if task.StopCause() != tt.cause || task.StopCode != tt.code || task.Stop.By != tt.item.By || task.Stop.At != w.at {
				t.Errorf("stop %+v, code %s", task.Stop, task.StopCode)
			}
			if e := w.lastEvent(); e.Cause != tt.cause || e.By != tt.item.By {
				t.Errorf("decision %+v", e)
			}
			w.report(1, TaskReport{Task: "web-1", Status: TaskStopped, Attempt: 1, StopCode: StopEssentialContainerExited})
			if got := w.task("web-1").StopCause(); got != tt.cause {
				t.Errorf("after it stopped the cause is %q", got)
			}
		})
	}
}

func TestACauseThatTheLogDoesNotSayIsNone(t *testing.T) {
	w := fleetOf(t, 1)
	w.runs("web", 1)
	w.must(StopTasks{Tasks: []TaskID{"web-1"}, Code: StopServiceSchedulerInitiated, Reason: "of old"})
	if task := w.task("web-1"); task.StopCause() != 0 || task.Stop != nil ||
		task.StopCode != StopServiceSchedulerInitiated {
		t.Errorf("task %+v", task)
	}
}

func TestAnEndWithoutAnOrderHasACause(t *testing.T) {
	host := hostID(1)
	ends := func(r TaskReport) func(*world) {
		return func(w *world) { w.report(1, r) }
	}
	tests := map[string]struct {
		happen func(*world)
		cause  Cause
		by     string
	}{
		"its container exits": {ends(TaskReport{Task: "web-1", Status: TaskStopped, Attempt: 1}), CauseTaskFailed,
			string(host)},
		"its host gives it up": {
			ends(TaskReport{Task: "web-1", Status: TaskStopping, Attempt: 1, StopCode: StopInfrastructureHealth}), CauseHostLost,
			string(host)},
		"its host is reclaimed": {
			ends(TaskReport{Task: "web-1", Status: TaskStopping, Attempt: 1, StopCode: StopSpotInterruption}), CauseDeadline,
			string(host)},
		"its machine restarts": {func(w *world) {
			again := session(1, 2)
			again.Boot = "another"
			w.must(again)
			w.report(1, TaskReport{Task: "web-1", Status: TaskStopped, Attempt: 1})
		}, CauseHostLost, string(host)},
		"its host is lost": {func(w *world) {
			w.must(SilenceHost{Host: host, Session: 1})
			w.at += Time(w.Fleet().Settings.LostAfterMs)
			w.must(LoseHost{Host: host, Session: 1})
			w.item(Item{Command: ExpireTasks{Host: host}, By: "hosts"})
		}, CauseHostLost, "hosts"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := fleetOf(t, 2)
			w.runs("web", 1)
			tt.happen(w)
			if task := w.task("web-1"); task.StopCause() != tt.cause || task.Stop.By != tt.by {
				t.Errorf("stop %+v of %+v, want %s by %q", task.Stop, task, tt.cause, tt.by)
			}
			w.checked()
		})
	}
}

// A drain is set by no command yet, so rows are built as a snapshot has them.
func TestADrainingHostTakesNoTask(t *testing.T) {
	for name, drain := range map[string]func(*Host){
		"by a cause":            func(h *Host) { h.Drain = &Drain{Cause: CauseDrain, By: "patch", Since: 1, Deadline: 2} },
		"as rows of old say it": func(h *Host) { h.WasDrain = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := fleetOf(t, 1)
			w.service("web", 1)
			w.create("web", 1, 1)
			b := NewBuilder()
			for table, row := range w.Rows() {
				if h, ok := row.(*Host); ok {
					c := *h
					drain(&c)
					row = &c
				}
				if err := b.Add(table, row); err != nil {
					t.Fatal(err)
				}
			}
			state, err := b.State()
			if err != nil {
				t.Fatal(err)
			}
			w.State = state
			if h := w.Host(hostID(1)); !h.Draining() || h.Placeable() {
				t.Errorf("host %+v", h)
			}
			w.refused(AssignTasks{Host: hostID(1), Tasks: []TaskID{"web-1"}}, ErrNotPlaceable, "drain")
		})
	}
}

func TestAStopNamesSomeTasksAndNotTooMany(t *testing.T) {
	w := fleetOf(t, 1)
	w.runs("web", 1)
	stop := func(n, reason int) StopTasks {
		tasks := make([]TaskID, n)
		for i := range tasks {
			tasks[i] = "web-1"
		}
		return StopTasks{Tasks: tasks, Cause: CauseOperator, Reason: strings.Repeat("x", reason)}
	}
	w.refused(stop(0, 1), ErrInvalid, "tasks")
	w.refused(stop(MaxRun+1, 1), ErrInvalid, "tasks")
	w.refused(stop(1, MaxReason+1), ErrInvalid, "reason")
	w.must(stop(1, MaxReason))
}
