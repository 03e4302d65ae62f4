package converge_test

import (
	"fmt"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
)

func TestOneReportIsOutstandingAndSentAgainUnchangedUntilAcknowledged(t *testing.T) {
	r := newRig(t)
	r.auto = false
	r.up()
	r.snapshot(web(1))
	r.heard(time.Second)
	if len(r.reports) != 1 {
		t.Fatalf("%d reports without an answer, want 1", len(r.reports))
	}
	first := r.reports[0]
	if first.Host != "h-1" || first.Session != r.session || first.Seq != 1 || len(first.Tasks) != 1 {
		t.Errorf("report %+v", first)
	}
	r.heard(30 * time.Second)
	if n := len(r.reports); n < 4 || n > 8 {
		t.Errorf("%d sendings in 31 s", n)
	}
	for _, again := range r.reports {
		if fmt.Sprint(again) != fmt.Sprint(first) {
			t.Errorf("sent again as %+v, was %+v", again, first)
		}
	}
	r.step(converge.ReportAcked{Session: r.session, Seq: 1})
	last := r.reports[len(r.reports)-1]
	if last.Seq != 2 || len(last.Tasks) != 1 || last.Tasks[0].Status != fleet.TaskRunning {
		t.Errorf("after the answer: %+v", last)
	}
	n := len(r.reports)
	r.step(converge.ReportAcked{Session: r.session, Seq: 2})
	r.heard(time.Minute)
	if len(r.reports) != n {
		t.Errorf("%d more reports though nothing changed", len(r.reports)-n)
	}
}

func TestAnAnswerToAnotherReportIsIgnored(t *testing.T) {
	r := newRig(t)
	r.auto = false
	r.up()
	r.snapshot(web(1))
	for _, ack := range []converge.ReportAcked{{Session: r.session, Seq: 2}, {Session: r.session + 1, Seq: 1}, {}} {
		r.step(ack)
	}
	r.heard(time.Second)
	for _, report := range r.reports {
		if report.Seq != 1 {
			t.Errorf("report %d was sent", report.Seq)
		}
	}
}

func TestANewSessionIsToldEverythingFromOne(t *testing.T) {
	r, tasks := running(t, 3)
	r.step(converge.HostChecked{Checks: []fleet.Check{{Name: "disk", OK: true}}, Capacity: &fleet.Resources{CPU: 2048}})
	if last := r.reports[len(r.reports)-1]; len(last.SelfCheck) != 1 || last.Capacity == nil || len(last.Tasks) != 0 {
		t.Errorf("the host's own report is %+v", last)
	}
	n := len(r.reports)
	r.meet()
	r.snapshot(tasks...)
	if len(r.reports) != n+1 {
		t.Fatalf("%d reports", len(r.reports)-n)
	}
	got := r.reports[n]
	if got.Session != r.session || got.Seq != 1 || len(got.Tasks) != 3 || len(got.SelfCheck) != 1 || got.Capacity == nil {
		t.Errorf("report %+v", got)
	}
}

func TestAReportIsTheNewestStatusNotEveryChange(t *testing.T) {
	r := newRig(t)
	r.auto = false
	r.up()
	r.snapshot(web(1)) // PENDING is outstanding
	r.heard(time.Second)
	r.snapshot(stopped(web(1)))
	r.heard(time.Second)
	r.step(converge.ReportAcked{Session: r.session, Seq: 1})
	last := r.reports[len(r.reports)-1]
	if last.Seq != 2 || len(last.Tasks) != 1 || last.Tasks[0].Status != fleet.TaskStopped {
		t.Errorf("report %+v", last)
	}
}

func TestReportsAreBoundedInSize(t *testing.T) {
	r := newRig(t)
	r.limits.Starts = 100
	r.auto = false
	r.up()
	var tasks []fleet.WantedTask
	for i := range 150 {
		tasks = append(tasks, web(i+1))
	}
	r.snapshot(tasks...)
	r.heard(time.Second)
	told := map[fleet.TaskID]fleet.TaskStatus{}
	for range 20 {
		last := r.reports[len(r.reports)-1]
		if len(last.Tasks) > converge.MaxReportTasks {
			t.Fatalf("%d tasks in one report", len(last.Tasks))
		}
		for _, task := range last.Tasks {
			told[task.Task] = task.Status
		}
		r.step(converge.ReportAcked{Session: r.session, Seq: last.Seq})
	}
	for _, w := range tasks {
		if told[w.ID] != fleet.TaskRunning {
			t.Errorf("%s was told as %s", w.ID[:4], told[w.ID])
		}
	}
}

func TestAStoppedTaskIsKeptUntilTheFleetKnowsAndNoLongerListsIt(t *testing.T) {
	r := newRig(t)
	r.auto = false
	r.up()
	ack := func() {
		last := r.reports[len(r.reports)-1]
		r.step(converge.ReportAcked{Session: last.Session, Seq: last.Seq})
		r.settle()
	}
	r.snapshot(web(1))
	r.heard(time.Second)
	ack()
	ack()
	r.snapshot(stopped(web(1)))
	r.heard(5 * time.Second)
	r.snapshot() // it is gone from the list before its end was acknowledged
	r.heard(time.Minute)
	if len(did[converge.Delete](r)) != 0 {
		t.Fatal("it was removed before the fleet knew of its end")
	}
	ack()
	r.heard(time.Second)
	ack()
	r.heard(time.Second)
	if len(r.m.Status().Tasks) != 0 || len(did[converge.Delete](r)) != 1 || len(did[converge.RemoveCgroup](r)) != 1 {
		t.Errorf("left over:\n%s", r.describe())
	}
}

func TestAStoppedTaskIsNotForgottenBeforeTheListWithoutItIsOnDisk(t *testing.T) {
	r, _ := running(t, 1)
	r.snapshot(stopped(web(1)))
	r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
	r.hangs = hang[converge.SaveWanted]
	r.snapshot()
	r.heard(time.Minute)
	if got := r.task(taskID(1)); got.Status != fleet.TaskStopped || got.Why == "" {
		t.Fatalf("it is gone, but a restart would find it wanted: %+v", got)
	}
	r.thaw()
	r.until("forgotten", 5*time.Second, func() bool { return len(r.m.Status().Tasks) == 0 })
}

func TestAReportThatIsRefusedForEverDoesNotHoldUpOthers(t *testing.T) {
	r := newRig(t)
	r.auto = false
	r.up()
	r.snapshot(web(1))
	r.heard(time.Second)
	r.step(converge.ReportRefused{Session: r.session, Seq: 1, Err: errInjected})
	last := r.reports[len(r.reports)-1]
	if last.Seq != 2 || last.Tasks[0].Status != fleet.TaskRunning {
		t.Errorf("report %+v", last)
	}
}

// The answer that confirms an end is all that what is left of the task waits for.
func TestWhatIsLeftOfATaskGoesWithTheAnswerThatConfirmsItsEnd(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(web(1), web(2))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.auto = false
	acked := func() {
		last := r.reports[len(r.reports)-1]
		r.step(converge.ReportAcked{Session: last.Session, Seq: last.Seq})
		r.settle()
	}
	r.snapshot(web(2))
	for range 60 {
		r.heard(time.Second)
		if r.level[taskID(1)].Status == fleet.TaskStopped {
			break
		}
		acked()
	}
	r.heard(3 * time.Second)
	container := string(taskID(1)) + ".app"
	if r.level[taskID(1)].Status != fleet.TaskStopped || r.find(container) == nil {
		t.Fatalf("it is not stopped, or what is left of it is gone before the fleet knows\n%s", r.describe())
	}
	acked()
	if r.find(container) != nil {
		t.Errorf("the fleet knows of the end, and the container is still there\n%s", r.describe())
	}
}
