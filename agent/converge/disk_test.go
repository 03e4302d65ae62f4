package converge_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
)

// writes reports whether an effect is a write to the disk.
func writes(e converge.Effect) bool { return hang[converge.Journal](e) || hang[converge.SaveWanted](e) }

func (r *rig) diskFull() {
	r.faults = func(e converge.Effect) error {
		if writes(e) {
			return errInjected
		}
		return nil
	}
}

func (r *rig) diskWell() { r.faults = nil }

func (r *rig) diskFailing() bool {
	for _, c := range r.m.Status().Conditions {
		if c.Code == converge.NoteDiskFailing {
			return true
		}
	}
	return false
}

// Who looks at a task that does not start must read that the disk is why, whichever of
// its files is being waited for.
func TestATaskThatWaitsForAFullDiskSaysSo(t *testing.T) {
	for name, fails := range map[string]func(converge.Effect) bool{
		"the journal": hang[converge.Journal], "the wanted file": hang[converge.SaveWanted], "both": writes,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).up()
			r.faults = func(e converge.Effect) error {
				if fails(e) {
					return errInjected
				}
				return nil
			}
			r.snapshot(web(1), web(2))
			for range 40 {
				r.heard(time.Second)
				for _, task := range r.m.Status().Tasks {
					said := task.Why + task.Reason
					if task.Status < fleet.TaskRunning && !strings.Contains(said, errInjected.Error()) {
						t.Fatalf("%s is %s: %q does not say that the disk fails", task.Task, task.Status, said)
					}
				}
			}
		})
	}
}

// Stopped is final: what a restart could run again is not said STOPPED before
// its end is on disk, and meanwhile the host says that its disk fails.
func TestAnEndIsNotSaidBeforeItIsOnDisk(t *testing.T) {
	tests := map[string]struct {
		end  func(r *rig) // on a full disk
		said fleet.TaskStatus
		runs bool // again, in a cold start: it had not ended for the fleet
	}{
		"the host rebooted": {
			end: func(r *rig) {
				r.reboot()
				r.up()
				r.snapshot(with(web(1), func(w *fleet.WantedTask) { w.Last = fleet.TaskRunning }), web(2))
			},
			said: fleet.TaskDeprovisioning, runs: true,
		},
		"a container ended": {
			end:  func(r *rig) { r.containers.Exit(string(taskID(1))+".app", 1, false) },
			said: fleet.TaskDeprovisioning, runs: true,
		},
		"it was asked to stop": {
			end:  func(r *rig) { r.snapshot(stopped(web(1)), web(2)) },
			said: fleet.TaskDeprovisioning, runs: true,
		},
		"it is not listed any more": {
			end:  func(r *rig) { r.snapshot(web(2)) },
			said: fleet.TaskDeprovisioning, runs: true,
		},
	}
	for name, tt := range tests {
		for _, heals := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, the disk heals %v", name, heals), func(t *testing.T) {
				r := newRig(t).up()
				r.snapshot(web(1), web(2))
				r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
				r.diskFull()
				tt.end(r)
				r.heard(3 * time.Minute)
				if got := r.level[taskID(1)].Status; got != tt.said {
					t.Fatalf("on a full disk it was said %s, want %s\n%s", got, tt.said, r.describe())
				}
				if !r.diskFailing() {
					t.Error("nothing says that the disk fails")
				}
				if heals {
					r.diskWell()
					r.until("stopped", time.Minute, func() bool { return r.level[taskID(1)].Status == fleet.TaskStopped })
				}
				r.reboot()
				r.diskWell()
				r.agent() // and cut off
				r.pass(2 * time.Minute)
				if got := r.starts[string(taskID(1))+".app@"+r.bootID()] > 0; got != (tt.runs && !heals) {
					t.Errorf("it ran again: %v\n%s", got, r.describe())
				}
			})
		}
	}
}

// One that was never started has no line in the journal: its end needs one too.
func TestAnEndBeforeTheStartIsOnDiskBeforeItIsSaid(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.Pull]
	r.snapshot(web(1))
	r.heard(time.Second)
	r.diskFull()
	r.snapshot(stopped(web(1)))
	r.heard(time.Minute)
	if got := r.level[taskID(1)].Status; got == fleet.TaskStopped {
		t.Fatal("it was said STOPPED, and the disk wants it to run")
	}
	r.diskWell()
	r.until("stopped", time.Minute, r.is(taskID(1), fleet.TaskStopped))
	r.hangs = nil
	r.kill()
	r.agent() // in the same boot, where it would start at once
	r.pass(time.Minute)
	if len(r.starts) > 0 {
		t.Errorf("it started: %v", r.starts)
	}
}

// A list on disk that does not want the task is as good as a line in the journal.
func TestAListOnDiskWithoutTheTaskIsEnoughForItsEnd(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(web(1))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.faults = func(e converge.Effect) error {
		if hang[converge.Journal](e) {
			return errInjected
		}
		return nil
	}
	r.snapshot(stopped(web(1)))
	r.until("stopped", time.Minute, r.is(taskID(1), fleet.TaskStopped))
	r.reboot()
	r.agent()
	r.pass(2 * time.Minute)
	if n := r.starts[string(taskID(1))+".app@boot-2"]; n != 0 {
		t.Errorf("it ran again")
	}
}

// A disk that failed once, at the last thing there was to write: the host tries
// again by itself, and then says nothing more of its disk.
func TestWhatAFailedWriteOwesIsWrittenAgainByItself(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(web(1), web(2))
	r.until("running", 5*time.Second, func() bool { return r.m.Status().Running == 2 })
	failures := 3
	r.faults = func(e converge.Effect) error {
		if hang[converge.Journal](e) && failures > 0 {
			failures--
			return errInjected
		}
		return nil
	}
	r.containers.Exit(string(taskID(1))+".app", 1, false)
	r.until("the disk fails", 5*time.Second, r.diskFailing)
	r.until("the disk is well", 10*time.Second, func() bool { return !r.diskFailing() })
	all := did[converge.Journal](r)
	if last := all[len(all)-1]; len(last.Records) != 0 || failures != 0 {
		t.Errorf("the last write has %d records, %d failures are left", len(last.Records), failures)
	}
	if h := r.journal[len(r.journal)-1]; h.Kind != converge.RecordStop || h.Task != taskID(1) {
		t.Errorf("the journal ends with %+v", h)
	}
	r.heard(time.Hour)
	if n := len(did[converge.Journal](r)); n != len(all) {
		t.Errorf("%d more writes of a journal that is well", n-len(all))
	}
}

// Both files fail, one is well again: the condition stands until both are.
func TestTheDiskFailsUntilAllIsWritten(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(web(1))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.diskFull()
	r.snapshot(stopped(web(1)))
	r.heard(5 * time.Second)
	r.faults = func(e converge.Effect) error {
		if hang[converge.Journal](e) {
			return errInjected
		}
		return nil
	}
	r.heard(time.Minute)
	if !r.diskFailing() {
		t.Error("nothing says that the journal fails")
	}
	r.diskWell()
	r.until("the disk is well", time.Minute, func() bool { return !r.diskFailing() })
}
