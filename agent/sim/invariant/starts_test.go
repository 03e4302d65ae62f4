package invariant

import (
	"fmt"
	"testing"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// create is a planner's start of tasks of the first revision of web.
func create(ids ...fleet.TaskID) fleet.CreateTasks {
	return fleet.CreateTasks{Revision: "web/1", Tasks: ids}
}

func TestStartsKeepTheBackOff(t *testing.T) {
	// exits has a task of web end by itself at once.
	exits := func(r *rig, id fleet.TaskID) {
		r.report(fleet.TaskReport{Task: id, Status: fleet.TaskStopped, StopCode: fleet.StopEssentialContainerExited,
			Attempt: 1})
	}
	again := func(r *rig, id fleet.TaskID) {
		r.by("service", create(id))
		r.do(fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{id}})
		r.run(id)
	}
	tell(t, []story{
		{"a second after the first failure", "", func(r *rig) {
			exits(r, r.service("web", 1, 100, 200)[0])
			r.pass(time.Second)
			r.by("service", create("next"))
		}},
		{"at once", "starts", func(r *rig) {
			exits(r, r.service("web", 1, 100, 200)[0])
			r.by("service", create("next"))
		}},
		{"by a plan that was made before the failure", "", func(r *rig) {
			ids := r.service("web", 2, 100, 200)
			r.do(fleet.StopTasks{Tasks: ids[1:], Cause: fleet.CauseOperator})
			r.planned = r.s.Index()
			exits(r, ids[0])
			r.by("service", create("next"))
		}},
		{"a second after the second failure in a row", "starts", func(r *rig) {
			exits(r, r.service("web", 1, 100, 200)[0])
			r.pass(time.Second)
			again(r, "next")
			exits(r, "next")
			r.pass(time.Second)
			r.by("service", create("third"))
		}},
		{"at once after a task that lasted", "", func(r *rig) {
			id := r.service("web", 1, 100, 200)[0]
			r.pass(10 * time.Second)
			exits(r, id)
			r.by("service", create("next"))
		}},
		{"an operator's new revision begins afresh", "", func(r *rig) {
			exits(r, r.service("web", 1, 100, 200)[0])
			v := r.s.Service("web")
			r.do(fleet.PutService{Name: "web", ExpectedModifyIndex: v.ModifyIndex, TaskDef: "app:1", Desired: 1, MinPercent: 100,
				MaxPercent: 200, Force: true})
			r.by("service", fleet.CreateTasks{Revision: "web/2", Tasks: []fleet.TaskID{"next"}})
		}},
	})
}

func TestOnlyWhatIsMissingStarts(t *testing.T) {
	tell(t, []story{
		{"one of three is missing", "", func(r *rig) {
			ids := r.service("web", 3, 100, 200)
			r.do(asked(ids[0]))
			r.by("service", create("next"))
		}},
		{"none is missing", "starts", func(r *rig) {
			r.service("web", 3, 100, 200)
			r.by("service", create("next"))
		}},
		{"one is unhealthy, and another stands in", "", func(r *rig) {
			ids := r.service("web", 2, 100, 200)
			r.report(fleet.TaskReport{Task: ids[0], Status: fleet.TaskRunning, Health: fleet.HealthUnhealthy, Attempt: 1})
			r.by("service", create("next"))
		}},
		{"one is unhealthy in its grace period, and may yet be well", "starts", func(r *rig) {
			r.do(fleet.PutService{Name: "web", TaskDef: "app:1", Desired: 1, MinPercent: 0, MaxPercent: 200, GraceS: 60},
				create("a"),
				fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{"a"}})
			r.report(fleet.TaskReport{Task: "a", Status: fleet.TaskRunning, Health: fleet.HealthUnhealthy, Attempt: 1})
			r.by("service", create("b"))
		}},
	})
}

func TestStopAfterWorkHasOneCopy(t *testing.T) {
	// cutOff is a service of one task on a host that is cut off, and silent.
	cutOff := func(r *rig) Machine {
		r.do(fleet.PutService{Name: "web", TaskDef: "app:1", Desired: 1, MinPercent: 0, MaxPercent: 100,
			OnDisconnect: fleet.OnDisconnect{StopAfterMs: 30_000}})
		r.place("web/1", "web-0", "h1")
		r.run("web-0")
		m := r.live("web-0")
		r.pass(2 * time.Minute)
		r.c.Linked("h1", 0, 1)
		r.by("hosts", fleet.SilenceHost{Host: "h1", Session: 1})
		return m
	}
	// besides has another revision stand beside the first.
	besides := func(r *rig) {
		v := r.s.Service("web")
		r.do(fleet.PutService{Name: "web", ExpectedModifyIndex: v.ModifyIndex, TaskDef: "app:1", Desired: 1, MinPercent: 0,
			MaxPercent: 100, OnDisconnect: v.OnDisconnect, Force: true})
		r.by("deploy", fleet.PutGoals{Service: "web", ServiceModifyIndex: r.s.Service("web").ModifyIndex, Max: 2,
			Revisions: []fleet.RevisionGoal{{Revision: "web/1", Desired: 1, Max: 1}, {Revision: "web/2", Desired: 1, Max: 1}}})
	}
	tell(t, []story{
		{"it has ended before another starts", "", func(r *rig) {
			m := cutOff(r)
			r.pass(40 * time.Second)
			r.c.Signalled(Signal{On: m, Task: "web-0", Container: "app", Number: 15, Code: fleet.StopInfrastructureHealth})
			r.c.ContainerEnded(m, "web-0", "app", Signalled)
			r.by("service", create("next"))
		}},
		{"it still runs", "one copy", func(r *rig) {
			cutOff(r)
			r.pass(time.Minute)
			r.by("service", create("next"))
		}},
		{"it runs, though its host was lost", "one copy", func(r *rig) {
			cutOff(r)
			r.pass(6 * time.Minute)
			r.by("hosts", fleet.LoseHost{Host: "h1", Session: 1}, fleet.ExpireTasks{Host: "h1"})
			r.by("service", create("next"))
		}},
		{"a task of another revision starts beside it", "", func(r *rig) {
			cutOff(r)
			besides(r)
			r.pass(time.Minute)
			r.by("service", fleet.CreateTasks{Revision: "web/2", Tasks: []fleet.TaskID{"next"}})
		}},
		{"another revision stands beside it, and it is replaced", "one copy", func(r *rig) {
			cutOff(r)
			besides(r)
			r.pass(time.Minute)
			r.by("service", fleet.CreateTasks{Revision: "web/2", Tasks: []fleet.TaskID{"other"}}, create("next"))
		}},
		{"its host could not end it", "", func(r *rig) {
			cutOff(r)
			r.c.Impaired("h1", true)
			r.pass(time.Minute)
			r.by("service", create("next"))
		}},
		{"an operator had asked it to stop", "", func(r *rig) {
			cutOff(r)
			r.do(asked("web-0"))
			r.by("service", create("next"))
		}},
		{"its onDisconnect is new", "", func(r *rig) {
			cutOff(r)
			v := r.s.Service("web")
			r.do(fleet.PutService{Name: "web", ExpectedModifyIndex: v.ModifyIndex, TaskDef: "app:1", Desired: 1, MinPercent: 0,
				MaxPercent: 100, OnDisconnect: fleet.OnDisconnect{StopAfterMs: 1_000}})
			r.pass(time.Minute)
			r.by("service", create("next"))
		}},
	})
}

func TestUnhealthyTasksHaveTheirGrace(t *testing.T) {
	sick := func(r *rig) {
		r.do(fleet.PutService{Name: "web", TaskDef: "app:1", Desired: 2, MinPercent: 0, MaxPercent: 100, GraceS: 60},
			create("a"),
			fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{"a"}})
		r.report(fleet.TaskReport{Task: "a", Status: fleet.TaskRunning, Health: fleet.HealthUnhealthy, Attempt: 1})
	}
	end := fleet.StopTasks{Tasks: []fleet.TaskID{"a"}, Cause: fleet.CauseTaskFailed, Reason: "unhealthy"}
	tell(t, []story{
		{"it is stopped after it", "", func(r *rig) { sick(r); r.pass(time.Minute); r.by("service", end) }},
		{"it is stopped within it", "grace", func(r *rig) { sick(r); r.pass(59 * time.Second); r.by("service", end) }},
		{"it is surplus within it", "", func(r *rig) { sick(r); r.by("service", stop("a")) }},
	})
}

func TestSurplusStopsInTheFullestZone(t *testing.T) {
	// four tasks run, two in each zone, and a planner has seen that.
	four := func(r *rig) []fleet.TaskID {
		ids := r.service("web", 4, 0, 100) // 0 and 2 in zone a, 1 and 3 in zone b
		r.planned = r.s.Index()
		return ids
	}
	tell(t, []story{
		{"one of each zone", "", func(r *rig) { ids := four(r); r.by("service", stop(ids[0], ids[1])) }},
		{"both of one zone", "I13", func(r *rig) { ids := four(r); r.by("service", stop(ids[0], ids[2])) }},
		{"both of one zone, while a task of another kind stops", "", func(r *rig) {
			ids := four(r)
			r.report(fleet.TaskReport{Task: ids[2], Status: fleet.TaskRunning, Health: fleet.HealthUnhealthy, Attempt: 1})
			r.planned = r.s.Index()
			r.by("service", stop(ids[0], ids[2]))
		}},
		{"both of one zone, though one of the other fell ill since", "", func(r *rig) {
			ids := four(r)
			r.report(fleet.TaskReport{Task: ids[1], Status: fleet.TaskRunning, Health: fleet.HealthUnhealthy, Attempt: 1})
			r.by("service", stop(ids[0], ids[2]))
		}},
		{"both of one zone by an operator", "", func(r *rig) { ids := four(r); r.do(asked(ids[0], ids[2])) }},
	})
}

func TestMassSilenceIsSlowed(t *testing.T) {
	nine := func(r *rig) {
		for i := 3; i <= 9; i++ {
			r.host(fleet.HostID(fmt.Sprintf("h%d", i)), string("abc"[i%3]))
		}
	}
	silence := func(r *rig, ids ...fleet.HostID) {
		for _, id := range ids {
			r.c.Linked(id, 0, 1)
			r.by("hosts", fleet.SilenceHost{Host: id, Session: 1})
		}
	}
	tell(t, []story{
		{"three of nine at once", "", func(r *rig) { nine(r); silence(r, "h1", "h2", "h3") }},
		{"four of nine at once", "silence", func(r *rig) { nine(r); silence(r, "h1", "h2", "h3", "h4") }},
		{"the fourth 10 s later", "", func(r *rig) {
			nine(r)
			silence(r, "h1", "h2", "h3")
			r.pass(10 * time.Second)
			silence(r, "h4")
		}},
		{"a fourth at once, for one is back", "", func(r *rig) {
			nine(r)
			silence(r, "h1", "h2", "h3")
			r.do(fleet.ReturnHost{Host: "h1", Session: 1})
			silence(r, "h4")
		}},
		{"most of the fleet, one after the other", "silence", func(r *rig) {
			nine(r)
			for _, id := range []fleet.HostID{"h1", "h2", "h3", "h4", "h5"} {
				r.pass(10 * time.Second)
				silence(r, id)
			}
		}},
		{"more than half, of which one is heard again and held back", "", func(r *rig) {
			nine(r)
			for _, id := range []fleet.HostID{"h1", "h2", "h3", "h4", "h5"} {
				r.pass(10 * time.Second)
				silence(r, id)
				r.c.Linked("h1", 1, 1)
			}
		}},
		{"more than half, of which one is heard again by one voter of three", "", func(r *rig) {
			nine(r)
			for _, id := range []fleet.HostID{"h1", "h2", "h3", "h4", "h5"} {
				r.pass(10 * time.Second)
				silence(r, id)
				r.c.Linked("h1", 1, 3)
			}
		}},
		{"more than half, of which one was heard again a moment before", "", func(r *rig) {
			nine(r)
			for _, id := range []fleet.HostID{"h1", "h2", "h3", "h4"} {
				r.pass(10 * time.Second)
				silence(r, id)
			}
			r.c.Linked("h1", 1, 1)
			r.pass(10 * time.Second)
			r.c.HostCondition("h1", virtual.Off)
			r.pass(2 * time.Second)
			silence(r, "h5")
		}},
		{"more than half, of which one was heard again a while before", "silence", func(r *rig) {
			nine(r)
			for _, id := range []fleet.HostID{"h1", "h2", "h3", "h4"} {
				r.pass(10 * time.Second)
				silence(r, id)
			}
			r.c.Linked("h1", 1, 1)
			r.pass(2 * time.Second)
			r.c.HostCondition("h1", virtual.Off)
			r.pass(10 * time.Second)
			silence(r, "h5")
		}},
		{"two of two, of which one was heard until a moment before it was silenced", "silence", func(r *rig) {
			r.c.Linked("h1", 0, 1)
			r.pass(time.Second)
			silence(r, "h1")
			r.pass(time.Second)
			silence(r, "h2")
		}},
		{"two of two", "silence", func(r *rig) { silence(r, "h1", "h2") }},
	})
}

func TestOurOwnActionLeavesEnoughVoters(t *testing.T) {
	// voters makes voters of hosts.
	voters := func(r *rig, n int) {
		for i := 2; i <= n; i++ {
			id := fleet.HostID(fmt.Sprintf("h%d", i))
			if i > 2 {
				r.host(id, "c")
			}
			for _, phase := range []fleet.VoterPhase{fleet.VoterPreparing, fleet.VoterLearning, fleet.VoterVoting} {
				r.by("keeper", fleet.SetVoter{ID: fleet.MakeRaftID(id, 1), Phase: phase})
			}
		}
	}
	retire := fleet.SetVoter{ID: "h2.1", Phase: fleet.VoterRetiring}
	tell(t, []story{
		{"one of four retires", "", func(r *rig) { voters(r, 4); r.by("keeper", retire) }},
		{"one of three retires", "voters", func(r *rig) { voters(r, 3); r.by("keeper", retire) }},
		{"one of four retires, and five are wanted: an even number exists only in transit", "", func(r *rig) {
			r.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
			voters(r, 5)
			r.c.Wiped("h2.1")
			r.by("keeper", retire)
			r.by("keeper", fleet.SetVoter{ID: "h3.1", Phase: fleet.VoterRetiring})
		}},
		{"one of five retires, and five are wanted", "voters", func(r *rig) {
			r.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
			voters(r, 5)
			r.by("keeper", retire)
		}},
		{"one of three whose disk was wiped", "", func(r *rig) { voters(r, 3); r.c.Wiped("h2.1"); r.by("keeper", retire) }},
		{"one of three whose host is to leave", "", func(r *rig) {
			voters(r, 3)
			r.do(fleet.RevokeCert{Host: "h2"})
			r.by("keeper", retire)
		}},
		{"one of five, after three were asked for", "", func(r *rig) {
			r.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
			voters(r, 5)
			r.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 3})
			r.by("keeper", retire)
		}},
	})
}

func TestStandaloneTasksBeginOnce(t *testing.T) {
	one := func(r *rig) Machine {
		r.do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"one"}},
			fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{"one"}})
		return r.live("one")
	}
	again := func(r *rig, attempt int) {
		m := one(r)
		r.c.MachineOff(m)
		m.Boot = "boot-2"
		r.c.StartRecorded(m, "one", "app", attempt, attempt)
	}
	tell(t, []story{
		{"once", "", func(r *rig) { one(r) }},
		{"a second attempt after a reboot", "I6", func(r *rig) { again(r, 2) }},
		{"the same attempt after a reboot", "I6", func(r *rig) { again(r, 1) }},
		{"the same attempt after a reboot with an empty disk", "", func(r *rig) {
			m := one(r)
			r.c.MachineOff(m)
			r.c.RecordsLost("h1")
			m.Boot = "boot-2"
			r.c.StartRecorded(m, "one", "app", 1, 1)
		}},
	})
}
