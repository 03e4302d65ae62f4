package converge_test

import (
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
)

// full is a host with n running tasks.
func full(b *testing.B, n int) (*rig, []fleet.WantedTask) {
	b.Helper()
	r := newRig(b)
	r.limits.Starts = n
	r.up()
	var tasks []fleet.WantedTask
	for i := range n {
		tasks = append(tasks, web(i+1))
	}
	r.snapshot(tasks...)
	for r.m.Status().Running < n {
		r.pass(100 * time.Millisecond)
	}
	return r, tasks
}

// BenchmarkBeat is an event that concerns no task, on a host with 1000.
func BenchmarkBeat(b *testing.B) {
	r, _ := full(b, 1000)
	now := r.now()
	for b.Loop() {
		now.Mono++
		r.m.Step(now, []converge.Event{converge.VoterHeard{}})
	}
}

// BenchmarkList is a list of a host with 1000 containers.
func BenchmarkList(b *testing.B) {
	r, _ := full(b, 1000)
	found, err := r.list(converge.List{})
	if err != nil {
		b.Fatal(err)
	}
	now := r.now()
	for b.Loop() {
		now.Mono += 3 * time.Second
		for _, e := range r.m.Step(now, []converge.Event{converge.ContainerChanged{}}) {
			if _, ok := e.Do.(converge.List); ok {
				r.m.Step(now, []converge.Event{converge.Done{ID: e.ID, Found: found}})
			}
		}
	}
}

// BenchmarkSnapshot is a complete snapshot of 1000 tasks that changes nothing.
func BenchmarkSnapshot(b *testing.B) {
	r, tasks := full(b, 1000)
	now := r.now()
	index := r.index
	for b.Loop() {
		index++
		now.Mono++
		r.m.Step(now, []converge.Event{converge.Frame{Complete: true, Wanted: fleet.Wanted{Fleet: "f1", Epoch: 1,
			Index: index, Session: r.session, Tasks: tasks, TaskDefs: defsFor(tasks)}}})
	}
}
