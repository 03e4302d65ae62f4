package converge_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
)

// running is a host on which tasks 1 to n run.
func running(t *testing.T, n int) (*rig, []fleet.WantedTask) {
	t.Helper()
	r := newRig(t).up()
	var tasks []fleet.WantedTask
	for i := range n {
		tasks = append(tasks, web(i+1))
	}
	r.snapshot(tasks...)
	for _, w := range tasks {
		r.until("running", 10*time.Second, r.is(w.ID, fleet.TaskRunning))
	}
	return r, tasks
}

func TestFramesAreTakenInOrderOfEpochAndIndex(t *testing.T) {
	tests := []struct {
		name         string
		epoch, index uint64
		want         error
	}{
		{"a lower index is refused", 2, 9, converge.ErrOlder},
		{"a lower epoch is refused though its index is higher", 1, 99, converge.ErrOlder},
		{"the same place again is accepted", 2, 10, nil},
		{"a higher index is accepted", 2, 11, nil},
		{"a higher epoch is accepted though its index is lower", 3, 1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t).up()
			if err := r.sendAll(fleet.Wanted{Epoch: 2, Index: 10}); err != nil {
				t.Fatal(err)
			}
			err := r.sendAll(fleet.Wanted{Epoch: tt.epoch, Index: tt.index, Tasks: []fleet.WantedTask{web(1)},
				TaskDefs: []fleet.TaskDef{webDef()}})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if taken := len(r.m.Status().Tasks) == 1; taken != (tt.want == nil) {
				t.Errorf("frame was taken: %v", taken)
			}
		})
	}
}

func TestTheOrderSurvivesARestartOfTheAgent(t *testing.T) {
	r := newRig(t).up()
	if err := r.sendAll(fleet.Wanted{Epoch: 2, Index: 10}); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.kill()
	r.up()
	if err := r.sendAll(fleet.Wanted{Epoch: 2, Index: 9}); !errors.Is(err, converge.ErrOlder) {
		t.Errorf("got %v, want ErrOlder", err)
	}
}

func TestFramesOfOthersAreRefused(t *testing.T) {
	r, _ := running(t, 1)
	for name, tt := range map[string]struct {
		wanted fleet.Wanted
		want   error
	}{
		"another fleet":     {fleet.Wanted{Fleet: "f2", Index: 100}, converge.ErrOtherFleet},
		"an older session":  {fleet.Wanted{Session: r.session - 1 + 100, Index: 100}, converge.ErrSession},
		"a session to come": {fleet.Wanted{Session: r.session + 1, Index: 100}, converge.ErrSession},
		"a bad id": {fleet.Wanted{Index: 100,
			Tasks: []fleet.WantedTask{with(web(1), func(w *fleet.WantedTask) { w.ID = "../../etc" })}}, converge.ErrBadFrame},
		"a task twice": {fleet.Wanted{Index: 100, Tasks: []fleet.WantedTask{web(1), web(1)}},
			converge.ErrBadFrame},
		"no definition": {fleet.Wanted{Index: 100, Tasks: []fleet.WantedTask{of(web(2), "none:1")}},
			converge.ErrBadFrame},
		"a path for a name": {fleet.Wanted{Index: 100,
			TaskDefs: []fleet.TaskDef{{ID: "x:1", Containers: []fleet.Container{{Name: "../x"}}}}}, converge.ErrBadFrame},
		"no container": {fleet.Wanted{Index: 100, TaskDefs: []fleet.TaskDef{{ID: "x:1"}}},
			converge.ErrBadFrame},
		"an unknown desired": {fleet.Wanted{Index: 100,
			Tasks: []fleet.WantedTask{with(web(1), func(w *fleet.WantedTask) { w.Desired = 99 })}}, converge.ErrBadFrame},
		"too many tasks": {fleet.Wanted{Index: 100, Tasks: make([]fleet.WantedTask, converge.MaxTasks+1)},
			converge.ErrBadFrame},
	} {
		t.Run(name, func(t *testing.T) {
			if err := r.sendAll(tt.wanted); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			r.heard(5 * time.Second)
			if got := r.task(taskID(1)); got.Status != fleet.TaskRunning || len(r.m.Status().Tasks) != 1 {
				t.Errorf("the refused frame had an effect:\n%s", r.describe())
			}
		})
	}
}

func TestNoFrameIsTakenBeforeASessionIsOpen(t *testing.T) {
	r := newRig(t).agent()
	if err := r.sendAll(fleet.Wanted{Index: 1, Session: 7}); !errors.Is(err, converge.ErrSession) {
		t.Errorf("got %v, want ErrSession", err)
	}
}

func TestATaskStopsOnlyOnPositiveEvidence(t *testing.T) {
	t.Run("desired STOPPED in a change stops it", func(t *testing.T) {
		r, _ := running(t, 1)
		r.index++
		if err := r.sendChange(fleet.Wanted{Index: r.index, Tasks: []fleet.WantedTask{stopped(web(1))}}); err != nil {
			t.Fatal(err)
		}
		r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
	})
	t.Run("declared STOPPED without this host's word stops it", func(t *testing.T) {
		r, _ := running(t, 1)
		r.snapshot(with(web(1), func(w *fleet.WantedTask) { w.Last = fleet.TaskStopped }))
		r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
	})
	t.Run("absence from a complete snapshot stops it", func(t *testing.T) {
		r, _ := running(t, 2)
		r.snapshot(web(1))
		r.until("stopped", 5*time.Second, func() bool { return r.level[taskID(2)].Status == fleet.TaskStopped })
		if got := r.task(taskID(1)); got.Status != fleet.TaskRunning {
			t.Errorf("the other is %s", got.Status)
		}
	})
	t.Run("removal by a change does not stop it and asks for a snapshot", func(t *testing.T) {
		r, _ := running(t, 1)
		r.index++
		err := r.sendChange(fleet.Wanted{Index: r.index, Removed: []fleet.TaskID{taskID(1)}})
		if !errors.Is(err, converge.ErrNeedSnapshot) {
			t.Errorf("got %v, want ErrNeedSnapshot", err)
		}
		r.heard(2 * time.Minute)
		if got := r.task(taskID(1)); got.Status != fleet.TaskRunning {
			t.Errorf("it is %s", got.Status)
		}
	})
	t.Run("absence from a snapshot of another session does not stop it", func(t *testing.T) {
		r, _ := running(t, 1)
		r.index++
		old := r.session
		r.meet()
		if err := r.sendAll(fleet.Wanted{Index: r.index, Session: old}); !errors.Is(err, converge.ErrSession) {
			t.Errorf("got %v, want ErrSession", err)
		}
		r.heard(2 * time.Minute)
		if got := r.task(taskID(1)); got.Status != fleet.TaskRunning {
			t.Errorf("it is %s", got.Status)
		}
	})
	t.Run("silence of all voters does not stop it", func(t *testing.T) {
		r, _ := running(t, 1)
		r.step(converge.VoterLost{})
		r.pass(24 * time.Hour)
		if got := r.task(taskID(1)); got.Status != fleet.TaskRunning {
			t.Errorf("it is %s", got.Status)
		}
		if r.m.Status().AloneSince == 0 {
			t.Error("status does not say that the host is alone")
		}
	})
}

func TestASnapshotThatWouldStopMostTasksIsRefused(t *testing.T) {
	tests := []struct {
		name    string
		tasks   int
		listed  func([]fleet.WantedTask) []fleet.WantedTask
		refused bool
	}{
		{"three of four absent is refused", 4, func(w []fleet.WantedTask) []fleet.WantedTask { return w[:1] }, true},
		{"an empty list for four is refused", 4, func([]fleet.WantedTask) []fleet.WantedTask { return nil }, true},
		{"half of four absent is taken", 4, func(w []fleet.WantedTask) []fleet.WantedTask { return w[:2] }, false},
		{"an empty list for three is taken", 3, func([]fleet.WantedTask) []fleet.WantedTask { return nil }, false},
		{"all four asked to stop is taken", 4, func(w []fleet.WantedTask) []fleet.WantedTask {
			return []fleet.WantedTask{stopped(w[0]), stopped(w[1]), stopped(w[2]), stopped(w[3])}
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, tasks := running(t, tt.tasks)
			err := r.trySnapshot(tt.listed(tasks)...)
			if got := errors.Is(err, converge.ErrMassStop); got != tt.refused {
				t.Fatalf("got %v, refused should be %v", err, tt.refused)
			}
			alarmed := strings.Contains(r.describe(), string(converge.NoteMassStop))
			if alarmed != tt.refused {
				t.Errorf("alarmed: %v\n%s", alarmed, r.describe())
			}
			r.heard(time.Minute)
			if got := r.m.Status().Running; tt.refused && got != tt.tasks {
				t.Errorf("%d still run of %d", got, tt.tasks)
			}
			if tt.refused {
				r.snapshot(tasks...)
				if strings.Contains(r.describe(), string(converge.NoteMassStop)) {
					t.Error("the alarm stands after a good snapshot")
				}
			}
		})
	}
}

func TestABeatMovesTheOrderAndWritesNothing(t *testing.T) {
	r, _ := running(t, 1)
	before := len(did[converge.SaveWanted](r))
	if err := r.sendChange(fleet.Wanted{Index: 50}); err != nil {
		t.Fatal(err)
	}
	r.settle()
	if got := len(did[converge.SaveWanted](r)); got != before {
		t.Errorf("%d writes for a beat", got-before)
	}
	if err := r.sendChange(fleet.Wanted{Index: 49}); !errors.Is(err, converge.ErrOlder) {
		t.Errorf("got %v, want ErrOlder", err)
	}
}

func TestATaskIsNotJournaledBeforeTheListThatNamesItIsOnDisk(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.SaveWanted]
	r.snapshot(web(1))
	r.heard(5 * time.Second)
	if n := len(did[converge.Journal](r)) + len(did[converge.Create](r)); n != 0 {
		t.Errorf("%d journal and create steps before the list is on disk", n)
	}
	if len(did[converge.Pull](r)) != 1 {
		t.Error("the pull, which needs no disk, waited too")
	}
	r.thaw()
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
}

func TestAHostThatCannotSaveGivesItsTasksBack(t *testing.T) {
	r := newRig(t).up()
	r.faults = func(e converge.Effect) error {
		if _, ok := e.Do.(converge.SaveWanted); ok {
			return errInjected
		}
		return nil
	}
	r.snapshot(web(1))
	r.until("stopped", 3*time.Minute, r.is(taskID(1), fleet.TaskStopped))
	if got := r.level[taskID(1)]; got.StopCode != fleet.StopTaskFailedToStart ||
		!strings.Contains(got.Reason, "injected") {
		t.Errorf("reported %+v", got)
	}
	if len(did[converge.Create](r)) != 0 {
		t.Error("a container was made")
	}
}
