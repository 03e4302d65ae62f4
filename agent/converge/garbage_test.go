package converge_test

import (
	"context"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// orphan makes a container that nobody knows.
func orphan(t *testing.T, r *rig, n int) string { return orphanOfAttempt(t, r, n, 1) }

func orphanOfAttempt(t *testing.T, r *rig, n, attempt int) string {
	t.Helper()
	if _, err := r.containers.Pull(context.Background(), port.ImageRef{Image: "registry.lab:5000/web:1"}); err != nil {
		t.Fatal(err)
	}
	id := string(taskID(n)) + ".app"
	_, err := r.containers.Create(context.Background(), port.ContainerSpec{
		ID: id, Task: taskID(n), Attempt: attempt, Def: webDef().Containers[0],
		Image:  port.ImageRef{Image: "registry.lab:5000/web:1"},
		Labels: map[string]string{converge.LabelBoot: r.bootID()},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.containers.Start(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := r.cgroups.Prepare(context.Background(), taskID(n), port.TaskBounds{}); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAnUnknownContainerIsRemovedAfterTenMinutesOfAVotersWord(t *testing.T) {
	r := newRig(t)
	id := orphan(t, r, 7)
	r.up()
	r.heard(time.Hour) // voters are heard, but none has told what is wanted
	if c := r.find(id); c == nil || c.State != port.ContainerRunning {
		t.Fatalf("it was touched without a word: %+v", c)
	}
	r.kill()
	r.up()
	r.snapshot()
	r.heard(9 * time.Minute)
	if c := r.find(id); c == nil || c.State != port.ContainerRunning {
		t.Fatalf("it was touched after 9 minutes: %+v", c)
	}
	r.heard(2 * time.Minute)
	if c := r.find(id); c != nil {
		t.Errorf("it is still there: %+v", c)
	}
	if left, _ := r.cgroups.Tasks(t.Context()); len(left) != 0 {
		t.Errorf("cgroups left: %v", left)
	}
	for _, report := range r.reports {
		if len(report.Tasks) != 0 {
			t.Errorf("it was reported: %+v", report)
		}
	}
	if s := r.m.Status(); len(s.Tasks) != 0 {
		t.Errorf("status %+v", s)
	}
}

// However often the machine considers it, an unknown container is nobody's to end
// before a voter has said in this session what is wanted.
func TestAnUnknownContainerIsNotEndedWithoutAVotersWord(t *testing.T) {
	for name, hear := range map[string]func(r *rig){
		"no voter was ever heard":                func(r *rig) { r.agent() },
		"voters are heard and open no session":   func(r *rig) { r.agent(); r.heard(time.Minute) },
		"a session is open and no list has come": func(r *rig) { r.up() },
		"the list was of the session before":     func(r *rig) { r.up(); r.snapshot(); r.heard(time.Minute); r.meet() },
		"the list was refused": func(r *rig) {
			r.up()
			_ = r.sendAll(fleet.Wanted{Fleet: "f2", Index: 9})
		},
		"the list was given to the agent before":     func(r *rig) { r.up(); r.snapshot(); r.kill(); r.agent() },
		"only a change has come, which needs a list": func(r *rig) { r.up(); _ = r.sendChange(fleet.Wanted{Index: 9}) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			id := orphan(t, r, 7)
			hear(r)
			for range 5 {
				r.pass(5 * time.Minute)
				r.step(converge.RuntimeDown{Err: port.ErrRuntimeDown})
				r.step(converge.RuntimeUp{Version: "twin"}) // has every task looked at
				r.settle()
			}
			if c := r.find(id); c == nil || c.State != port.ContainerRunning || len(did[converge.Signal](r)) != 0 {
				t.Errorf("it was touched: %+v", c)
			}
		})
	}
}

func TestAnUnknownContainerThatAVoterNamesInTimeIsTakenUp(t *testing.T) {
	r := newRig(t)
	id := orphan(t, r, 1)
	r.up()
	r.snapshot()
	r.heard(5 * time.Minute)
	r.snapshot(with(web(1), func(w *fleet.WantedTask) { w.Last = fleet.TaskRunning }))
	r.heard(20 * time.Minute)
	if c := r.find(id); c == nil || c.State != port.ContainerRunning || r.level[taskID(1)].Status != fleet.TaskRunning {
		t.Errorf("container %+v, reported %+v", c, r.level[taskID(1)])
	}
	r.neverTwice()
}

// The fleet tells starts apart by their attempts, and a cold start of a later boot counts on from it.
func TestAnUnknownContainerThatAVoterNamesKeepsItsAttempt(t *testing.T) {
	r := newRig(t)
	orphanOfAttempt(t, r, 1, 3)
	r.up()
	r.snapshot()
	r.heard(5 * time.Minute)
	r.snapshot(with(web(1), func(w *fleet.WantedTask) { w.Last = fleet.TaskRunning }))
	r.until("reported", time.Minute, r.is(taskID(1), fleet.TaskRunning))
	if got := r.level[taskID(1)]; got.Attempt != 3 || got.Containers[0].Attempt != 3 {
		t.Errorf("reported %+v, want attempt 3", got)
	}
	for _, record := range r.journal {
		if record.Kind == converge.RecordStart && (record.Attempt != 3 || record.ContainerAttempt != 3) {
			t.Errorf("record %+v, want attempt 3", record)
		}
	}
	r.neverTwice()
}

func TestNetworksAndCgroupsOfNobodyAreRemoved(t *testing.T) {
	r := newRig(t)
	if _, err := r.cgroups.Prepare(t.Context(), taskID(8), port.TaskBounds{}); err != nil {
		t.Fatal(err)
	}
	r.up()
	r.snapshot()
	r.heard(11 * time.Minute)
	if left, _ := r.cgroups.Tasks(t.Context()); len(left) != 0 {
		t.Errorf("cgroups left: %v", left)
	}
}

func TestLogsOfATaskThatIsGoneAreKeptAnHour(t *testing.T) {
	r, _ := running(t, 1)
	r.snapshot(stopped(web(1)))
	r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
	r.snapshot()
	r.until("forgotten", 5*time.Second, func() bool { return len(r.m.Status().Tasks) == 0 })
	r.heard(59 * time.Minute)
	if len(did[converge.RemoveLogs](r)) != 0 {
		t.Fatal("they were removed too soon")
	}
	r.heard(2 * time.Minute)
	if len(did[converge.RemoveLogs](r)) != 1 {
		t.Error("they were not removed")
	}
}

func TestTooManyLogsGoOldestFirst(t *testing.T) {
	r := newRig(t).agent()
	var folders []converge.LogFolder
	for n := range 4 {
		folders = append(folders, converge.LogFolder{Task: taskID(n), Bytes: 100 << 20})
	}
	r.hangs = func(e converge.Effect) bool {
		if _, ok := e.Do.(converge.List); ok {
			r.step(converge.Done{ID: e.ID, Found: &converge.Found{Logs: folders}})
			return true
		}
		return false
	}
	r.settle()
	r.pass(time.Second)
	var removed []fleet.TaskID
	for _, e := range r.carried {
		if _, ok := e.Do.(converge.RemoveLogs); ok {
			removed = append(removed, e.Task)
		}
	}
	if len(removed) != 2 || removed[0] == taskID(3) || removed[1] == taskID(3) {
		t.Errorf("removed %v of four folders of 100 MiB with room for 256", removed)
	}
}

func TestLogsOfRunningTasksAreRotatedAndAnIdleHostSleeps(t *testing.T) {
	r, _ := running(t, 1)
	r.pass(time.Minute)
	if n := len(did[converge.RotateLogs](r)); n < 11 || n > 14 {
		t.Errorf("%d rotations in a minute", n)
	}
	idle := newRig(t).up()
	idle.snapshot()
	idle.carried = nil
	idle.pass(time.Hour)
	if n := len(idle.carried); n > 60+2 {
		t.Errorf("an idle host did %d things in an hour", n)
	}
}

func TestLogsOfContainersThatEndedAreLookedAtOnceMore(t *testing.T) {
	r, _ := running(t, 2)
	r.pass(time.Minute)
	r.down = true // what has stopped stays on this host's list
	r.snapshot(web(1), stopped(web(2)))
	r.until("stopped", time.Minute, r.is(taskID(2), fleet.TaskStopped))
	count := func() (living, ended int) {
		for _, rotation := range did[converge.RotateLogs](r) {
			for _, file := range rotation.Files {
				switch file {
				case "/log/" + string(taskID(1)) + "/app.log":
					living++
				case "/log/" + string(taskID(2)) + "/app.log":
					ended++
				default:
					t.Errorf("log %s is of nobody", file)
				}
			}
		}
		return living, ended
	}
	r.carried = nil
	r.heard(time.Minute)
	if living, ended := count(); living < 11 || ended != 1 {
		t.Errorf("in the minute after its end a log was looked at %d times, that of a running task %d times", ended, living)
	}
}

func TestAContainerThatRunsThoughItWasThoughtToHaveEndedIsEndedProperly(t *testing.T) {
	r, _ := running(t, 1)
	r.snapshot(stopped(web(1)))
	first := true
	r.faults = func(e converge.Effect) error {
		if _, ok := e.Do.(converge.Delete); ok && first {
			first = false
			return port.ErrRunning
		}
		return nil
	}
	r.heard(5 * time.Second)
	r.snapshot()
	r.until("forgotten", time.Minute, func() bool { return len(r.m.Status().Tasks) == 0 })
}
