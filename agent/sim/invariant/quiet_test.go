package invariant

import (
	"strings"
	"testing"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func TestWhatIsNotAsDesired(t *testing.T) {
	const patience = time.Minute
	wait := func(subject, code string) fleet.PutCondition {
		return fleet.PutCondition{Subject: fleet.ParseSubject(subject), Code: code, Message: "test"}
	}
	scale := func(r *rig, desired int, then ...fleet.Command) {
		r.do(fleet.ScaleService{Name: "web", Desired: desired})
		r.plan("web")
		r.do(then...)
	}
	tests := []struct {
		name   string
		want   string // in the only line; empty: no line
		happen func(r *rig)
	}{
		{"all tasks run", "", func(r *rig) { steady(r, 2) }},
		{"a service changed, and nobody planned it", "has no goals", func(r *rig) {
			steady(r, 2)
			r.do(fleet.PutService{
				Name: "web", ExpectedModifyIndex: r.s.Service("web").ModifyIndex, TaskDef: "app:1",
				Desired: 2, MinPercent: 100, MaxPercent: 150,
			})
		}},
		{"a service lacks a task, and nobody says why", "1 of 2 healthy, and nobody says why", func(r *rig) {
			steady(r, 1)
			scale(r, 2)
		}},
		{"a service lacks a task and says so, and there is room", "though h1 has room", func(r *rig) {
			steady(r, 1)
			scale(r, 2, wait("service:web", "no-host-fits"))
		}},
		{"a service lacks a task and says so, and there is no room", "", func(r *rig) {
			steady(r, 1)
			scale(r, 2, wait("service:web", "no-host-fits"),
				fleet.CordonHost{Host: "h1"}, fleet.CordonHost{Host: "h2"})
		}},
		{"a task waits for a host, and one has room", "waits for a host, and h1 has room", func(r *rig) {
			r.do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"one"}}, wait("task:one", "no-host-fits"))
		}},
		{"a task waits for a host, and nobody says why", "nobody says why", func(r *rig) {
			r.do(fleet.CordonHost{Host: "h1"}, fleet.CordonHost{Host: "h2"},
				fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"one"}})
		}},
		{"a task is PENDING for too long", "is PENDING", func(r *rig) {
			r.do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"one"}},
				fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{"one"}})
		}},
		{"a task is PENDING on a dead host that is known to be silent", "", func(r *rig) {
			r.do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"one"}},
				fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{"one"}})
			r.c.HostCondition("h1", virtual.Off)
			r.do(fleet.SilenceHost{Host: "h1", Session: 1})
		}},
		{"a task was asked to stop and runs", "is RUNNING (to run: false", func(r *rig) {
			steady(r, 1)
			scale(r, 0, asked("web-0"))
		}},
		{"a task is said to run and has no container", "has no container", func(r *rig) {
			m := steady(r, 1)[0]
			r.c.ContainerEnded(m, "web-0", "app", Itself)
		}},
		{"a container lives though its task was forgotten", "nobody wants them", func(r *rig) {
			steady(r, 1)
			r.do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"one"}},
				fleet.AssignTasks{Host: "h2", Tasks: []fleet.TaskID{"one"}})
			m := r.live("one")
			r.c.ContainerEnded(m, "one", "app", Itself)
			r.report(fleet.TaskReport{Task: "one", Status: fleet.TaskStopped, Attempt: 1})
			r.c.ContainerCreated(m, "one", "late", 1)
		}},
		{"a host is up and silent", "is up and heard", func(r *rig) {
			r.do(fleet.SilenceHost{Host: "h2", Session: 1})
		}},
		{"a host is off and ready", "is off", func(r *rig) { r.c.HostCondition("h2", virtual.Off) }},
		{"a service that has all it wants waits", "has all it wants", func(r *rig) {
			steady(r, 2)
			r.do(wait("service:web", "not-steady"))
		}},
		{"the fleet waits and all hosts are well", "the fleet waits", func(r *rig) { r.do(wait("fleet", "mass-silence")) }},
		{"a planner waits", "planner:service waits", func(r *rig) { r.do(wait("planner:service", "refused")) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			tt.happen(r)
			r.pass(2 * patience)
			got := r.c.Desired(r.s, patience)
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("not as desired are %q, want one with %q", got, tt.want)
			}
		})
	}
}

// steady is a service of n tasks with living containers.
func steady(r *rig, n int) []Machine {
	var on []Machine
	for _, id := range r.service("web", n, 100, 200) {
		on = append(on, r.live(id))
	}
	return on
}
