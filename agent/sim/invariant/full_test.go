package invariant

import (
	"strings"
	"testing"

	"skein/raftfsm/fleet"
)

func TestFullFindsRowsThatNoCommandMade(t *testing.T) {
	tests := []struct {
		name, want string
		spoil      func(r *rig)
	}{
		{"nothing is wrong", "", func(*rig) {}},
		{"a task's status", "it is STOPPED", func(r *rig) { r.s.Task("web-0").Last = fleet.TaskStopped }},
		{"a task's host", `its host is "h2"`, func(r *rig) { r.s.Task("web-0").Host = "h2" }},
		{"a task's health", "it is UNHEALTHY", func(r *rig) { r.s.Task("web-0").Health = fleet.HealthUnhealthy }},
		{"a host's life", "it is silent", func(r *rig) { r.s.Host("h1").State = fleet.HostSilent }},
		{"a host's session", "its session", func(r *rig) { r.s.Host("h1").Session.N++ }},
		{"a service's count", "service web", func(r *rig) { r.s.Service("web").Desired++ }},
		{"a task that came from nowhere", "no command made it", func(r *rig) { delete(r.c.model.tasks, "web-0") }},
		{"a host that came from nowhere", "no command admitted it", func(r *rig) { delete(r.c.model.hosts, "h1") }},
		{"a running sum of the checker", "this checker 1 running", func(r *rig) { r.c.model.services["web"].running-- }},
		{"a reservation", "its tasks need", func(r *rig) { r.c.model.hosts["h1"].reserved.CPU++ }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.service("web", 2, 100, 200)
			tt.spoil(r)
			err := r.c.Full(r.s)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Full says %v, want %q", err, tt.want)
			}
		})
	}
}

func TestStoppedRowsStayStopped(t *testing.T) {
	tell(t, []story{
		{"a row comes back to life in the entry that touches it", "I6", func(r *rig) {
			r.service("web", 1, 100, 200)
			r.report(fleet.TaskReport{Task: "web-0", Status: fleet.TaskStopped, Attempt: 1})
			row := *r.s.Task("web-0")
			row.Last = fleet.TaskRunning
			r.c.finality(r.c.model.tasks["web-0"], &row)
		}},
	})
}

// After a recovery the model is what State's rows say, and goes on from there.
func TestAfterARecoveryTheModelIsReadFromRows(t *testing.T) {
	r := newRig(t)
	ids := r.service("web", 4, 50, 100)
	r.live(ids[0])
	r.do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"one", "two"}}, asked("two"))
	r.c.Acked(Ack{Index: r.s.Index(), What: "stop"})
	before := r.s.Clone()
	r.do(fleet.CordonHost{Host: "h1"})
	r.c.Acked(Ack{Index: r.s.Index(), What: "cordon"})
	r.s = before
	r.c.Recovered(r.s)
	if err := r.c.Full(r.s); err != nil {
		t.Fatal(err)
	}
	r.c.FinalLog(func(a Ack) bool { return a.What != "cordon" })
	r.by("service", stop(ids[0], ids[1]))
	if len(r.broken) > 0 {
		t.Fatalf("broken: %s", r.broken[0])
	}
	r.by("service", stop(ids[2]))
	if len(r.broken) != 2 || r.broken[0].Name != "I1" {
		t.Errorf("broken are %v, want I1 twice", r.broken)
	}
}
