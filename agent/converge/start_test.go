package converge_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
	"skein/runtime/port"
)

func TestTheJournalLineIsDurableBeforeAContainerIsCreated(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.Journal]
	r.snapshot(web(1))
	r.heard(5 * time.Second)
	if n := len(did[converge.Create](r)) + len(kept[converge.Create](r)); n != 0 {
		t.Fatalf("%d creates while the journal hangs", n)
	}
	if len(kept[converge.Journal](r)) != 1 {
		t.Fatalf("%d journal writes asked for", len(kept[converge.Journal](r)))
	}
	r.thaw()
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
}

func TestAJournalThatCannotBeWrittenGivesTheTaskBack(t *testing.T) {
	r := newRig(t).up()
	r.faults = func(e converge.Effect) error {
		if _, ok := e.Do.(converge.Journal); ok {
			return errInjected
		}
		return nil
	}
	r.snapshot(web(1))
	r.until("given back", 2*time.Minute, func() bool { return r.level[taskID(1)].Status == fleet.TaskDeprovisioning })
	got := r.level[taskID(1)]
	if got.StopCode != fleet.StopTaskFailedToStart || !strings.Contains(got.Reason, "journal") ||
		len(did[converge.Create](r)) != 0 {
		t.Errorf("reported %+v", got)
	}
	r.snapshot(stopped(web(1))) // the list on disk does not want it any more
	r.until("stopped", time.Minute, r.is(taskID(1), fleet.TaskStopped))
}

func TestOneImageIsPulledOnceHoweverManyTasksWantIt(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.Pull]
	var tasks []fleet.WantedTask
	for i := range 10 {
		tasks = append(tasks, web(i+1))
	}
	r.snapshot(tasks...)
	r.heard(2 * time.Second)
	if got := len(kept[converge.Pull](r)); got != 1 {
		t.Fatalf("%d pulls in flight for one image", got)
	}
	r.thaw()
	for _, w := range tasks {
		r.until("running", 10*time.Second, r.is(w.ID, fleet.TaskRunning))
	}
	if got := r.containers.Pulls("registry.lab:5000/web:1"); got != 1 {
		t.Errorf("the registry saw %d pulls", got)
	}
}

func TestPullsInFlightAreBounded(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.Pull]
	var tasks []fleet.WantedTask
	for i := range 9 {
		id := define(fleet.TaskDefID(fmt.Sprintf("many:%d", i)), func(d *fleet.TaskDef) {
			d.Containers[0].Image = fmt.Sprintf("registry.lab:5000/many%d", i)
		})
		tasks = append(tasks, with(of(web(i+1), id), func(w *fleet.WantedTask) { w.Images = nil }))
	}
	r.snapshot(tasks...)
	r.heard(2 * time.Second)
	if got := len(kept[converge.Pull](r)); got != 4 {
		t.Errorf("%d pulls in flight, want 4", got)
	}
}

func TestStartsInFlightAreBoundedAndAHungOneLeavesItsPlace(t *testing.T) {
	r := newRig(t)
	r.limits.Starts = 2
	r.up()
	r.hangs = func(e converge.Effect) bool {
		return hang[converge.Create](e) && e.Task <= taskID(2)
	}
	var tasks []fleet.WantedTask
	for i := range 6 {
		tasks = append(tasks, web(i+1))
	}
	r.snapshot(tasks...)
	r.heard(2 * time.Second)
	if got := len(kept[converge.Create](r)); got != 2 {
		t.Fatalf("%d creates in flight, want 2", got)
	}
	if got := r.task(taskID(3)); got.Status != fleet.TaskPending || !strings.Contains(got.Why, "2 starts") {
		t.Errorf("the third is %s because %q", got.Status, got.Why)
	}
	r.heard(12 * time.Second)
	for i := 3; i <= 6; i++ {
		if got := r.task(taskID(i)); got.Status != fleet.TaskRunning {
			t.Errorf("task %d is %s though two hang for 14 s: %s", i, got.Status, got.Why)
		}
	}
}

func TestASlowStopOrAHungCallOfOneTaskDoesNotHoldUpAnother(t *testing.T) {
	for name, hangs := range map[string]func(converge.Effect) bool{
		"a signal":           hang[converge.Signal],
		"a network teardown": hang[converge.TeardownNetwork],
		"a health check":     hang[converge.ExecCheck],
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).up()
			id := define("checked:9", func(d *fleet.TaskDef) {
				d.Containers[0].HealthCheck = &fleet.HealthCheck{Command: []string{"true"}, IntervalS: 5, TimeoutS: 2, Retries: 3}
			})
			r.hangs = func(e converge.Effect) bool { return e.Task == taskID(1) && hangs(e) }
			r.snapshot(of(web(1), id))
			r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
			r.snapshot(stopped(of(web(1), id)), web(2))
			r.until("the other running", 5*time.Second, r.is(taskID(2), fleet.TaskRunning))
			r.snapshot(stopped(of(web(1), id)), stopped(web(2)))
			r.until("the other stopped", 5*time.Second, r.is(taskID(2), fleet.TaskStopped))
		})
	}
}

func TestAnImageThatDoesNotExistFailsAtOnceNamingIt(t *testing.T) {
	r := newRig(t).up()
	id := define("none:1", func(d *fleet.TaskDef) { d.Containers[0].Image = "registry.lab:5000/none:3" })
	r.snapshot(with(of(web(1), id), func(w *fleet.WantedTask) { w.Images = nil }))
	r.until("stopped", time.Second, r.is(taskID(1), fleet.TaskStopped))
	got := r.level[taskID(1)]
	if got.StopCode != fleet.StopTaskFailedToStart || len(got.Exits) != 1 ||
		!strings.HasPrefix(got.Exits[0].Reason, "CannotPullContainerError") ||
		!strings.Contains(got.Exits[0].Reason, "registry.lab:5000/none:3") ||
		!strings.Contains(got.Reason, "image not found") {
		t.Errorf("reported %+v", got)
	}
	if n := len(did[converge.Pull](r)); n != 1 {
		t.Errorf("%d pulls of an image that is not there", n)
	}
}

func TestARegistryThatIsDownIsAskedAFewTimesThenTheTaskFails(t *testing.T) {
	r := newRig(t).up()
	r.containers.Inject(func(f *fake.Faults) { f.RegistryDown = true })
	r.snapshot(web(1))
	r.heard(time.Second)
	if got := r.task(taskID(1)); got.Status != fleet.TaskPending || !strings.Contains(got.Why, "registry unreachable") {
		t.Errorf("it is %s because %q", got.Status, got.Why)
	}
	r.until("stopped", 90*time.Second, r.is(taskID(1), fleet.TaskStopped))
	got := r.level[taskID(1)]
	if got.StopCode != fleet.StopTaskFailedToStart || !strings.Contains(got.Reason, "CannotPullContainerError") ||
		!strings.Contains(got.Reason, "web:1") || !strings.Contains(got.Reason, "registry unreachable") {
		t.Errorf("reported %+v", got)
	}
	if n := len(did[converge.Pull](r)); n != 3 {
		t.Errorf("%d pulls, want 3", n)
	}
}

func TestARegistryThatComesBackInTimeIsUsed(t *testing.T) {
	r := newRig(t).up()
	r.containers.Inject(func(f *fake.Faults) { f.RegistryDown = true })
	r.snapshot(web(1))
	r.heard(2 * time.Second)
	r.containers.Inject(func(f *fake.Faults) { f.RegistryDown = false })
	r.until("running", 30*time.Second, r.is(taskID(1), fleet.TaskRunning))
}

func TestBackOffIsSharedByAllImagesOfARegistry(t *testing.T) {
	r := newRig(t).up()
	r.containers.Inject(func(f *fake.Faults) { f.RegistryDown = true })
	var tasks []fleet.WantedTask
	for i := range 3 {
		id := define(fleet.TaskDefID(fmt.Sprintf("shared:%d", i)), func(d *fleet.TaskDef) {
			d.Containers[0].Image = fmt.Sprintf("registry.lab:5000/shared%d", i)
		})
		tasks = append(tasks, with(of(web(i+1), id), func(w *fleet.WantedTask) { w.Images = nil }))
	}
	r.snapshot(tasks[0])
	r.heard(time.Second)
	r.snapshot(tasks...)
	r.heard(2 * time.Second)
	if n := len(did[converge.Pull](r)); n != 1 {
		t.Errorf("%d pulls from a registry that is left alone, want 1", n)
	}
	if got := r.task(taskID(2)); !strings.Contains(got.Why, "registry unreachable") {
		t.Errorf("the second waits because %q", got.Why)
	}
	r.until("all failed", 3*time.Minute, func() bool { return r.m.Status().Stopped == 3 })
}

func TestAnImageThatIsHereNeedsNoRegistry(t *testing.T) {
	for name, pins := range map[string][]fleet.ImagePin{
		"pinned by digest": {{Container: "app", Digest: digestWeb}},
		"by a tag alone":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).up()
			if _, err := r.containers.Pull(context.Background(), port.ImageRef{Image: "registry.lab:5000/web:1"}); err != nil {
				t.Fatal(err)
			}
			r.containers.Inject(func(f *fake.Faults) { f.RegistryDown = true })
			r.snapshot(with(web(1), func(w *fleet.WantedTask) { w.Images = pins }))
			r.until("running", 2*time.Second, r.is(taskID(1), fleet.TaskRunning))
		})
	}
}

func TestATagIsPulledAgainForALaterTaskButNotForOneAtOnce(t *testing.T) {
	r := newRig(t).up()
	untagged := func(n int) fleet.WantedTask { return with(web(n), func(w *fleet.WantedTask) { w.Images = nil }) }
	r.snapshot(untagged(1))
	r.until("running", 2*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.snapshot(untagged(1), untagged(2))
	r.until("running", 2*time.Second, r.is(taskID(2), fleet.TaskRunning))
	if n := r.containers.Pulls("registry.lab:5000/web:1"); n != 1 {
		t.Fatalf("%d pulls, want 1", n)
	}
	r.heard(2 * time.Minute)
	r.snapshot(untagged(1), untagged(2), untagged(3))
	r.until("running", 2*time.Second, r.is(taskID(3), fleet.TaskRunning))
	if n := r.containers.Pulls("registry.lab:5000/web:1"); n != 2 {
		t.Errorf("%d pulls, want 2", n)
	}
}

func TestATagIsAskedForAgainFromAMinuteAfterItsPull(t *testing.T) {
	r := newRig(t).up()
	var tasks []fleet.WantedTask
	for n, tt := range []struct {
		wait  time.Duration
		pulls int
	}{{0, 1}, {time.Minute - 1, 1}, {1, 2}, {time.Minute - 1, 2}, {1, 3}} {
		r.step(converge.VoterHeard{})
		r.pass(tt.wait)
		tasks = append(tasks, with(web(n+1), func(w *fleet.WantedTask) { w.Images = nil }))
		r.snapshot(tasks...)
		if got := r.containers.Pulls("registry.lab:5000/web:1"); got != tt.pulls {
			t.Errorf("after the task %d: %d pulls, want %d", n+1, got, tt.pulls)
		}
	}
}

func TestStepsThatFailSayWhichAndWhy(t *testing.T) {
	failing := func(want converge.Action) func(converge.Effect) error {
		return func(e converge.Effect) error {
			if fmt.Sprintf("%T", e.Do) == fmt.Sprintf("%T", want) {
				return errInjected
			}
			return nil
		}
	}
	tests := []struct {
		name  string
		step  converge.Action
		error string
		tries int
	}{
		{"a create that is refused is final", converge.Create{}, "CannotCreateContainerError", 1},
		{"a start that is refused is final", converge.Start{}, "CannotStartContainerError", 1},
		{"a network that fails is tried three times", converge.SetupNetwork{}, "ContainerNetworkingError", 3},
		{"a cgroup that fails is tried three times", converge.PrepareCgroup{}, "ResourceInitializationError", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t).up()
			r.faults = failing(tt.step)
			r.snapshot(web(1))
			r.until("stopped", time.Minute, r.is(taskID(1), fleet.TaskStopped))
			got := r.level[taskID(1)]
			if got.StopCode != fleet.StopTaskFailedToStart || !strings.Contains(got.Reason, tt.error) ||
				!strings.Contains(got.Reason, "injected") {
				t.Errorf("reported %+v", got)
			}
			tries := 0
			for _, e := range r.carried {
				if fmt.Sprintf("%T", e.Do) == fmt.Sprintf("%T", tt.step) {
					tries++
				}
			}
			if tries != tt.tries {
				t.Errorf("%d tries, want %d", tries, tt.tries)
			}
			if c := r.find(string(taskID(1)) + ".app"); c != nil && c.State == port.ContainerRunning {
				t.Error("a container runs")
			}
		})
	}
}

func TestContainersOfATaskShareOneNetworkNamespace(t *testing.T) {
	r := newRig(t).up()
	id := define("pair:1", func(d *fleet.TaskDef) {
		side := d.Containers[0]
		side.Name, side.NotEssential = "side", true
		d.Containers = append(d.Containers, side)
	})
	r.snapshot(of(web(1), id))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	creates := did[converge.Create](r)
	if len(creates) != 2 || creates[0].Spec.JoinPID != 0 {
		t.Fatalf("creates %+v", creates)
	}
	if pid := r.find(string(taskID(1)) + ".app").PID; creates[1].Spec.JoinPID != pid {
		t.Errorf("the second joins %d, the first is %d", creates[1].Spec.JoinPID, pid)
	}
	if n := len(did[converge.SetupNetwork](r)); n != 1 {
		t.Errorf("%d network set-ups", n)
	}
}

func TestAContainerIsToldAboutItself(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(web(1), with(web(2), func(w *fleet.WantedTask) {
		w.Service, w.Revision = "", ""
		w.Overrides = &fleet.TaskOverrides{Environment: []fleet.EnvVar{{Name: "SKEIN_HOOK_DETAILS", Value: "{}"}}}
	}))
	r.until("running", 5*time.Second, func() bool { return r.m.Status().Running == 2 })
	for _, c := range did[converge.Create](r) {
		env := map[string]string{}
		for _, v := range c.Spec.Env {
			env[v.Name] = v.Value
		}
		want := map[string]string{
			"SKEIN_TASK_ID": string(c.Spec.Task), "SKEIN_TASK_DEFINITION": "web:1", "SKEIN_HOST": hostName, "SKEIN_ZONE": "a",
		}
		if c.Spec.Task == taskID(1) {
			want["SKEIN_SERVICE"], want["SKEIN_REVISION"] = "web", "web/1"
		} else {
			want["SKEIN_HOOK_DETAILS"] = "{}"
		}
		if fmt.Sprint(env) != fmt.Sprint(want) {
			t.Errorf("env %v, want %v", env, want)
		}
		if c.Spec.Hostname != string(c.Spec.Task[:12]) || c.Spec.CgroupPath != "/skein/work/"+string(c.Spec.Task)+"/app" ||
			c.Spec.LogPath != "/log/"+string(c.Spec.Task)+"/app.log" || c.Spec.Image.Digest != digestWeb || c.Spec.Attempt != 1 {
			t.Errorf("spec %+v", c.Spec)
		}
	}
}

func TestBoundsOfATaskFollowItsDefinition(t *testing.T) {
	tests := []struct {
		name      string
		cpu       int64
		memory    int64
		container []int64
		want      port.TaskBounds
	}{
		{"shares are the sum, each at least two", 0, 0, []int64{0, 1, 512}, port.TaskBounds{Shares: 516}},
		{"a container counts at most 262144", 0, 0, []int64{300000}, port.TaskBounds{Shares: 262144}},
		{"task cpu is a ceiling and leaves shares alone", 256, 512, []int64{128}, port.TaskBounds{CPU: 256, Memory: 512}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t).up()
			id := define("bounds:1", func(d *fleet.TaskDef) {
				base := d.Containers[0]
				d.CPU, d.Memory, d.Containers = tt.cpu, tt.memory, nil
				for i, cpu := range tt.container {
					base.Name, base.CPU = fmt.Sprintf("c%d", i), cpu
					d.Containers = append(d.Containers, base)
				}
			})
			r.snapshot(with(of(web(1), id), func(w *fleet.WantedTask) { w.Images = nil }))
			r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
			if got := did[converge.PrepareCgroup](r)[0].Bounds; got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestAnEssentialContainerThatExitsEndsTheTask(t *testing.T) {
	r := newRig(t).up()
	id := define("pair:2", func(d *fleet.TaskDef) {
		side := d.Containers[0]
		side.Name, side.NotEssential = "side", true
		d.Containers = append(d.Containers, side)
	})
	r.snapshot(of(web(1), id))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))

	r.containers.Exit(string(taskID(1))+".side", 3, false)
	r.heard(5 * time.Second)
	got := r.level[taskID(1)]
	if got.Status != fleet.TaskRunning || len(got.Exits) != 1 || *got.Exits[0].Code != 3 {
		t.Errorf("after a non-essential exit: %+v", got)
	}

	r.containers.Exit(string(taskID(1))+".app", 9, false)
	r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
	got = r.level[taskID(1)]
	if got.StopCode != fleet.StopEssentialContainerExited ||
		!strings.HasPrefix(got.Reason, "Essential container in task exited") ||
		len(got.Exits) != 2 || *got.Exits[0].Code != 9 || *got.Exits[1].Code != 3 {
		t.Errorf("after an essential exit: %+v", got)
	}
}

func TestAContainerThatRunsOutOfMemorySaysWhichLimit(t *testing.T) {
	r := newRig(t).up()
	id := define("hungry:1", func(d *fleet.TaskDef) { d.Containers[0].Command = []string{"alloc", "64"} })
	r.snapshot(of(web(1), id))
	r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
	got := r.level[taskID(1)]
	if got.StopCode != fleet.StopEssentialContainerExited || *got.Exits[0].Code != 137 ||
		!strings.HasPrefix(got.Exits[0].Reason, "OutOfMemoryError") || !strings.Contains(got.Exits[0].Reason, "32 MiB") {
		t.Errorf("reported %+v", got)
	}
}

func TestARestartOfTheRuntimeStopsNoTaskAndLosesNoStart(t *testing.T) {
	r, _ := running(t, 1)
	r.hangs = hang[converge.Create]
	r.snapshot(web(1), web(2))
	r.heard(time.Second)
	r.containers.Inject(func(f *fake.Faults) { f.RuntimeDown = true })
	r.step(converge.RuntimeDown{Err: port.ErrRuntimeDown})
	r.thaw() // the create fails: its outcome is unknown
	r.heard(20 * time.Second)
	if s := r.m.Status(); s.RuntimeUp || len(s.Conditions) != 0 {
		t.Errorf("after 20 s: up %v, %+v", s.RuntimeUp, s.Conditions)
	}
	r.snapshot(web(1), web(2), web(3))
	r.heard(20 * time.Second)
	if !strings.Contains(r.describe(), string(converge.NoteRuntimeDown)) {
		t.Errorf("after 40 s nothing is said:\n%s", r.describe())
	}
	for id, want := range map[fleet.TaskID]fleet.TaskStatus{taskID(1): fleet.TaskRunning, taskID(2): fleet.TaskPending} {
		if got := r.task(id); got.Status != want {
			t.Errorf("%s is %s, want %s", id[:4], got.Status, want)
		}
	}
	r.containers.Inject(func(f *fake.Faults) { f.RuntimeDown = false })
	r.step(converge.RuntimeUp{Version: "twin"})
	r.until("all running", 30*time.Second, func() bool { return r.m.Status().Running == 3 })
	if len(r.m.Status().Conditions) != 0 {
		t.Errorf("conditions stand: %+v", r.m.Status().Conditions)
	}
	r.neverTwice()
}

func TestACreateWithoutAnAnswerIsSettledByAList(t *testing.T) {
	silent := func(after bool, times int) func(*rig) func(converge.Effect) error {
		return func(r *rig) func(converge.Effect) error {
			return func(e converge.Effect) error {
				do, ok := e.Do.(converge.Create)
				if !ok || times == 0 {
					return nil
				}
				times--
				if after {
					_, _ = r.containers.Create(context.Background(), do.Spec)
				}
				return context.DeadlineExceeded
			}
		}
	}
	tests := []struct {
		name  string
		fault func(*rig) func(converge.Effect) error
		want  fleet.TaskStatus
	}{
		{"it was made: the start goes on", silent(true, 1), fleet.TaskRunning},
		{"it was not made: it is made again", silent(false, 1), fleet.TaskRunning},
		{"it is never made: the task fails", silent(false, 3), fleet.TaskStopped},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t).up()
			r.faults = tt.fault(r)
			r.snapshot(web(1))
			r.until(tt.want.String(), 2*time.Minute, r.is(taskID(1), tt.want))
			if got := r.level[taskID(1)]; tt.want == fleet.TaskStopped &&
				!strings.Contains(got.Reason, "CannotCreateContainerError") {
				t.Errorf("reported %+v", got)
			}
			r.neverTwice()
		})
	}
}

func TestAStartWithoutAnAnswerIsSettledByAList(t *testing.T) {
	for name, took := range map[string]bool{"it took effect": true, "it did not": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).up()
			first := true
			r.faults = func(e converge.Effect) error {
				do, ok := e.Do.(converge.Start)
				if !ok || !first {
					return nil
				}
				first = false
				if took {
					_ = r.start(do.Container)
				}
				return context.DeadlineExceeded
			}
			r.snapshot(web(1))
			r.until("running", time.Minute, r.is(taskID(1), fleet.TaskRunning))
			r.neverTwice()
		})
	}
}

func TestAContainerThatVanishesEndsItsTaskOnlyAfterTwoLists(t *testing.T) {
	r, _ := running(t, 1)
	r.containers.Exit(string(taskID(1))+".app", 0, false)
	if err := r.containers.Delete(context.Background(), string(taskID(1))+".app"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	if got := r.task(taskID(1)); got.Status != fleet.TaskRunning {
		t.Fatalf("after one list it is %s", got.Status)
	}
	r.until("stopped", 10*time.Second, r.is(taskID(1), fleet.TaskStopped))
	if got := r.level[taskID(1)]; got.Exits[0].Code != nil || !strings.Contains(got.Exits[0].Reason, "vanished") {
		t.Errorf("reported %+v", got)
	}
}

func TestAStartThatNeverAnswersGivesTheTaskBack(t *testing.T) {
	r := newRig(t).up()
	r.faults = func(e converge.Effect) error {
		if hang[converge.Start](e) {
			return context.DeadlineExceeded
		}
		return nil
	}
	r.snapshot(web(1))
	r.until("stopped", 2*time.Minute, r.is(taskID(1), fleet.TaskStopped))
	got := r.level[taskID(1)]
	if got.StopCode != fleet.StopTaskFailedToStart || !strings.Contains(got.Exits[0].Reason, "CannotStartContainerError") {
		t.Errorf("reported %+v", got)
	}
	r.neverTwice()
}
