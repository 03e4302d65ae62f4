package converge_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
)

// registrar is the fleet's side as far as a host sees it: it lists what is not
// STOPPED yet and takes reports as State does.
type registrar struct {
	r     *rig
	tasks []fleet.WantedTask
	heard map[fleet.TaskID]fleet.TaskReport
	read  int // reports taken in
}

func newRegistrar(r *rig) *registrar {
	return &registrar{r: r, heard: map[fleet.TaskID]fleet.TaskReport{}}
}

func (g *registrar) add(tasks ...fleet.WantedTask) { g.tasks = append(g.tasks, tasks...) }

func (g *registrar) stop(id fleet.TaskID) {
	for i := range g.tasks {
		if g.tasks[i].ID == id {
			g.tasks[i].Desired = fleet.TaskStopped
		}
	}
}

// take reads the reports that arrived since; a status that falls is dropped.
func (g *registrar) take() {
	for ; g.read < len(g.r.reports); g.read++ {
		for _, t := range g.r.reports[g.read].Tasks {
			old := g.heard[t.Task]
			if t.Status < old.Status {
				continue
			}
			t.Attempt = max(t.Attempt, old.Attempt)
			g.heard[t.Task] = t
		}
	}
}

// list is what is wanted of the host now.
func (g *registrar) list() []fleet.WantedTask {
	g.take()
	var out []fleet.WantedTask
	for _, w := range g.tasks {
		h := g.heard[w.ID]
		if h.Status == fleet.TaskStopped {
			continue
		}
		w.Last = max(h.Status, fleet.TaskProvisioning)
		if h.Status > fleet.TaskRunning {
			w.Desired = fleet.TaskStopped // it ends, and a replacement may be on its way
		}
		out = append(out, w)
	}
	return out
}

// tell sends the list; the host may refuse it.
func (g *registrar) tell() { _ = g.r.trySnapshot(g.list()...) }

// serve beats, tells and listens for a while.
func (g *registrar) serve(d time.Duration) {
	for ; d > 0; d -= time.Second {
		g.r.step(converge.VoterHeard{})
		if !g.r.down {
			g.tell()
		}
		g.r.pass(time.Second)
	}
	g.take()
}

// life drives two tasks through their whole life on r; alive is called whenever
// the agent may have died.
func life(r *rig, alive func()) *registrar {
	h := exec(5)
	pair := define("crash:1", func(d *fleet.TaskDef) {
		side := d.Containers[0]
		side.Name = "side"
		d.Containers = append(d.Containers, side)
		d.Containers[0].HealthCheck = &h
	})
	g := newRegistrar(r)
	run := func(d time.Duration) {
		for ; d > 0; d -= time.Second {
			g.serve(time.Second)
			alive()
		}
	}
	g.add(with(of(web(1), pair), func(w *fleet.WantedTask) { w.Images = nil }), web(2))
	g.tell()
	alive()
	run(30 * time.Second)
	g.stop(taskID(1))
	run(20 * time.Second)
	return g
}

// TestACrashAtAnyStepComesToTheSameEnd kills the agent after its n-th step, for
// every n, with the step carried out and with the step lost.
func TestACrashAtAnyStepComesToTheSameEnd(t *testing.T) {
	count := newRig(t)
	count.up()
	life(count, func() {})
	steps := len(count.carried)
	if steps < 30 {
		t.Fatalf("the life has only %d steps", steps)
	}
	diedStarting := 0
	for _, lost := range []bool{false, true} {
		for n := 1; n <= steps; n++ {
			name := fmt.Sprintf("step %d %s", n, map[bool]string{false: "done", true: "lost"}[lost])
			r := newRig(t)
			if lost {
				at := 0
				r.faults = func(converge.Effect) error { // the call never reached the runtime
					if at++; at == n {
						return errInjected
					}
					return nil
				}
			}
			r.crashIn = n
			r.up()
			g := life(r, func() {
				if r.dead {
					r.faults = nil
					r.up() // on what the disk and the runtime hold
				}
			})
			r.neverTwice()
			if diedStarting += checkEnd(t, name, r, g); t.Failed() {
				t.Fatalf("%s:\n%s", name, r.describe())
			}
		}
	}
	if diedStarting == 0 {
		t.Error("no crash ever hit between journal and create: the test does not show anything")
	}
}

// checkEnd checks the end of a life: task 1 stopped and without a trace, task 2
// running, unless the agent died while starting it. It returns how many did.
func checkEnd(t *testing.T, name string, r *rig, g *registrar) int {
	t.Helper()
	died := 0
	g.serve(15 * time.Second)
	if got := g.heard[taskID(1)]; got.Status != fleet.TaskStopped {
		t.Errorf("%s: task 1 is %s", name, got.Status)
	} else if got.Reason == "agent died while starting it" {
		died++
	}
	switch got := g.heard[taskID(2)]; {
	case got.Status == fleet.TaskRunning:
	case got.Status == fleet.TaskStopped && got.Reason == "agent died while starting it":
		died++
	default:
		t.Errorf("%s: task 2 is %s: %s", name, got.Status, got.Reason)
	}
	all, err := r.containers.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Task == taskID(1) || g.heard[c.Task].Status == fleet.TaskStopped {
			t.Errorf("%s: container left: %s", name, c.ID)
		}
	}
	networks, _ := r.network.Tasks(t.Context())
	cgroups, _ := r.cgroups.Tasks(t.Context())
	for _, id := range append(networks, cgroups...) {
		if g.heard[id].Status == fleet.TaskStopped {
			t.Errorf("%s: a network or cgroup of task %s is left", name, id[:4])
		}
	}
	for _, rec := range converge.Compact(r.journal) {
		if g.heard[rec.Task].Status == fleet.TaskStopped {
			t.Errorf("%s: the journal still speaks of %s", name, rec.Task[:4])
		}
	}
	return died
}

// TestACrashAtAnyStepOfABlackStartComesToTheSameEnd kills the agent after its
// n-th step, for every n, while it runs its services again alone.
func TestACrashAtAnyStepOfABlackStartComesToTheSameEnd(t *testing.T) {
	again := 0
	for n := 1; ; n++ {
		r, tasks := running(t, 2)
		r.reboot()
		r.carried = nil
		r.crashIn = n
		r.agent()
		for range 100 {
			r.pass(time.Second)
			if r.dead {
				r.agent()
			}
		}
		r.neverTwice()
		if r.crashIn > 0 {
			break // the agent had fewer steps than n
		}
		r.pass(5 * time.Second)
		for _, w := range tasks {
			got := r.task(w.ID)
			switch {
			case got.Status == fleet.TaskRunning && got.Attempt == 2:
				again++
			case got.Status == fleet.TaskStopped && got.Reason == "agent died while starting it":
			default:
				t.Fatalf("crash after step %d:\n%s", n, r.describe())
			}
		}
	}
	if again < 20 {
		t.Errorf("only %d tasks came back: the test does not show anything", again)
	}
}

// TestNothingThatWasSaidToHaveEndedBeginsAgain lets the disk fail from the n-th
// write on, for every n, and then the power, on a host that comes back alone:
// what the fleet has heard of an end stays true (the rig checks each start).
func TestNothingThatWasSaidToHaveEndedBeginsAgain(t *testing.T) {
	said, again := 0, 0
	for n := 0; ; n++ {
		r := newRig(t)
		at := 0
		r.faults = func(e converge.Effect) error {
			if writes(e) {
				if at++; at > n {
					return errInjected
				}
			}
			return nil
		}
		r.up()
		life(r, func() {})
		failed := at > n
		r.reboot()
		r.up()
		g := newRegistrar(r)
		g.add(web(2))
		g.serve(40 * time.Second)
		r.reboot()
		r.faults, r.carried = nil, nil
		r.agent()
		r.pass(100 * time.Second)
		again += len(did[converge.Start](r))
		said += len(r.final)
		if t.Failed() {
			t.Fatalf("the disk failed from write %d on:\n%s", n+1, r.describe())
		}
		if !failed {
			break // there were fewer writes than n
		}
	}
	if said < 5 || again < 5 {
		t.Errorf("%d ends were said and %d containers started again: the test does not show anything", said, again)
	}
}

// TestReportsNeverFall checks that what is said of one attempt only goes forward,
// whatever step the agent dies at.
func TestReportsNeverFall(t *testing.T) {
	for n := 1; n <= 60; n += 3 {
		r := newRig(t)
		r.crashIn = n
		r.up()
		life(r, func() {
			if r.dead {
				r.up()
			}
		})
		last := map[string]fleet.TaskStatus{}
		var story strings.Builder
		for _, report := range r.reports {
			for _, task := range report.Tasks {
				key := string(task.Task)
				fmt.Fprintf(&story, "%s %s\n", key[:4], task.Status)
				if task.Status < last[key] && last[key] >= fleet.TaskRunning {
					t.Fatalf("crash after step %d:\n%s", n, story.String())
				}
				last[key] = task.Status
			}
		}
	}
}
