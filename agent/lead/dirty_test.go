package lead

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

func TestWhatMayMakeRoom(t *testing.T) {
	tests := map[string]struct {
		change fleet.Command
		room   bool
	}{
		"a cordon ends":       {fleet.UncordonHost{Host: "h2"}, true},
		"a host is cordoned":  {fleet.CordonHost{Host: "h1"}, true},
		"a host falls silent": {fleet.SilenceHost{Host: "h1", Session: 1}, true},
		"a host grows":        {fleet.Report{Host: "h1", Session: 1, Seq: 9, Capacity: &fleet.Resources{CPU: 1 << 20, Memory: 1 << 20}}, true},
		"a task stops":        {fleet.Report{Host: "h1", Session: 1, Seq: 9, Tasks: []fleet.TaskReport{{Task: "t1", Status: fleet.TaskStopped, Attempt: 1}}}, true},
		"a task is to stop":   {fleet.StopTasks{Tasks: []fleet.TaskID{"t1"}, Cause: fleet.CauseOperator, Reason: "x"}, false},
		"a task runs":         {fleet.Report{Host: "h1", Session: 1, Seq: 9, Tasks: []fleet.TaskReport{{Task: "t1", Status: fleet.TaskRunning, Attempt: 1}}}, false},
		"a service scales":    {fleet.ScaleService{Name: "web", Desired: 5}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.service("web", 1, false)
			w.do(fleet.CordonHost{Host: "h2"}, fleet.CreateTasks{Revision: "web/1", Tasks: []fleet.TaskID{"t1"}},
				fleet.AssignTasks{Host: "h1", Tasks: []fleet.TaskID{"t1"}})
			before := w.s.Clone()
			results, changeSet := w.commit([]fleet.Item{{Command: tt.change}})
			if results[0].Err != nil {
				t.Fatal(results[0].Err)
			}
			d := newDirty()
			d.touch(changeSet, before, w.s)
			if d.capacity != tt.room {
				t.Errorf("room is %v, want %v; touched %+v", d.capacity, tt.room, changeSet)
			}
		})
	}
}

func TestWakesComeOncePerSubjectAtTheEarliestTime(t *testing.T) {
	w := newWakes()
	at := func(d time.Duration, subject string) { w.add(plan.Wake{At: start.Add(d), Subject: subject}) }
	at(3*time.Second, "service:a")
	at(time.Second, "service:a")
	at(2*time.Second, "service:a")
	at(2*time.Second, "host:b")
	if got := w.next(); got != start.Add(time.Second) {
		t.Errorf("next is %s", got)
	}
	if got := w.due(start.Add(2 * time.Second)); !slices.Equal(got, []string{"service:a", "host:b"}) {
		t.Errorf("due are %v", got)
	}
	if got := w.due(start.Add(time.Hour)); len(got) > 0 {
		t.Errorf("due again are %v", got)
	}
	at(time.Second, "service:a")
	if got := w.due(start.Add(time.Hour)); !slices.Equal(got, []string{"service:a"}) {
		t.Errorf("asked again, due are %v", got)
	}
}

// dirtyOnly is a dirty of which only one part says something.
func dirtyOnly(t *testing.T, part string) *dirty {
	t.Helper()
	d := newDirty()
	switch part {
	case "services":
		d.services["web"] = struct{}{}
	case "hosts":
		d.hosts["h1"] = struct{}{}
	case "tasks":
		d.tasks["t1"] = struct{}{}
	case "capacity":
		d.capacity = true
	default:
		t.Fatalf("the part %s is new: merge it, tell of it, and teach this test", part)
	}
	return d
}

func TestEveryPartOfWhatIsDirtySurvivesAMerge(t *testing.T) {
	for i := range reflect.TypeFor[dirty]().NumField() {
		part := reflect.TypeFor[dirty]().Field(i).Name
		t.Run(part, func(t *testing.T) {
			want := dirtyOnly(t, part)
			if want.empty() {
				t.Error("it counts as empty")
			}
			got := newDirty()
			got.merge(want)
			got.merge(newDirty())
			if !reflect.DeepEqual(got, want) {
				t.Errorf("merged: %+v, want %+v", got, want)
			}
			told := newDirty()
			for subject := range want.subjects() {
				told.mark(subject)
			}
			if !reflect.DeepEqual(told, want) {
				t.Errorf("told by its subjects: %+v, want %+v", told, want)
			}
		})
	}
}
