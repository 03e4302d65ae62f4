package fleet

import (
	"testing"
)

func TestExpireAndForget(t *testing.T) {
	lost := func(t *testing.T) *world {
		w := fleetOf(t, 2)
		w.runs("web", 2)
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.refused(ExpireTasks{Host: hostID(2)}, ErrConflict, "not lost")
		w.wait(300_000)
		w.must(LoseHost{Host: hostID(2), Session: 1})
		w.must(ExpireTasks{Host: hostID(2)})
		w.noop(ExpireTasks{Host: hostID(2)})
		return w
	}
	t.Run("expired tasks are stopped, unconfirmed, and keep standing on the host's list", func(t *testing.T) {
		w := lost(t)
		task := w.task("web-2")
		if !task.Stopped() || !task.Unconfirmed || task.StopCode != StopInfrastructureHealth || task.StoppedAt != w.at {
			t.Errorf("task %+v", task)
		}
		wanted := w.Wanted(hostID(2))
		if len(wanted.Tasks) != 1 || wanted.Tasks[0].Desired != TaskStopped || len(wanted.TaskDefs) != 1 {
			t.Errorf("wanted %+v", wanted)
		}
		if w.Reserved(hostID(2)) == (Resources{}) || w.counts("web").Total != 1 {
			t.Errorf("reserved %v, counts %+v", w.Reserved(hostID(2)), w.counts("web"))
		}
		w.checked()
	})
	t.Run("the host's word ends it", func(t *testing.T) {
		w := lost(t)
		w.must(session(2, 2))
		if res := w.report(2, running("web-2")); res.Dropped != 1 || !w.task("web-2").Stopped() {
			t.Error("a report that it runs was taken")
		}
		w.report(2, stopped("web-2", 137))
		if task := w.task("web-2"); task.Unconfirmed || len(task.Exits) != 1 || task.StopCode != StopInfrastructureHealth {
			t.Errorf("task %+v", task)
		}
		if len(w.Wanted(hostID(2)).Tasks) != 0 || w.Reserved(hostID(2)) != (Resources{}) {
			t.Error("it is still on the list")
		}
		w.checked()
	})
	t.Run("forgetting the host ends its tasks for good", func(t *testing.T) {
		w := lost(t)
		w.must(ForgetHost{Host: hostID(2)})
		if task := w.task("web-2"); task.Unconfirmed || len(w.Wanted(hostID(2)).Tasks) != 0 ||
			w.Reserved(hostID(2)) != (Resources{}) {
			t.Errorf("task %+v", task)
		}
		w.checked()
	})
	t.Run("forgetting a silent host stops what ran there", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.runs("web", 2)
		w.must(ForgetHost{Host: hostID(2), Force: true})
		if task := w.task("web-2"); !task.Stopped() || task.Unconfirmed || w.counts("web").Total != 1 {
			t.Errorf("task %+v", task)
		}
		if e := w.lastEvent(); e.Message != "h2 forgotten with 1 task" {
			t.Errorf("decision %+v", e)
		}
		w.checked()
	})
}
