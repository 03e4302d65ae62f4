package invariant

import (
	"testing"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func TestNothingStopsWithoutACause(t *testing.T) {
	send := func(r *rig, m Machine, id fleet.TaskID, code fleet.StopCode) {
		r.c.Signalled(Signal{On: m, Task: id, Container: "app", Number: 15, Code: code})
	}
	one := func(r *rig) (fleet.TaskID, Machine) {
		id := r.service("web", 1, 100, 200)[0]
		return id, r.live(id)
	}
	cutOff := func(r *rig) (fleet.TaskID, Machine) {
		id, m := one(r)
		r.do(fleet.PutService{Name: "web", ExpectedModifyIndex: r.s.Service("web").ModifyIndex, TaskDef: "app:1", Desired: 1,
			MinPercent: 100, MaxPercent: 200, OnDisconnect: fleet.OnDisconnect{StopAfterMs: 60_000}})
		return id, m
	}
	tell(t, []story{
		{"the fleet asked", "", func(r *rig) {
			id, m := one(r)
			r.do(asked(id))
			send(r, m, id, 0)
			r.c.ContainerEnded(m, id, "app", Signalled)
		}},
		{"its host was lost, so it was declared stopped", "", func(r *rig) {
			id, m := one(r)
			r.c.Linked("h1", 0, 1)
			r.do(fleet.SilenceHost{Host: "h1", Session: 1})
			r.pass(6 * time.Minute)
			r.do(fleet.LoseHost{Host: "h1", Session: 1}, fleet.ExpireTasks{Host: "h1"})
			send(r, m, id, 0)
		}},
		{"a container of it ended by itself, the other is taken down", "", func(r *rig) {
			id, m := one(r)
			r.c.StartRecorded(m, id, "side", 1, 1)
			r.c.ContainerCreated(m, id, "side", 1)
			r.c.ContainerStarted(m, id, "side", 1)
			r.c.ContainerEnded(m, id, "app", Itself)
			r.c.Signalled(Signal{On: m, Task: id, Container: "side", Number: 15, Code: fleet.StopEssentialContainerExited})
		}},
		{"its start failed before it ran", "", func(r *rig) {
			r.service("web", 0, 100, 200)
			r.do(fleet.ScaleService{Name: "web", Desired: 1})
			r.place("web/1", "web-0", "h1")
			send(r, r.live("web-0"), "web-0", fleet.StopTaskFailedToStart)
		}},
		{"cut off for longer than onDisconnect", "", func(r *rig) {
			id, m := cutOff(r)
			r.c.Linked("h1", 0, 1)
			r.pass(time.Minute)
			send(r, m, id, fleet.StopInfrastructureHealth)
		}},
		{"cut off for longer than onDisconnect, and back a moment ago", "", func(r *rig) {
			id, m := cutOff(r)
			r.c.Linked("h1", 0, 1)
			r.pass(time.Minute)
			r.c.Linked("h1", 1, 1)
			r.pass(time.Second)
			send(r, m, id, fleet.StopInfrastructureHealth)
		}},
		{"cut off for half of onDisconnect", "I10", func(r *rig) {
			id, m := cutOff(r)
			r.c.Linked("h1", 0, 1)
			r.pass(30 * time.Second)
			send(r, m, id, fleet.StopInfrastructureHealth)
		}},
		{"touched by faults for as long as onDisconnect, though linked", "", func(r *rig) {
			id, m := cutOff(r)
			r.c.Disturbed("h1", 20*time.Second)
			r.pass(10 * time.Second)
			r.c.Disturbed("h1", time.Minute)
			r.pass(time.Minute)
			send(r, m, id, fleet.StopInfrastructureHealth)
		}},
		{"without a leader for longer than onDisconnect", "", func(r *rig) {
			id, m := cutOff(r)
			r.leads("h2.1")
			r.c.HostCondition("h2", virtual.Off)
			r.pass(time.Minute)
			send(r, m, id, fleet.StopInfrastructureHealth)
		}},
		{"without a leader for a moment only", "I10", func(r *rig) {
			id, m := cutOff(r)
			r.leads("h2.1")
			r.c.HostCondition("h2", virtual.Off)
			r.pass(5 * time.Second)
			r.leads("h1.1")
			r.pass(55 * time.Second)
			send(r, m, id, fleet.StopInfrastructureHealth)
		}},
		{"cut off long ago, and heard since", "I10", func(r *rig) {
			id, m := cutOff(r)
			r.c.Linked("h1", 0, 1)
			r.pass(5 * time.Minute)
			r.c.Linked("h1", 1, 1)
			r.pass(cutLate + time.Second)
			send(r, m, id, fleet.StopInfrastructureHealth)
		}},
		{"cut off, and to be kept", "I10", func(r *rig) {
			id, m := one(r)
			r.c.Linked("h1", 0, 1)
			r.pass(time.Hour)
			send(r, m, id, fleet.StopInfrastructureHealth)
		}},
		{"absent from a list, and wanted by every entry", "I10", func(r *rig) {
			id, m := one(r)
			send(r, m, id, 0)
		}},
		{"an essential container is said to have exited, and none has", "I10", func(r *rig) {
			id, m := one(r)
			send(r, m, id, fleet.StopEssentialContainerExited)
		}},
		{"a start is said to have failed, and it runs", "I10", func(r *rig) {
			id, m := one(r)
			send(r, m, id, fleet.StopTaskFailedToStart)
		}},
		{"a container dies of a signal that nobody sent", "I10", func(r *rig) {
			id, m := one(r)
			r.c.ContainerEnded(m, id, "app", Signalled)
		}},
	})
}
