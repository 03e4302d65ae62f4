package invariant

import (
	"testing"

	"skein/raftfsm/fleet"
)

func TestTasksStartOnceInABoot(t *testing.T) {
	one := func(r *rig) (fleet.TaskID, Machine) {
		id := r.service("web", 1, 100, 200)[0]
		return id, r.live(id)
	}
	tell(t, []story{
		{"a record, a container, a start", "", func(r *rig) { one(r) }},
		{"a container that never started is removed and made again", "", func(r *rig) {
			r.service("web", 1, 100, 200)
			m := r.machine("h1")
			r.c.StartRecorded(m, "web-0", "app", 1, 1)
			r.c.ContainerCreated(m, "web-0", "app", 1)
			r.c.ContainerEnded(m, "web-0", "app", Removed)
			r.c.ContainerCreated(m, "web-0", "app", 1)
			r.c.ContainerStarted(m, "web-0", "app", 1)
		}},
		{"after a reboot the second attempt begins", "", func(r *rig) {
			id, m := one(r)
			r.c.MachineOff(m)
			m.Boot = "boot-2"
			r.c.StartRecorded(m, id, "app", 2, 2)
			r.c.ContainerCreated(m, id, "app", 2)
			r.c.ContainerStarted(m, id, "app", 2)
		}},
		{"a container starts twice in one boot", "I6", func(r *rig) {
			id, m := one(r)
			r.c.ContainerEnded(m, id, "app", Itself)
			r.c.ContainerCreated(m, id, "app", 1)
			r.c.ContainerStarted(m, id, "app", 1)
		}},
		{"two attempts in one boot", "I6", func(r *rig) {
			id, m := one(r)
			r.c.StartRecorded(m, id, "app", 2, 2)
		}},
		{"a container without a record", "I6", func(r *rig) {
			r.service("web", 1, 100, 200)
			r.c.ContainerCreated(r.machine("h1"), "web-0", "app", 1)
		}},
		{"a container with the record of another one", "I6", func(r *rig) {
			_, m := one(r)
			r.c.ContainerCreated(m, "web-0", "side", 1)
		}},
		{"the record is of the boot before", "I6", func(r *rig) {
			id, m := one(r)
			r.c.MachineOff(m)
			m.Boot = "boot-2"
			r.c.ContainerCreated(m, id, "app", 1)
		}},
		{"a task that its host called STOPPED starts again after a reboot", "I6", func(r *rig) {
			id, m := one(r)
			r.c.ContainerEnded(m, id, "app", Itself)
			r.report(fleet.TaskReport{Task: id, Status: fleet.TaskStopped, Attempt: 1})
			r.c.MachineOff(m)
			m.Boot = "boot-2"
			r.c.StartRecorded(m, id, "app", 2, 2)
			r.c.ContainerCreated(m, id, "app", 2)
			r.c.ContainerStarted(m, id, "app", 2)
		}},
		{"a machine runs another one's task", "I9", func(r *rig) {
			id, _ := one(r)
			m := r.machine("h2")
			r.c.StartRecorded(m, id, "app", 1, 1)
			r.c.ContainerCreated(m, id, "app", 1)
		}},
		{"a task that nobody ever created", "I9", func(r *rig) {
			m := r.machine("h2")
			r.c.StartRecorded(m, "ghost", "app", 1, 1)
			r.c.ContainerCreated(m, "ghost", "app", 1)
		}},
	})
}

func TestTaskIDsAreNew(t *testing.T) {
	tell(t, []story{
		{"an id comes back after its task was pruned", "I6", func(r *rig) {
			r.do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"one"}},
				fleet.StopTasks{Tasks: []fleet.TaskID{"one"}, Cause: fleet.CauseOperator})
			r.pass(2 * fleet.PruneKept)
			r.do(fleet.Prune{Before: dawn.Add(fleet.PruneKept)}, fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"one"}})
		}},
	})
}
