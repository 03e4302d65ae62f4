package converge_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// signals lists "number container" in order.
func signals(r *rig) []string {
	var out []string
	for _, s := range did[converge.Signal](r) {
		_, name, _ := strings.Cut(s.Container, ".")
		out = append(out, fmt.Sprintf("%d %s", s.Number, name))
	}
	return out
}

func TestAStopAsksThenKillsEachContainerInReverseOrder(t *testing.T) {
	r := newRig(t).up()
	id := define("deaf:1", func(d *fleet.TaskDef) {
		d.Containers[0].Command = []string{"deaf"}
		slow, quick := d.Containers[0], d.Containers[0]
		slow.Name, slow.StopTimeoutS = "slow", 20
		quick.Name, quick.StopTimeoutS = "quick", 5
		d.Containers = append(d.Containers, slow, quick)
	})
	task := with(of(web(1), id), func(w *fleet.WantedTask) { w.Images = nil })
	r.snapshot(task)
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.snapshot(stopped(task))
	if got := fmt.Sprint(signals(r)); got != "[15 quick 15 slow 15 app]" {
		t.Errorf("at once: %s", got)
	}
	if got := r.level[taskID(1)]; got.Status != fleet.TaskStopping {
		t.Errorf("it is %s", got.Status)
	}
	r.heard(6 * time.Second)
	if got := fmt.Sprint(signals(r)); got != "[15 quick 15 slow 15 app 9 quick]" {
		t.Errorf("after 6 s: %s", got)
	}
	r.heard(15 * time.Second)
	if got := fmt.Sprint(signals(r)); got != "[15 quick 15 slow 15 app 9 quick 9 slow]" {
		t.Errorf("after 21 s: %s", got)
	}
	r.heard(10 * time.Second)
	if got := r.level[taskID(1)]; got.Status != fleet.TaskStopped || *got.Exits[0].Code != 137 ||
		!strings.Contains(got.Exits[0].Reason, "within 30s") {
		t.Errorf("after 31 s: %+v", got)
	}
	if got := did[converge.Signal](r)[5]; !got.All {
		t.Error("SIGKILL went to the first process only")
	}
}

func TestATaskThatCannotBeKilledIsReportedAndHoldsItsReservation(t *testing.T) {
	r, _ := running(t, 1)
	r.faults = func(e converge.Effect) error { return nil }
	r.hangs = nil
	// Signals are answered but have no effect: the process is in the kernel.
	r.faults = nil
	undead := true
	r.hangs = func(e converge.Effect) bool {
		s, ok := e.Do.(converge.Signal)
		if !ok || !undead {
			return false
		}
		r.carried = append(r.carried, e)
		r.step(converge.Done{ID: e.ID})
		_ = s
		return true
	}
	r.snapshot(stopped(web(1)))
	r.heard(80 * time.Second)
	if got := r.level[taskID(1)]; got.Status != fleet.TaskStopping || strings.Contains(got.Reason, "stuck") {
		t.Errorf("50 s after SIGKILL: %+v", got)
	}
	r.heard(15 * time.Second)
	if got := r.level[taskID(1)]; got.Status != fleet.TaskStopping || !strings.Contains(got.Reason, "stuck") ||
		!strings.Contains(got.Reason, "app") {
		t.Errorf("65 s after SIGKILL: %+v", got)
	}
	if got := r.m.Reserved(); got.Memory != 32 || got.CPU != 128 {
		t.Errorf("reserved %+v", got)
	}
	r.snapshot(stopped(web(1)), web(2))
	r.until("the other running", 5*time.Second, r.is(taskID(2), fleet.TaskRunning))
	undead = false
	r.until("stopped", time.Minute, r.is(taskID(1), fleet.TaskStopped))
	if got := r.level[taskID(1)]; strings.Contains(got.Reason, "stuck") {
		t.Errorf("it still says stuck: %+v", got)
	}
}

func TestAContainerThatWasNotStartedIsRemovedWithoutAStart(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.SetupNetwork]
	r.snapshot(web(1))
	r.snapshot(stopped(web(1)))
	r.thaw()
	r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
	got := r.level[taskID(1)]
	if len(got.Exits) != 1 || got.Exits[0].Code != nil || got.Exits[0].Reason != "never started" || len(r.starts) != 0 {
		t.Errorf("reported %+v, starts %v", got, r.starts)
	}
}

func TestATaskStoppedWhileItsImageIsPulledStopsAtOnce(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.Pull]
	r.snapshot(web(1))
	r.snapshot(stopped(web(1)))
	r.until("stopped", time.Second, r.is(taskID(1), fleet.TaskStopped))
	r.thaw()
	r.heard(5 * time.Second)
	if len(did[converge.Create](r)) != 0 {
		t.Error("a container was made")
	}
}

func TestATaskNeverStartedAndNotWantedIsReportedStopped(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(stopped(web(1)))
	r.until("stopped", time.Second, r.is(taskID(1), fleet.TaskStopped))
	if got := r.level[taskID(1)]; got.Status != fleet.TaskStopped {
		t.Errorf("reported %+v", got)
	}
}

func TestTheImagesOwnStopSignalIsUsed(t *testing.T) {
	r := newRig(t).up()
	r.hangs = func(e converge.Effect) bool {
		if _, ok := e.Do.(converge.List); !ok {
			return false
		}
		found, err := r.list(converge.List{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range found.Containers {
			found.Containers[i].StopSignal = 3
		}
		r.step(converge.Done{ID: e.ID, Found: found})
		return true
	}
	r.snapshot(web(1))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.heard(time.Second)
	r.snapshot(stopped(web(1)))
	if got := signals(r); len(got) == 0 || got[0] != "3 app" {
		t.Errorf("signals %v", got)
	}
}

func TestTheGraceIsNotBegunAnewByARestartOfTheAgent(t *testing.T) {
	r := newRig(t).up()
	id := define("deaf:2", func(d *fleet.TaskDef) { d.Containers[0].Command = []string{"deaf"} })
	r.snapshot(of(web(1), id))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.snapshot(stopped(of(web(1), id)))
	for range 3 { // an agent that crashes every 12 s must not keep the task alive
		r.heard(12 * time.Second)
		r.kill()
		r.up()
	}
	r.heard(2 * time.Second)
	if c := r.find(string(taskID(1)) + ".app"); c == nil || c.State != port.ContainerExited {
		t.Errorf("38 s after SIGTERM it is %+v", c)
	}
}

func TestPortsAreFreeBeforeATaskIsReportedStopped(t *testing.T) {
	r, _ := running(t, 1)
	r.hangs = hang[converge.TeardownNetwork]
	r.snapshot(stopped(web(1)))
	r.heard(5 * time.Second)
	if got := r.level[taskID(1)]; got.Status != fleet.TaskDeprovisioning {
		t.Errorf("it is %s while its network stands", got.Status)
	}
	r.thaw()
	r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
}
