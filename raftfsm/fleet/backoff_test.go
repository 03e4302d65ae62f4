package fleet

import (
	"strings"
	"testing"
)

func TestBackoff(t *testing.T) {
	fail := func(w *world, id TaskID) {
		w.t.Helper()
		w.assign(1, id)
		w.report(1, stopped(id, 1))
	}
	setup := func(t *testing.T) *world {
		w := fleetOf(t, 1)
		w.service("web", 3)
		return w
	}
	t.Run("doubles from a second to five minutes", func(t *testing.T) {
		var got []string
		for n := 1; n <= 11; n++ {
			got = append(got, backoff(n).String())
		}
		if s := strings.Join(got, " "); s != "1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s" {
			t.Error(s)
		}
	})
	t.Run("grows with each round of failed starts, not with each task", func(t *testing.T) {
		w := setup(t)
		w.create("web", 1, 3)
		for _, id := range []TaskID{"web-1", "web-2", "web-3"} {
			fail(w, id)
		}
		v := w.Service("web")
		if v.Failures != 1 || v.NotBefore != w.at+1000 || v.LastFailure != "task web-1: app exit 1" {
			t.Errorf("service %+v", v)
		}
		if w.NextDue(w.at) != w.at+1000 {
			t.Errorf("due %s", w.NextDue(w.at))
		}
		w.wait(1000)
		w.create("web", 4, 4)
		w.wait(500)
		fail(w, "web-4")
		if v := w.Service("web"); v.Failures != 2 || v.NotBefore != w.at+2000 {
			t.Errorf("service %+v", v)
		}
		w.checked()
	})
	t.Run("is over once a task of the round lasts, though nothing is reported", func(t *testing.T) {
		w := setup(t)
		w.create("web", 1, 2)
		fail(w, "web-1")
		if failed, over := w.FailedStarts(w.Service("web"), w.at); failed != 1 || over != 0 {
			t.Errorf("%d failed, over at %s", failed, over)
		}
		w.wait(1000)
		w.create("web", 3, 3)
		w.assign(1, "web-3")
		w.report(1, running("web-3"))
		lasts := w.at.Add(LastingRun)
		for at, want := range map[Time]int{w.at: 1, lasts - 1: 1, lasts: 0} {
			if failed, over := w.FailedStarts(w.Service("web"), at); failed != want || over != lasts {
				t.Errorf("at %s: %d failed, over at %s; want %d and %s", at, failed, over, want, lasts)
			}
		}
	})
	t.Run("is forgotten once a task of the round lasts and ends", func(t *testing.T) {
		w := setup(t)
		w.create("web", 1, 1)
		fail(w, "web-1")
		w.wait(1000)
		w.create("web", 2, 2)
		w.assign(1, "web-2")
		w.report(1, running("web-2"))
		w.wait(10_000)
		w.report(1, stopped("web-2", 1))
		if v := w.Service("web"); v.Failures != 0 || v.NotBefore != 0 || v.LastFailure != "" {
			t.Errorf("service %+v", v)
		}
		w.checked()
	})
	t.Run("starts afresh when a task of the round lasts beside the one that fails", func(t *testing.T) {
		w := setup(t)
		w.create("web", 1, 1)
		fail(w, "web-1")
		w.wait(1000)
		w.create("web", 2, 3)
		w.assign(1, "web-2", "web-3")
		w.report(1, running("web-2"))
		w.wait(10_000)
		w.report(1, stopped("web-3", 1))
		if v := w.Service("web"); v.Failures != 1 || v.NotBefore != w.at+1000 {
			t.Errorf("service %+v", v)
		}
	})
	t.Run("is not reset by tasks that ran before", func(t *testing.T) {
		w := setup(t)
		w.create("web", 1, 1)
		w.assign(1, "web-1")
		w.report(1, running("web-1"))
		w.wait(60_000)
		for i, id := range w.create("web", 2, 3) {
			fail(w, id)
			w.at = w.Service("web").NotBefore
			if v := w.Service("web"); v.Failures != 1 {
				t.Errorf("after %d: %+v", i, v)
			}
		}
		w.create("web", 4, 4)
		fail(w, "web-4")
		if v := w.Service("web"); v.Failures != 2 {
			t.Errorf("service %+v", v)
		}
	})
	t.Run("a new revision starts afresh", func(t *testing.T) {
		w := setup(t)
		w.create("web", 1, 1)
		fail(w, "web-1")
		w.must(PutService{Name: "web", ExpectedModifyIndex: w.Service("web").ModifyIndex, TaskDef: "web:1", Desired: 3,
			MinPercent: 100, MaxPercent: 200, Force: true})
		if v := w.Service("web"); v.Failures != 0 || v.NotBefore != 0 {
			t.Errorf("service %+v", v)
		}
		w.checked()
	})
	t.Run("counting failures does not get in the way of an update", func(t *testing.T) {
		w := setup(t)
		w.create("web", 1, 1)
		modifyIndex := w.Service("web").ModifyIndex
		fail(w, "web-1")
		if w.Service("web").ModifyIndex != modifyIndex {
			t.Error("the generation moved")
		}
	})
	t.Run("a stop for the machine's sake is no failure", func(t *testing.T) {
		w := setup(t)
		w.create("web", 1, 1)
		w.assign(1, "web-1")
		w.report(1, TaskReport{Task: "web-1", Status: TaskStopped, StopCode: StopTerminationNotice})
		if w.Service("web").Failures != 0 {
			t.Errorf("service %+v", w.Service("web"))
		}
	})
}

// Blue crashes while green is deployed, which is often why.
func TestARevisionThatIsNotCurrentBacksOffByItself(t *testing.T) {
	r := rolls(t, canary)
	v := r.Service("web")
	r.must(PutGoals{Service: "web", ServiceModifyIndex: v.ModifyIndex, Max: 5, Revisions: []RevisionGoal{
		{Revision: "web/1", Desired: 2, Max: 3}, {Revision: "web/2", Desired: 2, Max: 2}}})
	port := 51_000
	start := func(id TaskID) {
		t.Helper()
		port++
		r.must(CreateTasks{Revision: "web/1", Tasks: []TaskID{id}})
		r.must(AssignTasks{Host: hostID(1), Tasks: []TaskID{id}, Ports: [][]PortBinding{{
			{Container: "app", ContainerPort: 8080, HostPort: port, Protocol: TCP}}}})
	}
	fail := func(id TaskID, round int) {
		t.Helper()
		start(id)
		r.report(1, stopped(id, 1))
		v, blue := r.Service("web"), r.Revision("web/1")
		if v.Failures != 0 || r.NotBefore(v, "web/2") != 0 {
			t.Errorf("green waits for blue: %+v", v)
		}
		if blue.Starts == nil || blue.Starts.Failures != round || r.NotBefore(v, "web/1") != r.at.Add(backoff(round)) ||
			!strings.Contains(blue.Starts.LastFailure, "app exit 1") {
			t.Errorf("after round %d blue waits like %+v", round, blue.Starts)
		}
	}
	fail("blue-3", 1)
	r.wait(1000)
	fail("blue-4", 2)
	r.wait(2000)
	start("blue-5")
	r.report(1, running("blue-5"))
	r.wait(10_000)
	r.report(1, stopped("blue-5", 1))
	if got := r.Revision("web/1").Starts; got != nil {
		t.Errorf("after one that lasted blue waits like %+v", got)
	}
	r.checked()
}
