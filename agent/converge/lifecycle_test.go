package converge_test

import (
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
)

func TestATaskGoesFromWantedToRunningToStoppedToForgotten(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(web(1))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	if got := r.level[taskID(1)]; got.Status != fleet.TaskRunning || got.Attempt != 1 || got.StartedAt == 0 {
		t.Errorf("reported %+v", got)
	}
	r.snapshot(stopped(web(1)))
	r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
	got := r.level[taskID(1)]
	if got.Status != fleet.TaskStopped || len(got.Exits) != 1 || got.Exits[0].Code == nil || *got.Exits[0].Code != 143 ||
		got.StopCode != 0 {
		t.Errorf("reported %+v", got)
	}
	r.snapshot()
	r.until("forgotten", 5*time.Second, func() bool { return len(r.m.Status().Tasks) == 0 })
	if c := r.find(string(taskID(1)) + ".app"); c != nil {
		t.Errorf("container left: %+v", c)
	}
	if left, _ := r.network.Tasks(t.Context()); len(left) != 0 {
		t.Errorf("networks left: %v", left)
	}
	if left, _ := r.cgroups.Tasks(t.Context()); len(left) != 0 {
		t.Errorf("cgroups left: %v", left)
	}
	if left := converge.Compact(r.journal); len(left) != 0 {
		t.Errorf("journal still speaks of %v", left)
	}
	r.neverTwice()
}
