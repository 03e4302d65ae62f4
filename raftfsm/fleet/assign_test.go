package fleet

import (
	"fmt"
	"slices"
	"testing"
)

func TestAssignTasks(t *testing.T) {
	ready := func(t *testing.T) *world {
		w := fleetOf(t, 2)
		w.service("web", 4)
		w.create("web", 1, 4)
		return w
	}
	t.Run("gives a run of tasks to a host and reserves there", func(t *testing.T) {
		w := ready(t)
		w.assign(2, "web-1", "web-3")
		if task := w.task("web-1"); task.Host != hostID(2) || task.Last != TaskPending || task.AssignedAt != w.at ||
			task.ModifyIndex != w.Index() {
			t.Errorf("task %+v", task)
		}
		if r := w.Reserved(hostID(2)); r != (Resources{512, 256}) || w.Free(hostID(2)) != (Resources{3584, 7936}) {
			t.Errorf("reserved %v", r)
		}
		if w.TasksOnHost("web", hostID(2)) != 2 || w.UnassignedCount() != 2 ||
			w.Host(hostID(2)).WantedModifyIndex != w.Index() {
			t.Errorf("on host %d", w.TasksOnHost("web", hostID(2)))
		}
		if got := slices.Collect(w.outcome.ChangeSet.WantedHosts()); len(got) != 1 || got[0] != hostID(2) {
			t.Errorf("wanted %v", got)
		}
		w.refused(AssignTasks{Host: hostID(1), Tasks: []TaskID{"web-2", "web-1"}}, ErrConflict, "web-1")
	})
	t.Run("is refused where hosts take no tasks", func(t *testing.T) {
		w := ready(t)
		c := AssignTasks{Host: hostID(2), Tasks: []TaskID{"web-1"}}
		w.must(CordonHost{Host: hostID(2)})
		w.refused(c, ErrNotPlaceable, "cordoned")
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.refused(c, ErrNotPlaceable, "silent")
		w.must(AdmitHost{Token: "tok", SecretHash: blob(32), Host: admission(3)})
		w.refused(AssignTasks{Host: hostID(3), Tasks: c.Tasks}, ErrNotPlaceable, "joining")
		w.refused(AssignTasks{Host: "h-x", Tasks: c.Tasks}, ErrNotFound, "h-x")
	})
	t.Run("is refused as a whole when they do not fit", func(t *testing.T) {
		w := ready(t)
		w.must(Report{Host: hostID(2), Session: 1, Seq: 2, Capacity: &Resources{CPU: 767, Memory: 8192}})
		w.refused(AssignTasks{Host: hostID(2), Tasks: []TaskID{"web-1", "web-2", "web-3"}}, ErrDoesNotFit, "cpu 768")
		w.assign(2, "web-1", "web-2")
	})
	t.Run("is refused for a task that is to stop, not there, or given twice", func(t *testing.T) {
		w := ready(t)
		w.must(StopTasks{Tasks: []TaskID{"web-1"}, Cause: CauseOperator, Reason: "x"})
		w.refused(AssignTasks{Host: hostID(2), Tasks: []TaskID{"web-1"}}, ErrConflict, "web-1")
		w.refused(AssignTasks{Host: hostID(2), Tasks: []TaskID{"nope"}}, ErrNotFound, "nope")
		w.refused(AssignTasks{Host: hostID(2), Tasks: []TaskID{"web-2", "web-2"}}, ErrConflict, "web-2")
		w.refused(AssignTasks{Host: hostID(2)}, ErrInvalid, "tasks")
	})
	t.Run("carries one definition only", func(t *testing.T) {
		w := ready(t)
		w.service("db", 1)
		w.create("db", 1, 1)
		w.refused(AssignTasks{Host: hostID(2), Tasks: []TaskID{"web-1", "db-1"}}, ErrInvalid, "one definition")
	})
}

func TestARunOfSeveralServicesIsCountedForEach(t *testing.T) {
	w := fleetOf(t, 2)
	w.service("web", 2)
	w.must(PutService{Name: "api", TaskDef: "web:1", Desired: 2, MinPercent: 100, MaxPercent: 200})
	w.create("web", 1, 2)
	w.create("api", 1, 2)
	w.must(RunTasks{TaskDef: "web:1", Tasks: []TaskID{"job"}})
	w.must(PutCondition{Subject: TaskSubject("job"), Code: "no-host", Message: "it waits"})
	w.assign(2, "api-1", "web-1", "job", "web-2")
	if got := w.outcome.ChangeSet.Services(); !slices.Equal(got, []string{"api", "web"}) {
		t.Errorf("changed services %v", got)
	}
	if web, api := w.TasksByZone("web"), w.TasksByZone("api"); web["b"] != 2 || api["b"] != 1 {
		t.Errorf("by zone: web %v, api %v", web, api)
	}
	if c := w.Condition(TaskSubject("job"), ""); c != nil || len(slices.Collect(w.Conditions())) != 0 {
		t.Errorf("it has a host, and waits: %+v", c)
	}
	if r := w.Reserved(hostID(2)); r != (Resources{1024, 512}) {
		t.Errorf("reserved %v", r)
	}
	w.checked()
}

func TestAssignPorts(t *testing.T) {
	def := webDef()
	def.Containers[0].PortMappings = []PortMapping{{ContainerPort: 80, HostPort: 8080, Protocol: TCP},
		{ContainerPort: 81, Protocol: TCP}}
	w := fleetOf(t, 2)
	w.must(RegisterTaskDef{Family: "web", Def: def})
	w.must(PutService{Name: "web", TaskDef: "web:1", Desired: 4, MaxPercent: 100})
	w.create("web", 1, 4)
	ports := func(fixed, dynamic int) []PortBinding {
		return []PortBinding{{"app", 81, dynamic, TCP}, {"app", 80, fixed, TCP}}
	}
	assign := func(n int, lists ...[]PortBinding) AssignTasks {
		c := AssignTasks{Host: hostID(n), Ports: lists}
		for i := range lists {
			c.Tasks = append(c.Tasks, TaskID(fmt.Sprintf("web-%d", i+1)))
		}
		return c
	}
	w.refused(AssignTasks{Host: hostID(1), Tasks: []TaskID{"web-1"}}, ErrInvalid, "ports")
	w.refused(assign(1, ports(8080, 50000)[:1]), ErrInvalid, "the definition maps 2")
	w.refused(assign(1, ports(8081, 50000)), ErrInvalid, "fixes 8080")
	w.refused(assign(1, ports(8080, 5000)), ErrInvalid, "dynamic ports are")
	w.refused(assign(1, append(ports(8080, 50000)[:1], ports(8080, 50001)[:1]...)), ErrInvalid, "there twice")
	w.refused(assign(1, ports(8080, 50000), ports(8080, 50001)), ErrPortTaken, "8080/tcp")
	w.must(assign(1, ports(8080, 50000)))
	c := assign(1, ports(8080, 50002))
	c.Tasks[0] = "web-2"
	w.refused(c, ErrPortTaken, "8080/tcp")
	c.Host = hostID(2)
	w.must(c)
	if !w.PortTaken(hostID(1), TCP, 50000) || w.PortTaken(hostID(1), UDP, 50000) || w.PortTaken(hostID(2), TCP, 50000) {
		t.Error("ports are not kept per host and protocol")
	}
	w.must(StopTasks{Tasks: []TaskID{"web-1"}, Cause: CauseOperator, Reason: "x"})
	if !w.PortTaken(hostID(1), TCP, 8080) {
		t.Error("a port was given back before the task stopped")
	}
	w.report(1, stopped("web-1", 143))
	if held := slices.Collect(w.PortsOf(hostID(1))); len(held) != 0 {
		t.Errorf("held after the stop: %v", held)
	}
	w.checked()
}
