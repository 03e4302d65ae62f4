package fleet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pairFleet is a fleet of one host with one task of two containers, "app"
// (essential, checked) and "side".
func pairFleet(t *testing.T) *world {
	w := fleetOf(t, 1)
	def := webDef()
	def.Containers[0].HealthCheck = &HealthCheck{Command: []string{"true"}, IntervalS: 5, TimeoutS: 2, Retries: 1}
	side := def.Containers[0]
	side.Name, side.NotEssential, side.HealthCheck, side.PortMappings = "side", true, nil, nil
	def.Containers = append(def.Containers, side)
	w.must(RegisterTaskDef{Family: "pair", Def: def})
	w.must(RunTasks{TaskDef: "pair:1", Tasks: []TaskID{"one"}})
	w.assign(1, "one")
	return w
}

func TestContainersOfATaskAreKeptAsItsHostReportsThem(t *testing.T) {
	code := 3
	states := func() []ContainerState {
		return []ContainerState{
			{Name: "app", Status: TaskRunning, Health: HealthHealthy, Attempt: 1, StartedAt: 50},
			{Name: "side", Status: TaskStopped, ExitCode: &code, Reason: "bad", Attempt: 2, StartedAt: 40, StoppedAt: 60},
		}
	}
	w := pairFleet(t)
	r := TaskReport{Task: "one", Status: TaskRunning, Health: HealthHealthy, Attempt: 1, Containers: states()}
	w.report(1, r)
	if diff := cmp.Diff(states(), w.ContainersOf(w.task("one"))); diff != "" {
		t.Error(diff)
	}
	was := w.task("one").ModifyIndex
	r.Containers = states()
	if w.report(1, r); w.task("one").ModifyIndex != was {
		t.Error("the same states again are a change")
	}
	for what, change := range map[string]func(*ContainerState){
		"status":  func(c *ContainerState) { c.Status = TaskPending },
		"health":  func(c *ContainerState) { c.Health = HealthUnhealthy },
		"exit":    func(c *ContainerState) { c.ExitCode = new(int) },
		"reason":  func(c *ContainerState) { c.Reason = "other" },
		"attempt": func(c *ContainerState) { c.Attempt = 9 },
		"start":   func(c *ContainerState) { c.StartedAt++ },
		"stop":    func(c *ContainerState) { c.StoppedAt++ },
	} {
		r.Containers = states()
		change(&r.Containers[1])
		w.report(1, r)
		if diff := cmp.Diff(r.Containers, w.ContainersOf(w.task("one"))); diff != "" {
			t.Errorf("a changed %s is not taken: %s", what, diff)
		}
	}
	// The host's agent is one of the former build again: what it told before is old.
	r.Containers = nil
	w.report(1, r)
	for _, c := range w.ContainersOf(w.task("one")) {
		if c.Status != TaskRunning || c.Attempt != 1 {
			t.Errorf("a report without containers leaves %+v", c)
		}
	}
}

func TestContainersThatARowSaysAllOfAreNotKept(t *testing.T) {
	w := fleetOf(t, 1)
	w.runs("web", 1)
	one := []ContainerState{{Name: "app", Status: TaskRunning, Attempt: 1, StartedAt: 5}}
	w.report(1, TaskReport{Task: "web-1", Status: TaskRunning, Attempt: 1, Containers: one})
	if kept := w.task("web-1").Containers; kept != nil {
		t.Errorf("kept %+v", kept)
	}
	one[0].Attempt = 2
	w.report(1, TaskReport{Task: "web-1", Status: TaskRunning, Attempt: 1, Containers: one})
	if kept := w.task("web-1").Containers; len(kept) != 1 || kept[0].Attempt != 2 {
		t.Errorf("of one that was restarted is kept %+v", kept)
	}
}

func TestContainersFollowFromTheRowWhereItHasNone(t *testing.T) {
	w := pairFleet(t)
	show := func() [2]ContainerState {
		list := w.ContainersOf(w.task("one"))
		if len(list) != 2 || list[0].Name != "app" || list[1].Name != "side" {
			t.Fatalf("they are %+v", list)
		}
		return [2]ContainerState(list)
	}
	if got := show(); got[0].Status != TaskPending || got[1].Status != TaskPending {
		t.Errorf("before it starts: %+v", got)
	}
	w.report(1, TaskReport{Task: "one", Status: TaskRunning, Health: HealthUnhealthy, Attempt: 1})
	if got := show(); got[0].Status != TaskRunning || got[0].StartedAt != w.at || got[0].Health != HealthUnhealthy ||
		got[1].Health != 0 {
		t.Errorf("while it runs: %+v", got)
	}
	code := 7
	w.report(1, TaskReport{Task: "one", Status: TaskRunning, Attempt: 1,
		Exits: []ContainerExit{{Container: "side", Code: &code, Reason: "x"}}})
	if got := show(); got[0].Status != TaskRunning || got[1].Status != TaskStopped || *got[1].ExitCode != 7 ||
		got[1].Reason != "x" {
		t.Errorf("when the sidecar has ended: %+v", got)
	}
	w.report(1, TaskReport{Task: "one", Status: TaskStopped, Attempt: 1})
	if got := show(); got[0].Status != TaskStopped || got[0].StoppedAt != w.at || got[0].Health != 0 {
		t.Errorf("when it has stopped: %+v", got)
	}
}

func TestContainersOfATaskDeclaredStoppedAreConfirmedWithIt(t *testing.T) {
	w := pairFleet(t)
	w.report(1, TaskReport{Task: "one", Status: TaskRunning, Attempt: 1})
	w.must(SilenceHost{Host: hostID(1), Session: 1})
	w.wait(300_000)
	w.must(LoseHost{Host: hostID(1), Session: 1})
	w.must(ExpireTasks{Host: hostID(1)})
	w.must(session(1, 2))
	states := []ContainerState{{Name: "app", Status: TaskStopped, Attempt: 1},
		{Name: "side", Status: TaskStopped, Attempt: 1}}
	w.report(1, TaskReport{Task: "one", Status: TaskStopped, Attempt: 1, Containers: states})
	if diff := cmp.Diff(states, w.task("one").Containers); diff != "" || w.task("one").Unconfirmed {
		t.Errorf("unconfirmed %v: %s", w.task("one").Unconfirmed, diff)
	}
}
