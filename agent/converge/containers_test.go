package converge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// pair is task n of a definition with two essential containers, "app" and "side".
func pair(n int) fleet.WantedTask {
	define("pair:1", func(d *fleet.TaskDef) {
		side := d.Containers[0]
		side.Name = "side"
		d.Containers = append(d.Containers, side)
	})
	return with(of(web(n), "pair:1"), func(w *fleet.WantedTask) { w.Images = nil })
}

// container is what a container of the rig is called.
func container(n int, name string) string { return fleet.ContainerID(taskID(n), name) }

// vanish removes a container from the runtime behind everybody's back.
func (r *rig) vanish(id string) {
	r.t.Helper()
	r.containers.Exit(id, 0, false)
	if err := r.containers.Delete(r.t.Context(), id); err != nil {
		r.t.Fatal(err)
	}
}

// records lists "task container attempt" of the starts in the journal.
func (r *rig) records() []string {
	var out []string
	for _, rec := range r.journal {
		if rec.Kind == converge.RecordStart {
			out = append(out, fmt.Sprintf("%s %s %d", rec.Task[:4], rec.Container, rec.ContainerAttempt))
		}
	}
	return out
}

func TestEachContainerHasItsOwnRecordBeforeItIsMade(t *testing.T) {
	r := newRig(t).up()
	writes := 0
	r.faults = func(e converge.Effect) error {
		switch do := e.Do.(type) {
		case converge.Journal:
			writes++
		case converge.Create:
			if want := fmt.Sprintf("%s %s 1", do.Spec.Task[:4], do.Spec.Def.Name); !slices.Contains(r.records(), want) {
				t.Errorf("%s is made, and the journal has %v", do.Spec.ID, r.records())
			}
		}
		return nil
	}
	r.snapshot(pair(1))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	if got := fmt.Sprint(r.records()); got != "[0001 app 1 0001 side 1]" {
		t.Errorf("the journal has %s", got)
	}
	if writes != 1 {
		t.Errorf("the records took %d writes, want one", writes)
	}
}

// A container that is missing when the agent comes back is made only where
// nothing of the task can have run.
func TestAContainerThatIsMissingAfterARestartIsNotRunTwice(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(r *rig) // the agent dies at its end
		old    bool         // the journal is of an agent that had one record a task
		want   fleet.TaskStatus
		reason string
	}{
		"it ran and is gone: the task ends": {
			before: func(r *rig) {
				r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
				r.kill()
				r.vanish(container(1, "side"))
			},
			want: fleet.TaskStopped, reason: "side (vanished",
		},
		"the same with a journal of one record a task": {
			before: func(r *rig) {
				r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
				r.kill()
				r.vanish(container(1, "side"))
			},
			old: true, want: fleet.TaskStopped, reason: "side (vanished",
		},
		"it was never made, and nothing has run: the start goes on": {
			before: func(r *rig) {
				r.hangs = func(e converge.Effect) bool {
					do, ok := e.Do.(converge.Create)
					return ok && do.Spec.Def.Name == "side"
				}
				r.pass(time.Second)
				r.kill()
			},
			want: fleet.TaskRunning,
		},
		"all are gone: the task ends": {
			before: func(r *rig) {
				r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
				r.kill()
				r.vanish(container(1, "app"))
				r.vanish(container(1, "side"))
			},
			want: fleet.TaskStopped, reason: "agent died",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).up()
			r.snapshot(pair(1))
			tt.before(r)
			if tt.old {
				r.journal = []converge.Record{{Kind: converge.RecordStart, Task: taskID(1), Attempt: 1, Boot: r.bootID(),
					At: r.now().Wall}}
			}
			r.hangs = nil
			r.up()
			r.snapshot(pair(1))
			r.heard(5 * time.Second)
			if made := len(did[converge.Create](r)); made > 2 {
				t.Errorf("%d creates before the runtime can have settled", made)
			}
			r.heard(40 * time.Second)
			if got := r.level[taskID(1)]; got.Status != tt.want || !strings.Contains(got.Reason, tt.reason) {
				t.Errorf("it is %s, %q, want %s, %q", got.Status, got.Reason, tt.want, tt.reason)
			}
			r.neverTwice()
		})
	}
}

func TestACallThatHangsKeepsOnlyItsContainerWaiting(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(pair(1))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.hangs = func(e converge.Effect) bool {
		do, ok := e.Do.(converge.Signal)
		return ok && do.Container == container(1, "side")
	}
	r.snapshot(stopped(pair(1)))
	r.pass(time.Second)
	if c := r.find(container(1, "app")); c == nil || c.State != port.ContainerExited {
		t.Errorf("app waits for side's signal: %+v", c)
	}
	if got := r.task(taskID(1)); got.Status != fleet.TaskStopping ||
		!strings.Contains(got.Why, "step of container side is in flight") {
		t.Errorf("it is %s: %q", got.Status, got.Why)
	}
	r.thaw()
	r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
}

func TestARecordThatCannotBeWrittenIsTriedAgainUnderTheSameAttempt(t *testing.T) {
	r := newRig(t).up()
	failures := 2
	r.faults = func(e converge.Effect) error {
		if _, ok := e.Do.(converge.Journal); ok && failures > 0 {
			failures--
			return errInjected
		}
		return nil
	}
	r.snapshot(pair(1))
	r.until("running", 20*time.Second, r.is(taskID(1), fleet.TaskRunning))
	for _, line := range r.records() {
		if !strings.HasSuffix(line, " 1") {
			t.Errorf("the journal has %v", r.records())
		}
	}
	r.neverTwice()
}

func TestAColdStartBeginsEachContainerUnderItsNextAttempt(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(pair(1))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.reboot()
	r.agent()
	r.pass(40 * time.Second)
	if got := r.task(taskID(1)); got.Status != fleet.TaskRunning || got.Attempt != 2 {
		t.Fatalf("it is %+v", got)
	}
	if got := fmt.Sprint(r.records()[2:]); got != "[0001 app 2 0001 side 2]" {
		t.Errorf("the journal has %s", got)
	}
	if got := converge.Compact(r.journal); len(got) != 2 || got[0].ContainerAttempt != 2 {
		t.Errorf("compacted it is %+v", got)
	}
}

// A container of an earlier attempt in the same boot is in the way, and what
// became of it is not what becomes of the present one.
func TestRemainsOfAnEarlierAttemptOfAContainerAreKnownByTheirNumber(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(web(1))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.kill()
	r.containers.Exit(container(1, "app"), 3, false)
	r.journal = append(r.journal, converge.Record{
		Kind: converge.RecordStart, Task: taskID(1), Attempt: 1, Boot: r.bootID(), At: r.now().Wall, Container: "app",
		ContainerAttempt: 2,
	})
	r.starts = map[string]int{} // the second attempt is counted alone
	r.up()
	r.snapshot(web(1))
	r.heard(20 * time.Second)
	if got := r.level[taskID(1)]; got.Status != fleet.TaskRunning || got.Attempt != 1 {
		t.Errorf("it is %+v", got)
	}
	if c := r.find(container(1, "app")); c == nil || c.State != port.ContainerRunning || c.Attempt != 2 {
		t.Errorf("found %+v", c)
	}
	r.neverTwice()
}

func TestAReportCarriesTheStateOfEachContainer(t *testing.T) {
	r := newRig(t).up()
	h := exec(5)
	define("mixed:1", func(d *fleet.TaskDef) {
		side := d.Containers[0]
		side.Name, side.NotEssential = "side", true
		d.Containers[0].HealthCheck = &h
		d.Containers = append(d.Containers, side)
	})
	task := with(of(web(1), "mixed:1"), func(w *fleet.WantedTask) { w.Images = nil })
	reported := func() map[string]fleet.ContainerState {
		t.Helper()
		list := r.level[taskID(1)].Containers
		if len(list) != 2 || list[0].Name != "app" || list[1].Name != "side" {
			t.Fatalf("reported %+v", list)
		}
		return map[string]fleet.ContainerState{"app": list[0], "side": list[1]}
	}

	r.hangs = func(e converge.Effect) bool {
		do, ok := e.Do.(converge.Start)
		return ok && do.Container == container(1, "side")
	}
	r.snapshot(task)
	r.until("activating", 5*time.Second, r.is(taskID(1), fleet.TaskActivating))
	r.pass(time.Second)
	if got := reported(); got["app"].Status != fleet.TaskRunning || got["app"].StartedAt == 0 ||
		got["side"].Status != fleet.TaskPending || got["side"].Attempt != 1 {
		t.Errorf("while the second start hangs: %+v", got)
	}
	r.thaw()
	r.heard(10 * time.Second)
	if got := reported(); got["side"].Status != fleet.TaskRunning || got["app"].Health != fleet.HealthHealthy ||
		got["side"].Health > fleet.HealthUnknown {
		t.Errorf("when both run: %+v", got)
	}
	started := reported()["app"].StartedAt

	r.containers.Exit(container(1, "side"), 3, false)
	r.heard(2 * time.Second)
	got := reported()
	if side := got["side"]; side.Status != fleet.TaskStopped || side.ExitCode == nil || *side.ExitCode != 3 ||
		side.StoppedAt <= side.StartedAt {
		t.Errorf("the sidecar has ended: %+v", side)
	}
	if app := got["app"]; app.Status != fleet.TaskRunning || app.StartedAt != started ||
		r.level[taskID(1)].Status != fleet.TaskRunning {
		t.Errorf("the other goes on: %+v", app)
	}

	r.snapshot(stopped(task))
	r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
	if app := reported()["app"]; app.Status != fleet.TaskStopped || app.ExitCode == nil || *app.ExitCode != 143 ||
		app.StoppedAt < started || app.Health != 0 {
		t.Errorf("at the end: %+v", app)
	}
	if view := r.task(taskID(1)).Containers[1]; view.Told.ExitCode == nil || *view.Told.ExitCode != 3 {
		t.Errorf("the host shows %+v", view)
	}
}

func TestTheStateOfAContainerSurvivesARestartOfTheAgent(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(pair(1))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.kill()
	r.pass(time.Minute)
	r.containers.Exit(container(1, "app"), 9, false)
	ended := r.now().Wall
	r.pass(time.Minute)
	r.up()
	r.snapshot(pair(1))
	r.until("stopped", 10*time.Second, r.is(taskID(1), fleet.TaskStopped))
	app := r.level[taskID(1)].Containers[0]
	if app.Status != fleet.TaskStopped || *app.ExitCode != 9 || app.StoppedAt != ended || app.Attempt != 1 {
		t.Errorf("reported %+v, it ended at %s", app, ended)
	}
}

func TestAContainerThatNeverRanIsStoppedWithoutATimeOfStart(t *testing.T) {
	r := newRig(t).up()
	task := with(
		of(web(1), define("none:1", func(d *fleet.TaskDef) { d.Containers[0].Image = "registry.lab:5000/none:3" })),
		func(w *fleet.WantedTask) { w.Images = nil })
	r.snapshot(task)
	r.until("stopped", 20*time.Second, r.is(taskID(1), fleet.TaskStopped))
	got := r.level[taskID(1)].Containers
	if len(got) != 1 || got[0].Status != fleet.TaskStopped || got[0].StartedAt != 0 || got[0].ExitCode != nil ||
		!strings.HasPrefix(got[0].Reason, "CannotPullContainerError") {
		t.Errorf("reported %+v", got)
	}
}
