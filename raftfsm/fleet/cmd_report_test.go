package fleet

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	t.Run("is fenced by session and sequence", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.runs("web", 1)
		c := Report{Host: hostID(1), Session: 2, Seq: 9, Tasks: []TaskReport{stopped("web-1", 1)}}
		w.refused(c, ErrOldSession, "session 1, not 2")
		c.Session, c.Seq = 1, w.Host(hostID(1)).ReportSeq
		w.noop(c)
		c.Host = "h-x"
		w.refused(c, ErrNotFound, "h-x")
	})
	t.Run("is refused from a host declared lost, so that it opens a session", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.runs("web", 2)
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		if res := w.report(2, running("web-2")); res.Err != nil {
			t.Errorf("a silent host is heard: %v", res.Err)
		}
		w.wait(300_000)
		w.must(LoseHost{Host: hostID(2), Session: 1})
		w.refused(Report{Host: hostID(2), Session: 1, Seq: 9}, ErrOldSession, "declared lost")
		w.must(session(2, 2))
		w.report(2, stopped("web-2", 0))
	})
	t.Run("takes status forward only, and stamps each step", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 1)
		w.create("web", 1, 1)
		w.assign(1, "web-1")
		w.wait(10)
		w.report(1, TaskReport{Task: "web-1", Status: TaskPending, Reason: "pulling web:1"})
		if task := w.task("web-1"); task.Reason != "pulling web:1" {
			t.Errorf("task %+v", task)
		}
		w.report(1, TaskReport{Task: "web-1", Status: TaskRunning, Health: HealthUnhealthy, Attempt: 1})
		if task := w.task("web-1"); task.Last != TaskRunning || task.StartedAt != w.at || task.Health != HealthUnhealthy ||
			task.HealthyAt != 0 || task.Reason != "" {
			t.Errorf("task %+v", task)
		}
		w.wait(10)
		w.report(1, TaskReport{Task: "web-1", Status: TaskRunning, Health: HealthHealthy, Attempt: 1})
		if task := w.task("web-1"); task.HealthyAt != w.at || task.StartedAt != w.at-10 {
			t.Errorf("task %+v", task)
		}
		if res := w.report(1, TaskReport{Task: "web-1", Status: TaskActivating, Attempt: 1}); res.Dropped != 1 ||
			w.task("web-1").Last != TaskRunning {
			t.Error("status fell")
		}
		w.report(1, TaskReport{Task: "web-1", Status: TaskStopped})
		if task := w.task("web-1"); !task.Stopped() || task.Attempt != 1 {
			t.Error("a host that lost its journal could not end its task")
		}
	})
	t.Run("the same status again changes nothing", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.runs("web", 1)
		modifyIndex := w.task("web-1").ModifyIndex
		if res := w.report(1, running("web-1")); res.Dropped != 0 || w.task("web-1").ModifyIndex != modifyIndex ||
			w.outcome.ChangeSet.Any(SubjectTask) {
			t.Errorf("task %+v", w.task("web-1"))
		}
	})
	t.Run("speaks only of the host's own tasks", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.runs("web", 2)
		if res := w.report(1, stopped("web-2", 1), stopped("nope", 1)); res.Dropped != 2 ||
			w.task("web-2").Last != TaskRunning {
			t.Error("a host reported another's task")
		}
	})
	t.Run("is refused when malformed, naming the field", func(t *testing.T) {
		w := fleetOf(t, 1)
		for want, r := range map[string]TaskReport{
			"tasks[0].status":             {Task: "x", Status: 9},
			"tasks[0]: has an unknown":    {Task: "x", Status: TaskRunning, Health: 9},
			"tasks[0].exits":              {Task: "x", Status: TaskRunning, Exits: make([]ContainerExit, 11)},
			"tasks[0].exits[0].container": {Task: "x", Status: TaskRunning, Exits: make([]ContainerExit, 1)},
			"tasks[0].containers: has 11": {Task: "x", Status: TaskRunning, Containers: make([]ContainerState, 11)},
			"tasks[0].containers[0].name": {Task: "x", Status: TaskRunning, Containers: make([]ContainerState, 1)},
			"tasks[0].containers[0].status": {Task: "x", Status: TaskRunning,
				Containers: []ContainerState{{Name: "app", Status: TaskActivating}}},
			"tasks[0].containers[0]: has an unknown he": {Task: "x", Status: TaskRunning,
				Containers: []ContainerState{{Name: "app", Status: TaskRunning, Health: 9}}},
			"tasks[0].containers[0]: has an unknown h": {Task: "x", Status: TaskRunning,
				Containers: []ContainerState{{Name: "app", Status: TaskRunning, Attempt: -1}}},
		} {
			w.refused(Report{Host: hostID(1), Session: 1, Seq: 9, Tasks: []TaskReport{r}}, ErrInvalid, want)
		}
		w.refused(Report{Host: hostID(1), Session: 1, Seq: 9, Tasks: make([]TaskReport, MaxReportTasks+1)}, ErrInvalid,
			"tasks")
		w.refused(Report{Host: hostID(1), Session: 1, Seq: 9, Capacity: &Resources{Memory: -1}}, ErrInvalid,
			"capacity.memory")
	})
	t.Run("a capacity below what is reserved is taken as it is", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.runs("web", 1)
		w.wait(1)
		w.must(Report{Host: hostID(1), Session: 1, Seq: 9, Capacity: &Resources{CPU: 1, Memory: 1}})
		if free := w.Free(hostID(1)); free.CPU >= 0 {
			t.Errorf("free %v", free)
		}
		w.checked()
	})
	t.Run("long reasons are cut, not refused", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.runs("web", 1)
		r := stopped("web-1", 1)
		r.Reason, r.Exits[0].Reason = strings.Repeat("ü", 5000), "bad \xff byte"
		w.report(1, r)
		if task := w.task("web-1"); len(task.Reason) > MaxReason || task.Exits[0].Reason != "bad ? byte" {
			t.Errorf("%d bytes, %q", len(task.Reason), task.Exits[0].Reason)
		}
	})
}

func TestStopsInReports(t *testing.T) {
	t.Run("a task that ends by itself is to stop, with its host's code", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.runs("web", 1)
		w.report(1, TaskReport{Task: "web-1", Status: TaskStopping, Attempt: 1})
		task := w.task("web-1")
		if task.Desired != TaskStopped || task.StopCode != StopEssentialContainerExited || task.StoppingAt != w.at ||
			task.Stopped() {
			t.Errorf("task %+v", task)
		}
		if c := w.counts("web"); c.Stopping != 1 || c.Running != 0 {
			t.Errorf("counts %+v", c)
		}
		code := 137
		w.report(1, TaskReport{Task: "web-1", Status: TaskStopped, Attempt: 1, StopCode: StopEssentialContainerExited,
			Reason: "Essential container in task exited",
			Exits:  []ContainerExit{{"app", &code, "OutOfMemoryError: memory limit 128 MiB"}}})
		task = w.task("web-1")
		if !task.Stopped() || task.StoppedAt != w.at || task.Reason != "Essential container in task exited" ||
			w.Reserved(hostID(1)) != (Resources{}) {
			t.Errorf("task %+v", task)
		}
	})
	t.Run("a task that never ran failed to start", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 1)
		w.create("web", 1, 1)
		w.assign(1, "web-1")
		w.report(1, TaskReport{Task: "web-1", Status: TaskStopped, Reason: "CannotPullContainerError: no such image"})
		if task := w.task("web-1"); task.StopCode != StopTaskFailedToStart || task.StartedAt != 0 {
			t.Errorf("task %+v", task)
		}
		if e := w.lastEvent(); e.Message != "task web-1 of web stopped: CannotPullContainerError: no such image" ||
			e.By != "host h1" {
			t.Errorf("decision %+v", e)
		}
	})
	t.Run("a task that was asked to stop keeps our code and reason", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.runs("web", 1)
		w.must(StopTasks{Tasks: []TaskID{"web-1"}, Cause: CauseScaleIn, Reason: "scaled in"})
		n := w.LastEvent()
		w.report(1, TaskReport{Task: "web-1", Status: TaskStopped, Attempt: 1, StopCode: StopEssentialContainerExited,
			Reason: "exited"})
		if task := w.task("web-1"); task.StopCode != StopServiceSchedulerInitiated || task.Reason != "scaled in" {
			t.Errorf("task %+v", task)
		}
		if w.Service("web").Failures != 0 || w.LastEvent() != n {
			t.Error("a stop of ours was counted as a failure")
		}
	})
	t.Run("many ends of one report are one decision", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 2)
		w.create("web", 1, 2)
		w.assign(1, "web-1", "web-2")
		n := w.LastEvent()
		w.report(1, stopped("web-1", 1), stopped("web-2", 2))
		if e := w.lastEvent(); w.LastEvent() != n+1 ||
			e.Message != "2 tasks on h1 stopped, the first, web-1 of web: app exit 1" || e.Counts[0].N != 2 {
			t.Errorf("decision %+v", e)
		}
	})
	t.Run("a run that was over before it was heard of has its length by the host's clock", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 1)
		w.create("web", 1, 1)
		w.assign(1, "web-1")
		w.wait(60_000)
		r := stopped("web-1", 1)
		r.StartedAt, r.StoppedAt = 1000, 31_000
		w.report(1, r)
		if task := w.task("web-1"); task.StartedAt != w.at-30_000 || task.StopCode != StopEssentialContainerExited ||
			w.Service("web").Failures != 0 {
			t.Errorf("task %+v", task)
		}
	})
}
