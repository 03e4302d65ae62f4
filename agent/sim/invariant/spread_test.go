package invariant

import (
	"testing"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func TestTasksGoToTheEmptiestZone(t *testing.T) {
	// three makes hosts in zones a, b and c, all calm, and three tasks that wait.
	three := func(r *rig) {
		r.host("h3", "c")
		r.do(fleet.PutService{Name: "web", TaskDef: "app:1", Desired: 3, MinPercent: 100, MaxPercent: 200},
			fleet.CreateTasks{Revision: "web/1", Tasks: []fleet.TaskID{"t1", "t2", "t3"}})
		r.pass(undisturbedFor)
	}
	assign := func(r *rig, to ...fleet.HostID) {
		var items []fleet.Item
		for i, host := range to {
			items = append(items,
				fleet.Item{By: "placement",
					Command: fleet.AssignTasks{Host: host, Tasks: []fleet.TaskID{[]fleet.TaskID{"t1", "t2", "t3"}[i]}}})
		}
		r.planned = max(r.planned, 1)
		r.commit(items...)
	}
	look := func(r *rig) { r.planned = r.s.Index() }
	tell(t, []story{
		{"one to each zone", "", func(r *rig) {
			three(r)
			look(r)
			assign(r, "h1", "h2", "h3")
		}},
		{"two to one zone, none to another", "I13", func(r *rig) {
			three(r)
			look(r)
			assign(r, "h1", "h1", "h3")
		}},
		{"two to one zone, because the other's host is cordoned", "", func(r *rig) {
			three(r)
			r.do(fleet.CordonHost{Host: "h2"})
			look(r)
			assign(r, "h1", "h1", "h3")
		}},
		{"two to one zone, because the other's host is full", "", func(r *rig) {
			three(r)
			for _, id := range []fleet.TaskID{"f1", "f2", "f3", "f4"} {
				r.do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{id}},
					fleet.AssignTasks{Host: "h2", Tasks: []fleet.TaskID{id}})
			}
			look(r)
			assign(r, "h1", "h1", "h3")
		}},
		{"two to one zone, because the other's host looked ill a moment ago", "", func(r *rig) {
			three(r)
			r.c.HostCondition("h2", virtual.Frozen)
			r.c.HostCondition("h2", virtual.Up)
			look(r)
			assign(r, "h1", "h1", "h3")
		}},
		{"two to one zone, because the other's host opened since the plan was made", "", func(r *rig) {
			three(r)
			r.do(fleet.CordonHost{Host: "h2"})
			look(r)
			r.do(fleet.UncordonHost{Host: "h2"})
			assign(r, "h1", "h1", "h3")
		}},
		{"a zone that has one already gets the next", "I13", func(r *rig) {
			three(r)
			look(r)
			assign(r, "h1")
			r.pass(time.Second)
			look(r)
			r.commit(fleet.Item{By: "placement", Command: fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{"t2"}}})
		}},
		{"an operator's own placement is not judged", "", func(r *rig) {
			three(r)
			r.do(fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{"t1", "t2", "t3"}})
		}},
	})
}
