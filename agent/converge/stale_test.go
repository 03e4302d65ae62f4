package converge_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
	"skein/runtime/port"
)

// lateList keeps the next list back with what is true now and returns what
// delivers it.
func lateList(t *testing.T, r *rig) (deliver func()) {
	t.Helper()
	var late *converge.Done
	r.hangs = func(e converge.Effect) bool {
		do, ok := e.Do.(converge.List)
		if !ok || late != nil {
			return ok
		}
		found, err := r.list(do)
		if err != nil {
			t.Fatal(err)
		}
		late = &converge.Done{ID: e.ID, Found: found}
		return true
	}
	r.step(converge.ContainerChanged{})
	r.pass(50 * time.Millisecond)
	if late == nil {
		t.Fatal("no list was asked for")
	}
	return func() {
		r.hangs = nil
		r.step(*late)
		r.settle()
	}
}

func TestAListOlderThanAStartTakesNothingBack(t *testing.T) {
	r, _ := running(t, 1)
	deliver := lateList(t, r)
	r.snapshot(web(1), web(2))
	r.until("running", time.Second, r.is(taskID(2), fleet.TaskRunning))
	deliver()
	r.heard(time.Minute)
	if r.task(taskID(1)).Status != fleet.TaskRunning || r.task(taskID(2)).Status != fleet.TaskRunning ||
		len(did[converge.Start](r)) != 2 {
		t.Errorf("after a list from before the start:\n%s", r.describe())
	}
}

func TestAListOlderThanADeletionBringsNothingBack(t *testing.T) {
	r, _ := running(t, 1)
	r.reboot()
	r.agent()
	r.pass(29 * time.Second)
	r.hangs = nil
	deliver := lateList(t, r)
	keep := r.hangs
	r.hangs = func(e converge.Effect) bool { return keep(e) || hang[converge.PrepareCgroup](e) }
	r.carried = nil
	r.pass(2 * time.Second)
	if len(did[converge.Delete](r)) != 1 {
		t.Fatal("what the former boot left was not deleted")
	}
	deliver()
	r.thaw()
	r.pass(5 * time.Second)
	if got := r.task(taskID(1)); got.Status != fleet.TaskRunning || got.Attempt != 2 || len(did[converge.Delete](r)) != 1 {
		t.Errorf("after a list from before the deletion: %+v, %d deletions", got, len(did[converge.Delete](r)))
	}
}

func TestTwoListsAtOnceAreNotEvidenceThatAContainerIsGone(t *testing.T) {
	r, _ := running(t, 1)
	id := string(taskID(1)) + ".app"
	r.containers.Exit(id, 0, false)
	status := *r.find(id)
	if err := r.containers.Delete(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		r.step(converge.ContainerChanged{})
		r.pass(200 * time.Millisecond)
	}
	if got := r.task(taskID(1)); got.Status != fleet.TaskRunning {
		t.Fatalf("after five lists in a second it is %s", got.Status)
	}
	// It is there again, as after a daemon that came up half: nothing has happened.
	r.hangs = func(e converge.Effect) bool {
		if _, ok := e.Do.(converge.List); !ok {
			return false
		}
		status.State, status.PID = port.ContainerRunning, 1001
		r.step(converge.Done{ID: e.ID, Found: &converge.Found{Containers: []port.ContainerStatus{status}}})
		return true
	}
	r.heard(time.Minute)
	if got := r.task(taskID(1)); got.Status != fleet.TaskRunning {
		t.Errorf("it is %s", got.Status)
	}
}

func TestARuntimeThatCannotTellIsNoReasonToReportAStop(t *testing.T) {
	r, tasks := running(t, 2)
	r.kill()
	r.hangs = func(e converge.Effect) bool {
		do, ok := e.Do.(converge.List)
		if !ok {
			return false
		}
		found, _ := r.list(do)
		for i := range found.Containers {
			found.Containers[i].State = port.ContainerUnknown
		}
		r.step(converge.Done{ID: e.ID, Found: found})
		return true
	}
	r.up()
	r.snapshot(tasks...)
	reports := len(r.reports)
	r.carried = nil
	r.heard(10 * time.Minute)
	for _, e := range r.carried {
		switch e.Do.(type) {
		case converge.Create, converge.Start, converge.Signal, converge.Delete:
			t.Errorf("it did %T", e.Do)
		}
	}
	for _, report := range r.reports[reports:] {
		for _, task := range report.Tasks {
			if task.Status > fleet.TaskRunning {
				t.Errorf("reported %+v", task)
			}
		}
	}
	r.hangs = nil
	r.until("running again", 2*time.Minute, func() bool { return r.m.Status().Running == 2 })
	r.neverTwice()
}

func TestAnAgentKeepsListingSeldomWhileTheRuntimeCannotTell(t *testing.T) {
	r, tasks := running(t, 1)
	r.kill()
	lists := 0
	unknown := func(e converge.Effect, do converge.List) {
		lists++
		found, _ := r.list(do)
		for i := range found.Containers {
			found.Containers[i].State = port.ContainerUnknown
		}
		r.step(converge.Done{ID: e.ID, Found: found})
	}
	r.hangs = hang[converge.List]
	r.up()
	r.snapshot(tasks...)
	first := r.hung[0] // it is answered when nothing else happens to the task any more
	r.hangs = func(e converge.Effect) bool {
		do, ok := e.Do.(converge.List)
		if ok {
			unknown(e, do)
		}
		return ok
	}
	unknown(first, first.Do.(converge.List))
	if got := r.task(taskID(1)); !strings.Contains(got.Why, "did not answer whether app exists") {
		t.Errorf("it waits because %q", got.Why)
	}
	r.heard(time.Minute)
	if lists < 6 || lists > 12 {
		t.Errorf("%d lists in a minute", lists)
	}
	r.hangs = nil
	r.until("running again", 30*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.neverTwice()
}

func TestAContainerOfNoKnownStateIsNotMadeAndItsTaskSaysWhy(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.Pull]
	r.snapshot(web(1))
	r.hangs = func(e converge.Effect) bool {
		do, ok := e.Do.(converge.List)
		if !ok {
			return false
		}
		found, _ := r.list(do)
		found.Containers = append(found.Containers, port.ContainerStatus{
			ID: string(taskID(1)) + ".app", Task: taskID(1), Container: "app", State: port.ContainerUnknown,
		})
		r.step(converge.Done{ID: e.ID, Found: found})
		return true
	}
	r.step(converge.ContainerChanged{})
	r.pass(time.Second)
	if got := r.task(taskID(1)); !strings.Contains(got.Why, "did not answer whether app exists") {
		t.Errorf("it waits because %q", got.Why)
	}
	r.pending, r.hung = append(r.hung, r.pending...), nil // the image comes
	r.heard(time.Minute)
	if n := len(did[converge.Create](r)); n != 0 {
		t.Errorf("it was made %d times", n)
	}
}

func TestATaskOfASecondListWaitsForTheSecondWrite(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.SaveWanted]
	r.snapshot(web(1))
	r.snapshot(web(1), web(2))
	first := kept[converge.SaveWanted](r)
	if len(first) != 1 {
		t.Fatalf("%d writes in flight", len(first))
	}
	e := r.hung[0]
	r.hung = nil
	r.step(converge.Done{ID: e.ID})
	r.heard(2 * time.Second)
	if r.task(taskID(1)).Status != fleet.TaskRunning || r.task(taskID(2)).Status != fleet.TaskPending {
		t.Errorf("with only the first list on disk:\n%s", r.describe())
	}
	r.thaw()
	r.until("running", time.Second, r.is(taskID(2), fleet.TaskRunning))
}

func TestATimerThatFiresEarlyIsArmedAgain(t *testing.T) {
	r := newRig(t).up()
	r.settle()
	want := r.armed
	r.armed = 0
	r.step(converge.Tick{})
	if r.armed != want || want == 0 {
		t.Errorf("armed for %s, want %s", r.armed, want)
	}
}

func TestALostRuntimeIsNotListedUntilItIsBack(t *testing.T) {
	r, _ := running(t, 1)
	r.containers.Inject(func(f *fake.Faults) { f.RuntimeDown = true })
	r.step(converge.RuntimeDown{Err: port.ErrRuntimeDown})
	r.carried = nil
	r.heard(10 * time.Minute)
	if n := len(did[converge.List](r)); n != 0 {
		t.Errorf("%d lists of a runtime that is down", n)
	}
}

func TestAContainerThatIsGoneAfterNobodyCouldTellIsNotMadeAgain(t *testing.T) {
	r, tasks := running(t, 1)
	r.kill()
	first := true
	r.hangs = func(e converge.Effect) bool {
		do, ok := e.Do.(converge.List)
		if !ok {
			return false
		}
		found, _ := r.list(do)
		if first {
			found.Containers[0].State = port.ContainerUnknown
		} else {
			found.Containers = nil
		}
		first = false
		r.step(converge.Done{ID: e.ID, Found: found})
		return true
	}
	r.up()
	r.snapshot(tasks...)
	r.carried = nil
	r.until("stopped", 2*time.Minute, r.is(taskID(1), fleet.TaskStopped))
	if len(did[converge.Create](r)) != 0 {
		t.Error("it was made again")
	}
}

func TestATaskThatIsStoppedWhileItStartsLeavesItsPlace(t *testing.T) {
	r := newRig(t)
	r.limits.Starts = 1
	r.up()
	r.hangs = func(e converge.Effect) bool { return hang[converge.Create](e) && e.Task == taskID(1) }
	r.snapshot(web(1), web(2))
	r.heard(time.Second)
	r.snapshot(stopped(web(1)), web(2))
	r.heard(time.Second)
	if got := r.task(taskID(2)); got.Status != fleet.TaskRunning {
		t.Errorf("it is %s: %s", got.Status, got.Why)
	}
}
