package fleet

import (
	"slices"
	"testing"
)

func TestReplaceTasks(t *testing.T) {
	t.Run("gives a standing that keeps its cause and its author, once", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.runs("web", 2)
		res := w.item(Item{Command: ReplaceTasks{Tasks: []TaskID{"web-1"}, Cause: CauseDrain}, By: "drain"})
		if res.Err != nil || !slices.Equal(res.IDs, []string{"web-1"}) {
			t.Fatalf("%+v", res)
		}
		task := w.task("web-1")
		if task.Replace == nil || *task.Replace != (Request{CauseDrain, "drain", w.at}) || task.Desired != TaskRunning ||
			task.Stop != nil {
			t.Errorf("task %+v, replace %+v", task, task.Replace)
		}
		if e := w.lastEvent(); e.Message != "web: to be replaced: 1 task (drain)" || e.Cause != CauseDrain {
			t.Errorf("event %+v", e)
		}
		if got := w.outcome.ChangeSet.Services(); !slices.Equal(got, []string{"web"}) {
			t.Errorf("its service is not visited: %v", got)
		}
		w.noop(ReplaceTasks{Tasks: []TaskID{"web-1"}, Cause: CauseRebalance})
	})
	t.Run("is counted until the task stops or keeps its place", func(t *testing.T) {
		w := fleetOf(t, 3)
		w.runs("web", 3)
		w.must(ReplaceTasks{Tasks: []TaskID{"web-1", "web-2"}, Cause: CauseDrain})
		if n := w.counts("web"); n.ToReplace != 2 || n.Running != 3 {
			t.Errorf("%+v", n)
		}
		w.must(ReplaceTasks{Tasks: []TaskID{"web-1", "web-3"}})
		if n := w.counts("web"); n.ToReplace != 1 || w.task("web-1").Replace != nil {
			t.Errorf("%+v", n)
		}
		if e := w.lastEvent(); e.Message != "web: need not be replaced any more: 1 task" {
			t.Errorf("event %+v", e)
		}
		w.must(StopTasks{Tasks: []TaskID{"web-2"}, Cause: CauseDrain, Reason: "replaced"})
		if n := w.counts("web"); n.ToReplace != 0 || w.task("web-2").Replace == nil {
			t.Errorf("%+v", n)
		}
		w.noop(ReplaceTasks{Tasks: []TaskID{"web-2"}})
		w.checked()
	})
	t.Run("is refused as a whole", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.runs("web", 1)
		w.must(RunTasks{TaskDef: "web:1", Tasks: []TaskID{"job"}})
		w.refused(ReplaceTasks{Tasks: []TaskID{"web-1", "job"}, Cause: CauseDrain}, ErrConflict, "standalone")
		w.refused(ReplaceTasks{Tasks: []TaskID{"nope"}, Cause: CauseDrain}, ErrNotFound, "nope")
		w.refused(ReplaceTasks{Cause: CauseDrain}, ErrInvalid, "tasks")
		w.refused(ReplaceTasks{Tasks: []TaskID{"web-1"}, Cause: CauseTaskFailed + 1}, ErrInvalid, "cause")
		w.refused(ReplaceTasks{Tasks: []TaskID{"web-1"}, Cause: CauseDrain, ExpectedModifyIndex: []uint64{1}}, ErrMoved,
			"web-1")
		w.refused(ReplaceTasks{Tasks: []TaskID{"web-1"}, Cause: CauseDrain, ExpectedModifyIndex: []uint64{1, 2}}, ErrInvalid,
			"expectedModifyIndex")
	})
}
