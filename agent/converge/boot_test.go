package converge_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
	"skein/runtime/port"
)

func TestARestartOfTheAgentTouchesNoContainer(t *testing.T) {
	r, tasks := running(t, 3)
	before, _ := r.containers.List(t.Context())
	r.kill()
	r.carried = nil
	r.agent() // no voter
	r.pass(5 * time.Minute)
	for _, e := range r.carried {
		switch e.Do.(type) {
		case converge.Create, converge.Start, converge.Signal, converge.Delete, converge.TeardownNetwork, converge.Pull:
			t.Errorf("the new agent did %T", e.Do)
		}
	}
	after, _ := r.containers.List(t.Context())
	if len(after) != 3 ||
		!slices.EqualFunc(before, after,
			func(a, b port.ContainerStatus) bool { return a.ID == b.ID && a.PID == b.PID && a.State == b.State }) {
		t.Errorf("containers were %+v, are %+v", before, after)
	}
	r.meet()
	r.snapshot(tasks...)
	r.heard(5 * time.Second)
	for _, w := range tasks {
		if got := r.level[w.ID]; got.Status != fleet.TaskRunning || got.Attempt != 1 || got.StartedAt == 0 {
			t.Errorf("reported %+v", got)
		}
	}
	r.neverTwice()
}

func TestAnExitWhileTheAgentWasAwayIsReportedWithItsCode(t *testing.T) {
	r, tasks := running(t, 1)
	r.kill()
	r.containers.Exit(string(taskID(1))+".app", 9, false)
	r.up()
	r.snapshot(tasks...)
	r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
	if got := r.level[taskID(1)]; got.StopCode != fleet.StopEssentialContainerExited || *got.Exits[0].Code != 9 {
		t.Errorf("reported %+v", got)
	}
}

func TestAnAgentThatDiedBetweenJournalAndCreateNeverStartsTheTask(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.Create]
	r.snapshot(web(1))
	r.heard(time.Second)
	if len(kept[converge.Create](r)) != 1 {
		t.Fatal("no create was asked for")
	}
	r.kill()
	r.hangs = nil
	r.up()
	r.snapshot(web(1))
	r.heard(5 * time.Second)
	if got := r.task(taskID(1)); got.Status == fleet.TaskStopped {
		t.Error("it was given up before the runtime could settle")
	}
	r.until("stopped", time.Minute, r.is(taskID(1), fleet.TaskStopped))
	got := r.level[taskID(1)]
	if got.StopCode != fleet.StopTaskFailedToStart || got.Reason != "agent died while starting it" || len(r.starts) != 0 {
		t.Errorf("reported %+v, starts %v", got, r.starts)
	}
}

func TestACreateThatEndsAfterItsAgentDiedIsTakenUp(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.Create]
	r.snapshot(web(1))
	r.heard(time.Second)
	spec := kept[converge.Create](r)[0].Spec
	r.kill()
	r.hangs = nil
	r.up()
	r.snapshot(web(1))
	r.heard(3 * time.Second)
	if _, err := r.containers.Create(context.Background(), spec); err != nil {
		t.Fatal(err)
	}
	r.until("running", time.Minute, r.is(taskID(1), fleet.TaskRunning))
	r.neverTwice()
}

func TestAfterARebootAReachableVoterIsToldThatTheTasksAreGone(t *testing.T) {
	r, tasks := running(t, 2)
	r.reboot()
	r.up()
	tasks[0].Last, tasks[1].Last = fleet.TaskRunning, fleet.TaskRunning
	r.snapshot(tasks...)
	r.heard(time.Minute)
	for _, w := range tasks {
		if got := r.level[w.ID]; got.Status != fleet.TaskStopped || got.StopCode != fleet.StopInfrastructureHealth ||
			got.Reason != "host rebooted" {
			t.Errorf("reported %+v", got)
		}
	}
	for id := range r.starts {
		if strings.HasSuffix(id, "@boot-2") {
			t.Errorf("%s: started again though a voter was there", id)
		}
	}
	r.snapshot()
	r.until("forgotten", 10*time.Second, func() bool { return len(r.m.Status().Tasks) == 0 })
	if all, _ := r.containers.List(t.Context()); len(all) != 0 {
		t.Errorf("containers left: %+v", all)
	}
}

func TestAfterARebootAloneServicesRunAgainAndStandaloneTasksDoNot(t *testing.T) {
	r := newRig(t).up()
	service := web(1)
	alone := with(web(2), func(w *fleet.WantedTask) { w.Service, w.Revision = "", "" })
	single := with(web(3), func(w *fleet.WantedTask) { w.StopAfterMs = 60_000 })
	ending := web(4)
	r.snapshot(service, alone, single, ending)
	r.until("running", 5*time.Second, func() bool { return r.m.Status().Running == 4 })
	r.hangs = hang[converge.Signal]
	r.snapshot(service, alone, single, stopped(ending))
	r.hangs = nil
	r.reboot()
	r.containers.Inject(func(f *fake.Faults) { f.RegistryDown = true })
	r.agent()
	r.pass(29 * time.Second)
	if got := r.task(service.ID); got.Status == fleet.TaskRunning {
		t.Fatal("it runs before 30 s are over")
	}
	r.pass(10 * time.Second)
	if got := r.task(service.ID); got.Status != fleet.TaskRunning || got.Attempt != 2 {
		t.Errorf("the service's task is %s, attempt %d: %s", got.Status, got.Attempt, got.Why)
	}
	r.pass(time.Hour)
	for _, id := range []fleet.TaskID{alone.ID, single.ID, ending.ID} {
		if n := r.starts[string(id)+".app@boot-2"]; n != 0 {
			t.Errorf("task %s was started again", id[:4])
		}
	}

	r.meet()
	service.Last, alone.Last = fleet.TaskRunning, fleet.TaskRunning
	r.snapshot(service, alone, single, stopped(ending))
	r.heard(10 * time.Second)
	if got := r.level[service.ID]; got.Status != fleet.TaskRunning || got.Attempt != 2 {
		t.Errorf("reported %+v", got)
	}
	for _, id := range []fleet.TaskID{alone.ID, single.ID} {
		if got := r.level[id]; got.Status != fleet.TaskStopped || got.Reason != "host rebooted" {
			t.Errorf("reported %+v", got)
		}
	}
	if got := r.level[ending.ID]; got.Status != fleet.TaskStopped {
		t.Errorf("reported %+v", got)
	}
	r.neverTwice()
}

func TestATaskRunAgainOnceIsRunAgainAfterTheNextRebootToo(t *testing.T) {
	r, _ := running(t, 1)
	for attempt := 2; attempt <= 4; attempt++ {
		r.reboot()
		r.agent()
		r.pass(40 * time.Second)
		if got := r.task(taskID(1)); got.Status != fleet.TaskRunning || got.Attempt != attempt {
			t.Fatalf("it is %s, attempt %d, want %d: %s", got.Status, got.Attempt, attempt, got.Why)
		}
	}
	r.neverTwice()
}

func TestAVoterWithoutAFleetDoesNotHoldABlackStartForEver(t *testing.T) {
	r, _ := running(t, 1)
	r.reboot()
	r.agent()
	r.heard(55 * time.Second) // a voter answers, but has no leader and opens no session
	if got := r.task(taskID(1)); got.Status == fleet.TaskRunning {
		t.Fatal("it runs although a voter was heard")
	}
	r.heard(10 * time.Second)
	if got := r.task(taskID(1)); got.Status != fleet.TaskRunning {
		t.Errorf("it is %s: %s", got.Status, got.Why)
	}
}

func TestATaskAssignedBeforeARebootAndNeverStartedIsStartedOnAVotersWord(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.Pull]
	r.snapshot(web(1))
	r.heard(time.Second)
	r.reboot()
	r.hangs = nil
	r.up()
	r.heard(5 * time.Second)
	if len(did[converge.Create](r)) != 0 {
		t.Fatal("it was started without a word")
	}
	r.snapshot(web(1))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	if got := r.level[taskID(1)]; got.Attempt != 1 {
		t.Errorf("reported %+v", got)
	}
}

func TestAHostThatLostItsRecordOfATaskDoesNotStartIt(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(with(web(1), func(w *fleet.WantedTask) { w.Last = fleet.TaskRunning }))
	r.heard(time.Minute)
	got := r.level[taskID(1)]
	if got.Status != fleet.TaskStopped || got.StopCode != fleet.StopInfrastructureHealth || got.Attempt != 1 ||
		len(r.starts) != 0 {
		t.Errorf("reported %+v, starts %v", got, r.starts)
	}
}

func TestContainersAreFoundByTheirLabelWhenJournalAndWantedFileAreLost(t *testing.T) {
	r, tasks := running(t, 2)
	r.kill()
	r.journal, r.wanted = nil, nil
	r.agent()
	r.pass(time.Hour)
	if s := r.m.Status(); s.Unknown != 2 {
		t.Fatalf("status %+v", s)
	}
	r.meet()
	r.index += 10
	r.snapshot(tasks...)
	r.heard(10 * time.Second)
	for _, w := range tasks {
		if got := r.level[w.ID]; got.Status != fleet.TaskRunning {
			t.Errorf("reported %+v", got)
		}
	}
	if len(did[converge.Signal](r))+len(did[converge.Delete](r)) != 0 {
		t.Error("something was touched")
	}
	r.kill() // the journal was written anew: a crash now must not start anything twice
	r.containers.Exit(string(taskID(1))+".app", 0, false)
	r.up()
	r.snapshot(tasks...)
	r.heard(time.Minute)
	if got := r.level[taskID(1)]; got.Status != fleet.TaskStopped {
		t.Errorf("reported %+v", got)
	}
	r.neverTwice()
}

func TestATaskOfAnOldCopyOfTheListIsNotStartedWithoutAWord(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.Pull]
	r.snapshot(web(1))
	r.heard(time.Second)
	r.kill()
	r.hangs = nil
	r.wanted.Behind = true
	r.agent()
	r.pass(time.Hour)
	if len(did[converge.Create](r)) != 0 {
		t.Error("it was started by a list that is known to be old")
	}
	r.meet()
	r.snapshot(web(1))
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
}

func TestATaskWhoseRecordIsLostIsNotRunAgainWithoutAWord(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(with(web(1), func(w *fleet.WantedTask) { w.Last = fleet.TaskRunning }))
	r.heard(time.Second)
	r.kill()
	r.journal = nil // the line of its end too, if it had ended
	r.reboot()
	r.agent()
	began := len(did[converge.Create](r))
	r.pass(time.Hour)
	if len(did[converge.Create](r)) != began {
		t.Error("it was run again, though it may have ended here before")
	}
}

func TestACopyOfADiskRunsNothingAgainByItself(t *testing.T) {
	for name, c := range map[string]struct {
		said bool
		runs bool
	}{
		"no voter says anything":               {false, true},
		"a voter says that the original lives": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).up()
			r.snapshot(web(1))
			r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
			r.kill()
			r.reboot()
			r.agent()
			began := len(did[converge.Create](r))
			if c.said {
				r.step(converge.Cloned{})
			}
			r.pass(time.Hour)
			if got := len(did[converge.Create](r)) > began; got != c.runs {
				t.Fatalf("run again: %v, want %v", got, c.runs)
			}
			if !c.said {
				return
			}
			r.meet() // the original is gone, and this machine is the host now
			r.snapshot(web(2))
			r.until("running", 5*time.Second, r.is(taskID(2), fleet.TaskRunning))
		})
	}
}

func TestAnAgentAloneStartsWhatItHadAcceptedInThisBoot(t *testing.T) {
	r := newRig(t).up()
	r.hangs = hang[converge.Pull]
	r.snapshot(web(1))
	r.heard(time.Second)
	r.kill()
	r.hangs = nil
	r.agent()
	r.pass(10 * time.Second)
	if got := r.task(taskID(1)); got.Status != fleet.TaskRunning {
		t.Errorf("it is %s: %s", got.Status, got.Why)
	}
}

func TestATaskThatMustNotRunCutOffStopsAfterItsTime(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(with(web(1), func(w *fleet.WantedTask) { w.StopAfterMs = 60_000 }), web(2))
	r.heard(10 * time.Second)
	r.step(converge.VoterLost{})
	r.down = true
	r.pass(58 * time.Second)
	if got := r.task(taskID(1)); got.Status != fleet.TaskRunning {
		t.Fatalf("after 59 s it is %s", got.Status)
	}
	r.wall = r.wall.Add(-time.Hour) // a jump of the wall clock changes nothing
	r.pass(3 * time.Second)
	if got := r.task(taskID(1)); got.Status != fleet.TaskStopped || got.StopCode != fleet.StopInfrastructureHealth ||
		!strings.Contains(got.Reason, "onDisconnect") {
		t.Errorf("after 62 s it is %s: %s", got.Status, got.Reason)
	}
	if got := r.task(taskID(2)); got.Status != fleet.TaskRunning {
		t.Errorf("the other is %s", got.Status)
	}
}

// A voter that has lost its leader is cut off itself: a task that must not run
// cut off ends though that voter is heard, and its neighbour stays.
func TestAVoterWithoutALeaderDoesNotKeepATaskThatMustNotRunCutOff(t *testing.T) {
	for name, age := range map[string]func(since time.Duration) time.Duration{
		"the voter lost its leader": func(since time.Duration) time.Duration { return since },
		"the voter knows of none":   func(time.Duration) time.Duration { return -1 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).up()
			single := with(web(1), func(w *fleet.WantedTask) { w.StopAfterMs = 60_000 })
			r.snapshot(single, web(2))
			r.heard(10 * time.Second)
			beats := func(from, to int, age func(time.Duration) time.Duration) {
				for s := from; s < to; s++ {
					since := time.Duration(s) * time.Second
					r.step(converge.VoterHeard{LeaderAge: age(since)})
					beat := converge.Frame{Wanted: fleet.Wanted{Index: r.index}, LeaderAge: age(since)}
					if err := r.send(beat); err != nil {
						t.Fatal(err)
					}
					r.pass(time.Second)
				}
			}
			beats(0, 58, age)
			if got := r.task(single.ID); got.Status != fleet.TaskRunning {
				t.Fatalf("after 58 s it is %s: %s", got.Status, got.Reason)
			}
			beats(0, 2, func(time.Duration) time.Duration { return 0 }) // a leader is elected
			beats(0, 58, age)
			if got := r.task(single.ID); got.Status != fleet.TaskRunning {
				t.Fatalf("58 s after a leader's last word it is %s: %s", got.Status, got.Reason)
			}
			beats(58, 63, age)
			if got := r.task(single.ID); got.Status != fleet.TaskStopped || !strings.Contains(got.Reason, "onDisconnect") {
				t.Errorf("63 s after a leader's last word it is %s: %s", got.Status, got.Reason)
			}
			if got := r.task(taskID(2)); got.Status != fleet.TaskRunning {
				t.Errorf("the other is %s", got.Status)
			}
			if r.m.Status().AloneSince != 0 {
				t.Error("it says that it hears no voter")
			}
		})
	}
}

func TestTheAgentDoesNothingBeforeItHasLooked(t *testing.T) {
	r, tasks := running(t, 1)
	r.kill()
	r.containers.Inject(func(f *fake.Faults) { f.RuntimeDown = true })
	r.carried = nil
	r.agent()
	r.step(converge.RuntimeDown{Err: port.ErrRuntimeDown})
	r.meet()
	r.snapshot(append(tasks, web(2))...)
	reports := len(r.reports)
	r.heard(2 * time.Minute)
	if len(r.reports) != reports {
		t.Errorf("something was reported about tasks nobody has looked for: %+v", r.reports[reports:])
	}
	r.containers.Inject(func(f *fake.Faults) { f.RuntimeDown = false })
	r.step(converge.RuntimeUp{Version: "twin"})
	r.until("both running", 10*time.Second, func() bool { return r.m.Status().Running == 2 })
	r.neverTwice()
}

func TestAHostThatJoinedAnewLeavesWhatItRanBeforeToTheRulesForTheUnknown(t *testing.T) {
	r, _ := running(t, 5)
	r.kill()
	w := *r.wanted
	w.Host = "h-former"
	r.wanted = &w
	r.up()
	r.snapshot() // five tasks are absent: they are none of this identity's
	r.heard(time.Minute)
	r.kill() // and a restart in between changes nothing
	r.up()
	r.snapshot()
	r.heard(5 * time.Minute)
	if s := r.m.Status(); s.Unknown != 5 {
		t.Fatalf("status %+v", s)
	}
	r.heard(6 * time.Minute)
	if all, _ := r.containers.List(t.Context()); len(all) != 0 || len(r.m.Status().Tasks) != 0 {
		t.Errorf("left: %+v", all)
	}
}

func TestAfterARebootAListWithoutTheOldTasksIsNotRefused(t *testing.T) {
	r, _ := running(t, 5)
	r.reboot()
	r.up()
	r.snapshot() // the fleet has given them up long ago
	r.until("forgotten", time.Minute, func() bool { return len(r.m.Status().Tasks) == 0 })
}

func TestABlackStartTakesTheImageThatIsHere(t *testing.T) {
	r := newRig(t).up()
	r.snapshot(with(web(1), func(w *fleet.WantedTask) { w.Images = nil })) // by a tag alone
	r.until("running", 5*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.reboot()
	r.carried = nil
	r.agent()
	r.pass(40 * time.Second)
	if got := r.task(taskID(1)); got.Status != fleet.TaskRunning || len(did[converge.Pull](r)) != 0 {
		t.Errorf("it is %s after %d pulls: %s", got.Status, len(did[converge.Pull](r)), got.Why)
	}
}

func TestRemainsOfAnotherBootAreKnownByTheirLabelAlone(t *testing.T) {
	r, tasks := running(t, 1)
	r.reboot()
	r.journal, r.wanted = nil, nil
	r.up()
	tasks[0].Last = fleet.TaskRunning
	r.snapshot(tasks...)
	r.until("stopped", time.Minute, r.is(taskID(1), fleet.TaskStopped))
	if got := r.level[taskID(1)]; got.StopCode != fleet.StopInfrastructureHealth {
		t.Errorf("a reboot was reported as a failure of the task: %+v", got)
	}
	r.snapshot()
	r.until("forgotten", time.Minute, func() bool { return len(r.m.Status().Tasks) == 0 })
	if all, _ := r.containers.List(t.Context()); len(all) != 0 {
		t.Errorf("left: %+v", all)
	}
}
