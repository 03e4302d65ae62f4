package invariant

import (
	"fmt"
	"testing"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func TestReservationsEndWithContainers(t *testing.T) {
	tell(t, []story{
		{"STOPPED after its container ended", "", func(r *rig) {
			id := r.service("web", 1, 100, 200)[0]
			m := r.live(id)
			r.c.ContainerEnded(m, id, "app", Itself)
			r.report(fleet.TaskReport{Task: id, Status: fleet.TaskStopped, Attempt: 1})
		}},
		{"STOPPED while its container runs", "I3", func(r *rig) {
			id := r.service("web", 1, 100, 200)[0]
			r.live(id)
			r.report(fleet.TaskReport{Task: id, Status: fleet.TaskStopped, Attempt: 1})
		}},
		{"a container made late is removed within three minutes", "", func(r *rig) {
			m := late(r)
			r.pass(2 * time.Minute)
			r.c.ContainerEnded(m, "web-0", "app", Removed)
			r.pass(lateBound)
			r.do()
			r.c.tick()
		}},
		{"a container made late stays", "I3", func(r *rig) {
			late(r)
			r.pass(lateBound)
			r.c.tick()
		}},
		{"a container made late stays as long as the agent is down, and no longer", "I3", func(r *rig) {
			late(r)
			r.c.HostCondition("h1", virtual.Down)
			r.pass(lateBound)
			r.c.tick()
			if len(r.broken) > 0 {
				r.t.Fatalf("broken too early: %v", r.broken)
			}
			r.c.HostCondition("h1", virtual.Up)
			r.pass(2 * lateBound)
			r.c.tick()
		}},
	})
}

// late makes a container of a task that has stopped.
func late(r *rig) Machine {
	id := r.service("web", 1, 100, 200)[0]
	m := r.machine("h1")
	r.c.StartRecorded(m, id, "app", 1, 1)
	r.report(fleet.TaskReport{Task: id, Status: fleet.TaskStopped, Attempt: 1})
	r.c.ContainerCreated(m, id, "app", 1)
	return m
}

func TestMachinesHoldWhatLivesOnThem(t *testing.T) {
	port := func(n int) [][]fleet.PortBinding {
		return [][]fleet.PortBinding{{{Container: "app", ContainerPort: 80, HostPort: n, Protocol: fleet.TCP}}}
	}
	plain := func(r *rig, host fleet.HostID, id fleet.TaskID) {
		r.do(fleet.RunTasks{TaskDef: "plain:1", Tasks: []fleet.TaskID{id}},
			fleet.AssignTasks{Host: host, Tasks: []fleet.TaskID{id}, Ports: port(8080)})
	}
	// freed has State free a task's reservation though its containers run, as a
	// bug would.
	freed := func(r *rig, id fleet.TaskID) {
		r.report(fleet.TaskReport{Task: id, Status: fleet.TaskStopped, Attempt: 1})
	}
	tell(t, []story{
		{"four tasks of 256 fill 1024", "", func(r *rig) {
			for i := range 4 {
				id := fleet.TaskID(fmt.Sprint("t", i))
				r.do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{id}},
					fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{id}})
				r.live(id)
			}
		}},
		{"a fifth comes while one said to be STOPPED runs", "I3", func(r *rig) {
			for i := range 5 {
				id := fleet.TaskID(fmt.Sprint("t", i))
				if i == 4 {
					freed(r, "t0")
				}
				r.do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{id}},
					fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{id}})
				r.live(id)
			}
		}},
		{"a machine that shrank holds more than it has", "", func(r *rig) {
			for i := range 4 {
				id := fleet.TaskID(fmt.Sprint("t", i))
				r.do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{id}},
					fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{id}})
			}
			r.seqs["h1"]++
			r.do(fleet.Report{Host: "h1", Session: 1, Seq: r.seqs["h1"], Capacity: &fleet.Resources{CPU: 512, Memory: 512}})
			for i := range 4 {
				r.live(fleet.TaskID(fmt.Sprint("t", i)))
			}
		}},
		{"a port is taken by a task that lives after its end was said", "I3", func(r *rig) {
			plain(r, "h1", "p1")
			r.live("p1")
			freed(r, "p1")
			plain(r, "h1", "p2")
			r.live("p2")
		}},
		{"a port is taken after its holder has ended", "", func(r *rig) {
			plain(r, "h1", "p1")
			m := r.live("p1")
			r.c.ContainerEnded(m, "p1", "app", Itself)
			freed(r, "p1")
			plain(r, "h1", "p2")
			r.live("p2")
		}},
		{"one port on two machines", "", func(r *rig) {
			plain(r, "h1", "p1")
			plain(r, "h2", "p2")
			r.live("p1")
			r.live("p2")
		}},
	})
}
