package converge_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
)

// delayed is group blue, which targets leave within so many seconds.
func delayed(seconds int) fleet.GroupTargets {
	g := blue(every(5))
	g.TargetGroup.DeregistrationDelayS = seconds
	return g
}

// served is a host with a task that runs in group blue, and its first process.
func served(t *testing.T, task fleet.WantedTask, groups ...fleet.GroupTargets) (r *rig, pid int) {
	t.Helper()
	r = newRig(t).up()
	r.sendRoutes(routesOf(groups...), task)
	r.until("running", 10*time.Second, r.is(task.ID, fleet.TaskRunning))
	return r, r.find(string(task.ID) + ".app").PID
}

// quietFor lets time go by in which no container may get a signal.
func (r *rig) quietFor(d time.Duration) {
	r.t.Helper()
	before := len(signals(r))
	r.heard(d)
	if got := signals(r)[before:]; len(got) > 0 {
		r.t.Errorf("within %s: signals %v\n%s", d, got, r.describe())
	}
}

// signalled is a condition: a container got its first signal.
func (r *rig) signalled() bool { return len(signals(r)) > 0 }

func TestATaskIsSignalledOnceNothingIsConnectedAndAllHostsHadTimeToHear(t *testing.T) {
	r, _ := served(t, balanced(1), delayed(300))
	r.snapshot(stopped(balanced(1)))
	r.quietFor(1900 * time.Millisecond)
	if got := r.level[taskID(1)].Status; got != fleet.TaskDeactivating {
		t.Errorf("it is %s", got)
	}
	if got := r.task(taskID(1)).Why; got != "leaving its target groups: 300 s left" {
		t.Errorf("why: %q", got)
	}
	r.until("signalled", 300*time.Millisecond, r.signalled)
	r.until("stopped", time.Second, r.is(taskID(1), fleet.TaskStopped))
}

func TestATaskIsSignalledOnceItsLastConnectionIsClosed(t *testing.T) {
	r, pid := served(t, balanced(1), delayed(300))
	first, second := r.network.Connect(pid, 80), r.network.Connect(pid, 80)
	r.network.Connect(pid, 9000) // one that is not of the group's traffic
	r.snapshot(stopped(balanced(1)))
	r.quietFor(20 * time.Second)
	first()
	r.quietFor(20 * time.Second)
	if got := r.task(taskID(1)).Why; got != "leaving its target groups: 260 s left, connections open: 1" {
		t.Errorf("why: %q", got)
	}
	if n := len(did[converge.CountConnections](r)); n < 60 || n > 80 {
		t.Errorf("%d counts in 40 s, want two a second", n)
	}
	second()
	r.until("signalled", 600*time.Millisecond, r.signalled)
}

func TestATaskIsSignalledWhenTheLongestDelayOfItsGroupsIsOver(t *testing.T) {
	green := delayed(20)
	green.TargetGroup.Name = "green"
	task := balanced(1)
	task.Groups = append(task.Groups, fleet.GroupBinding{Group: "green", Container: "app", ContainerPort: 81})
	r, pid := served(t, task, delayed(45), green)
	r.network.Connect(pid, 81)
	r.snapshot(stopped(task))
	r.quietFor(44 * time.Second)
	r.until("signalled", 1100*time.Millisecond, r.signalled)
}

func TestConnectionsThatCannotBeCountedMayBeThere(t *testing.T) {
	r, _ := served(t, balanced(1), delayed(30))
	r.network.Inject(fake.Fault{Err: errInjected})
	r.snapshot(stopped(balanced(1)))
	r.quietFor(29 * time.Second)
	if got := r.task(taskID(1)).Why; !strings.Contains(got, "not known: ") || !strings.Contains(got, "injected") {
		t.Errorf("why: %q", got)
	}
	r.until("signalled", 1100*time.Millisecond, r.signalled)
}

func TestACountThatNeverAnswersEndsWithTheDelay(t *testing.T) {
	r, _ := served(t, balanced(1), delayed(30))
	r.hangs = hang[converge.CountConnections]
	r.snapshot(stopped(balanced(1)))
	r.quietFor(29 * time.Second)
	r.until("signalled", 1100*time.Millisecond, r.signalled)
	r.thaw()
	r.until("stopped", time.Second, r.is(taskID(1), fleet.TaskStopped))
}

func TestATaskThatTrafficCannotComeToIsSignalledAtOnce(t *testing.T) {
	end := func(change func(*fleet.WantedTask)) func(r *rig) {
		return func(r *rig) { r.snapshot(with(stopped(balanced(1)), change)) }
	}
	asked := end(func(*fleet.WantedTask) {})
	tests := []struct {
		name  string
		task  fleet.WantedTask
		delay int
		stop  func(r *rig)
	}{
		{"one in no group", web(1), 300, func(r *rig) { r.snapshot(stopped(web(1))) }},
		{"one whose group has no delay", balanced(1), 0, asked},
		{"one that the fleet takes for stopped", balanced(1), 300,
			end(func(w *fleet.WantedTask) { w.Last = fleet.TaskStopped })},
		{"one that a host without voters must not run",
			with(balanced(1), func(w *fleet.WantedTask) { w.StopAfterMs = 1 }), 300,
			func(r *rig) { r.pass(10 * time.Millisecond) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, pid := served(t, tt.task, delayed(tt.delay))
			r.network.Connect(pid, 80)
			tt.stop(r)
			r.pass(10 * time.Millisecond)
			if !r.signalled() {
				t.Errorf("no signal\n%s", r.describe())
			}
		})
	}
}

func TestATaskThatIsNotRunningYetDoesNotDrain(t *testing.T) {
	r := newRig(t).up()
	r.hangs = func(e converge.Effect) bool {
		s, is := e.Do.(converge.Start)
		return is && strings.HasSuffix(s.Container, ".second")
	}
	task := of(balanced(1), twoContainers("halfway:1"))
	r.sendRoutes(routesOf(delayed(300)), task)
	r.until("activating", 10*time.Second, r.is(taskID(1), fleet.TaskActivating))
	r.snapshot(stopped(task))
	if got := fmt.Sprint(signals(r)); got != "[15 app]" {
		t.Errorf("signals %s\n%s", got, r.describe())
	}
}

// twoContainers are an app and a second, both essential.
func twoContainers(id fleet.TaskDefID) fleet.TaskDefID {
	return define(id, func(d *fleet.TaskDef) {
		second := d.Containers[0]
		second.Name = "second"
		d.Containers = append(d.Containers, second)
	})
}

func TestATaskThatLosesAContainerWhileItDrainsIsSignalledAtOnce(t *testing.T) {
	task := with(of(balanced(1), twoContainers("pair:1")), func(w *fleet.WantedTask) { w.Images = nil })
	r, pid := served(t, task, delayed(300))
	r.network.Connect(pid, 80)
	r.network.Connect(r.find(string(taskID(1))+".second").PID, 80) // what one has open, all of the task's network have
	r.snapshot(stopped(task))
	r.quietFor(10 * time.Second)
	r.containers.Exit(string(taskID(1))+".app", 1, false)
	r.until("signalled", 2*time.Second, r.signalled)
	if got := fmt.Sprint(signals(r)); got != "[15 second]" {
		t.Errorf("signals %s", got)
	}
}

func TestADrainGoesOnWhereTheAgentLeftIt(t *testing.T) {
	id := define("deaf:drain", func(d *fleet.TaskDef) { d.Containers[0].Command = []string{"deaf"} })
	task := of(balanced(1), id)
	r, pid := served(t, task, delayed(60))
	closeIt := r.network.Connect(pid, 80)
	r.snapshot(stopped(task))
	for range 3 {
		r.quietFor(10 * time.Second)
		r.kill()
		r.pass(8 * time.Second)
		r.up()
	}
	r.quietFor(5 * time.Second)
	r.until("signalled after 60 s in all", 1100*time.Millisecond, r.signalled)
	closeIt()

	// The time between the signals is the container's own, also over restarts.
	for range 2 {
		r.heard(12 * time.Second)
		r.kill()
		r.up()
	}
	if got := fmt.Sprint(signals(r)); strings.Contains(got, "9 app") {
		t.Errorf("24 s after SIGTERM: signals %s", got)
	}
	r.until("killed", 8*time.Second, func() bool { return strings.Contains(fmt.Sprint(signals(r)), "9 app") })
}

func TestATaskThatHasDrainedDoesNotDrainAgainAfterARestartOfTheAgent(t *testing.T) {
	id := define("deaf:drained", func(d *fleet.TaskDef) { d.Containers[0].Command = []string{"deaf"} })
	task := of(balanced(1), id)
	r, pid := served(t, task, delayed(300))
	r.snapshot(stopped(task))
	r.until("signalled", 3*time.Second, r.signalled)
	r.network.Connect(pid, 80)
	r.kill()
	before := len(signals(r))
	r.up()
	r.heard(time.Second)
	if got := signals(r)[before:]; len(got) != 1 {
		t.Errorf("signals after the restart: %v\n%s", got, r.describe())
	}
}
