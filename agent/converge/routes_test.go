package converge_test

import (
	"fmt"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
)

// blue is a target group with the checks given, and what is said of its targets.
func blue(check fleet.TargetCheck, targets ...fleet.Target) fleet.GroupTargets {
	return fleet.GroupTargets{TargetGroup: fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1, Check: check},
		Targets: targets}
}

func every(seconds int) fleet.TargetCheck {
	return fleet.TargetCheck{Path: "/up", IntervalS: seconds, TimeoutS: 1, Healthy: 2, Unhealthy: 3}
}

// routesOf are whole routes: a listener that forwards to groups.
func routesOf(groups ...fleet.GroupTargets) *fleet.WantedRoutes {
	return &fleet.WantedRoutes{Whole: true, Groups: groups, Rules: &fleet.RuleTable{
		Listeners: []fleet.Listener{{Name: "shop", Port: 80, Protocol: fleet.ListenHTTP}},
		Rules:     []fleet.Rule{{ID: "shop/default", Listener: "shop"}},
	}}
}

// balanced is task n, in group blue.
func balanced(n int) fleet.WantedTask {
	return with(web(n), func(w *fleet.WantedTask) {
		w.Groups = []fleet.GroupBinding{{Group: "blue", Container: "app", ContainerPort: 80}}
	})
}

// sendRoutes gives a frame with routes and tasks that is complete.
func (r *rig) sendRoutes(routes *fleet.WantedRoutes, tasks ...fleet.WantedTask) {
	r.t.Helper()
	r.index++
	if err := r.sendAll(fleet.Wanted{Index: r.index, Tasks: tasks, TaskDefs: defsFor(tasks), Routes: routes}); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
}

// shown is what is served now: at which index, how many listeners, and each group with
// the number of its targets.
func (r *rig) shown() string {
	if len(r.served) == 0 {
		return "nothing"
	}
	s := r.served[len(r.served)-1]
	text := fmt.Sprintf("at %d: %d listeners", s.Index, len(s.Routes.Listeners))
	for _, g := range s.Routes.Groups {
		text += fmt.Sprintf(", %s %d", g.TargetGroup.Name, len(g.Targets))
	}
	return text
}

func (r *rig) shows(want string) {
	r.t.Helper()
	if got := r.shown(); got != want {
		r.t.Errorf("served %s, want %s", got, want)
	}
}

func TestRoutesAreServedAsFramesBringThem(t *testing.T) {
	r := newRig(t).up()
	r.sendRoutes(nil)
	r.shows("nothing")
	r.sendRoutes(&fleet.WantedRoutes{Whole: true, Rules: &fleet.RuleTable{}})
	r.shows("at 2: 0 listeners") // who waits for routes knows that there are none
	r.sendRoutes(routesOf(blue(every(5)), fleet.GroupTargets{TargetGroup: fleet.TargetGroup{Name: "green"}}))
	r.shows("at 3: 1 listeners, blue 0, green 0")
	change := func(w *fleet.WantedRoutes) {
		t.Helper()
		r.index++
		if err := r.sendChange(fleet.Wanted{Index: r.index, Routes: w}); err != nil {
			t.Fatal(err)
		}
	}
	change(nil)
	r.shows("at 3: 1 listeners, blue 0, green 0")
	change(&fleet.WantedRoutes{Groups: []fleet.GroupTargets{blue(every(5), fleet.Target{Task: taskID(1)})}})
	r.shows("at 5: 1 listeners, blue 1, green 0")
	change(&fleet.WantedRoutes{Keep: []fleet.TargetGroupName{"blue"}})
	r.shows("at 6: 1 listeners, blue 1")
	if err := r.sendChange(fleet.Wanted{Index: 1, Routes: routesOf()}); err == nil {
		t.Error("older routes are taken")
	}
	r.shows("at 6: 1 listeners, blue 1")
	r.sendRoutes(&fleet.WantedRoutes{Whole: true, Rules: &fleet.RuleTable{}})
	r.shows("at 7: 0 listeners")
}

func TestRoutesAreServedAfterARebootWithoutAVoter(t *testing.T) {
	r := newRig(t).up()
	r.sendRoutes(routesOf(blue(every(5), fleet.Target{Task: taskID(1)})))
	r.kill()
	r.reboot()
	r.served, r.down = nil, true
	r.agent()
	r.shows("nothing") // a voter may have newer ones
	r.heard(1900 * time.Millisecond)
	r.shows("nothing")
	r.heard(100 * time.Millisecond)
	r.shows("at 1: 1 listeners, blue 1")
	r.step(converge.SessionOpened{Session: 9})
	r.session = 9
	if err := r.sendAll(fleet.Wanted{Index: 0, Routes: routesOf()}); err == nil {
		t.Error("routes of before those on disk are taken")
	}
}

func TestAnAgentThatStartsAnewServesWhatVotersSayNow(t *testing.T) {
	for name, say := range map[string]struct {
		routes *fleet.WantedRoutes
		want   string
	}{
		"other routes": {routesOf(blue(every(5), fleet.Target{Task: taskID(1)}, fleet.Target{Task: taskID(2)})),
			"at 2: 1 listeners, blue 2"},
		"the same routes, which are not sent": {nil, "at 1: 1 listeners, blue 1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).up()
			r.sendRoutes(routesOf(blue(every(5), fleet.Target{Task: taskID(1)})))
			r.kill()
			r.served = nil
			r.up()
			r.shows("nothing")
			r.sendRoutes(say.routes)
			r.shows(say.want)
			r.heard(3 * time.Second)
			if len(r.served) != 1 {
				t.Errorf("served %d times", len(r.served))
			}
		})
	}
}

func TestAnAgentThatEndsWritesItsLastRoutes(t *testing.T) {
	r := newRig(t).up()
	r.sendRoutes(routesOf(blue(every(5))))
	r.heard(time.Second)
	r.sendRoutes(routesOf(blue(every(5), fleet.Target{Task: taskID(1)})))
	if n := len(r.routes.Routes.Groups[0].Targets); n != 0 {
		t.Fatalf("the disk has %d targets before it is due", n)
	}
	r.step(converge.Closing{})
	r.settle()
	if n := len(r.routes.Routes.Groups[0].Targets); n != 1 {
		t.Errorf("the disk has %d targets", n)
	}
}

func TestRoutesAreWrittenNowAndThen(t *testing.T) {
	r := newRig(t).up()
	saves := func() int { return len(did[converge.SaveRoutes](r)) }
	for i := range 50 {
		r.sendRoutes(routesOf(blue(every(5), make([]fleet.Target, i)...)))
		r.heard(time.Second)
	}
	if n := saves(); n < 5 || n > 6 {
		t.Errorf("%d writes in 50 s, want one each 10 s", n)
	}
	r.heard(10 * time.Second)
	if got := len(r.routes.Routes.Groups[0].Targets); got != 49 {
		t.Errorf("the disk has %d targets, want all 49 in the end", got)
	}
	n := saves()
	r.heard(time.Minute)
	if saves() != n {
		t.Errorf("%d more writes though nothing changed", saves()-n)
	}
}

// An agent that is killed and hears no voter goes on with the shares that were agreed last.
func TestRulesAreWrittenWithinASecond(t *testing.T) {
	r := newRig(t).up()
	shared := func(weight, targets int) *fleet.WantedRoutes {
		w := routesOf(blue(every(5), make([]fleet.Target, targets)...))
		w.Rules.Rules = []fleet.Rule{{ID: "web/default", Listener: "web", Action: fleet.Action{Forward: &fleet.Forward{
			Groups: []fleet.GroupWeight{{Group: "blue", Weight: weight}}}}}}
		return w
	}
	kept := func() int { return r.routes.Routes.Rules[0].Action.Forward.Groups[0].Weight }
	r.sendRoutes(shared(1, 0))
	r.heard(100 * time.Millisecond)
	r.sendRoutes(shared(2, 1))
	r.heard(time.Second)
	if kept() != 2 {
		t.Error("the disk has the shares of before")
	}
	for i := range 40 {
		r.sendRoutes(shared(3+i, 1)) // ten a second
		r.heard(100 * time.Millisecond)
	}
	if n := len(did[converge.SaveRoutes](r)); n > 7 {
		t.Errorf("%d writes in 5 s", n)
	}
	r.heard(time.Second)
	n := len(did[converge.SaveRoutes](r))
	r.sendRoutes(shared(42, 2)) // a target alone
	r.heard(5 * time.Second)
	if more := len(did[converge.SaveRoutes](r)) - n; more != 0 || kept() != 42 {
		t.Errorf("%d writes within 5 s of a target's change, %d on disk", more, kept())
	}
	r.sendRoutes(shared(50, 20_000))
	r.heard(time.Second)
	if kept() != 50 {
		t.Error("the gap since the last write is over, and nothing was written")
	}
	r.sendRoutes(shared(51, 20_000))
	r.heard(time.Second)
	if kept() != 50 {
		t.Error("20,000 targets are written twice within 2 s")
	}
	r.heard(2 * time.Second)
	if kept() != 51 {
		t.Error("20,000 targets are not written within 4 s")
	}
}

func TestRoutesThatCannotBeWrittenAreWrittenLater(t *testing.T) {
	r := newRig(t).up()
	r.faults = func(e converge.Effect) error {
		if hang[converge.SaveRoutes](e) {
			return errInjected
		}
		return nil
	}
	r.sendRoutes(routesOf(blue(every(5))))
	r.shows("at 1: 1 listeners, blue 0")
	r.heard(30 * time.Second)
	if n := len(did[converge.SaveRoutes](r)); n < 2 || n > 4 {
		t.Errorf("%d tries in 30 s", n)
	}
	r.faults = nil
	r.until("the routes are on disk", time.Minute, func() bool { return r.routes != nil })
}

// told is what was reported of a task as a target.
func (r *rig) told(id fleet.TaskID) string {
	if list := r.level[id].Targets; len(list) == 1 {
		return fmt.Sprintf("%s %s", list[0].State, list[0].Reason)
	}
	return ""
}

func TestAHostChecksItsTasksAsTargets(t *testing.T) {
	code := 200
	r := newRig(t)
	r.check = func(do converge.Action) int {
		if c, is := do.(converge.CheckTarget); is {
			if c.Path != "/up" || c.Addr.Port() != 80 || !c.Addr.Addr().IsValid() {
				t.Errorf("check %+v", c)
			}
			return code
		}
		return 0
	}
	r.up()
	r.snapshot(balanced(1))
	r.until("running", 10*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.heard(3 * time.Second)
	if got := r.told(taskID(1)); got != "" {
		t.Errorf("told %q of a group that it does not know", got)
	}
	r.sendRoutes(routesOf(blue(every(5))), balanced(1))
	r.until("healthy", 2*time.Second, func() bool { return r.told(taskID(1)) == "healthy " })

	code = 503
	r.heard(11 * time.Second)
	if got := r.told(taskID(1)); got != "healthy " {
		t.Errorf("told %q after fewer failures than three", got)
	}
	r.until("unhealthy", 10*time.Second, func() bool {
		return r.told(taskID(1)) == "unhealthy Target.ResponseCodeMismatch: /up answered 503"
	})
	code = 204
	r.heard(4 * time.Second)
	r.until("healthy again after two answers", 8*time.Second, func() bool { return r.told(taskID(1)) == "healthy " })
}

// A deployment that has ended takes its tasks from the alternate group to the main one:
// the task is told healthy there at once, and goes on to be checked at its pace.
func TestATaskThatIsTakenToAnotherGroupKeepsWhatIsKnownOfIt(t *testing.T) {
	for name, underWay := range map[string]bool{"between two checks": false, "while a check is under way": true} {
		t.Run(name, func(t *testing.T) {
			slow := false
			checks := 0
			r := newRig(t)
			r.hangs = func(e converge.Effect) bool { return slow && hang[converge.CheckTarget](e) }
			r.check = func(do converge.Action) int {
				if _, is := do.(converge.CheckTarget); is {
					checks++
				}
				return 200
			}
			r.up()
			green := blue(every(5))
			green.TargetGroup.Name = "green"
			r.sendRoutes(routesOf(blue(every(5)), green), balanced(1))
			r.until("healthy in blue", 20*time.Second, func() bool { return r.told(taskID(1)) == "healthy " })
			if slow = underWay; slow {
				r.heard(6 * time.Second)
			}
			checks = 0
			moved := balanced(1)
			moved.Groups = []fleet.GroupBinding{{Group: "green", Container: "app", ContainerPort: 80}}
			r.sendRoutes(routesOf(blue(every(5)), green), moved)
			if slow {
				slow = false
				r.thaw()
			}
			r.until("healthy in green", 100*time.Millisecond, func() bool {
				list := r.level[taskID(1)].Targets
				return len(list) == 1 && list[0].Group == "green" && list[0].State == fleet.TargetHealthy
			})
			r.heard(21 * time.Second)
			if checks < 4 || checks > 6 {
				t.Errorf("%d checks in 21 s, one every 5 s", checks)
			}
		})
	}
}

func TestAnAgentThatIsStartedAnewSaysNothingOfATargetBeforeItKnows(t *testing.T) {
	r := newRig(t).up()
	r.sendRoutes(routesOf(blue(every(5))), balanced(1))
	r.until("healthy", 20*time.Second, func() bool { return r.told(taskID(1)) == "healthy " })
	r.kill()
	answers := false
	r.hangs = func(e converge.Effect) bool { return !answers && hang[converge.CheckTarget](e) }
	r.level = map[fleet.TaskID]fleet.TaskReport{}
	r.up()
	r.heard(time.Second)
	if said, there := r.level[taskID(1)]; !there || len(said.Targets) != 0 {
		t.Errorf("told %+v", said)
	}
	answers = true
	r.thaw()
	r.until("healthy", 20*time.Second, func() bool { return r.told(taskID(1)) == "healthy " })
}

func TestATargetThatTakesAMomentToAnswerIsHealthyOnceItDoes(t *testing.T) {
	for name, takes := range map[string]time.Duration{"3 s": 3 * time.Second, "at once": 0} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			var began time.Duration
			r.check = func(converge.Action) int {
				if r.age()-began < takes {
					return 503
				}
				return 200
			}
			r.up()
			r.sendRoutes(routesOf(blue(every(30))), balanced(1))
			r.until("running", 10*time.Second, r.is(taskID(1), fleet.TaskRunning))
			r.until("healthy", takes+time.Second, func() bool { return r.told(taskID(1)) == "healthy " })
		})
	}
}

func TestATargetThatNeverAnswersIsUnhealthy(t *testing.T) {
	r := newRig(t)
	r.check = func(converge.Action) int { return 500 }
	r.up()
	r.sendRoutes(routesOf(blue(every(5))), balanced(1))
	r.until("running", 10*time.Second, r.is(taskID(1), fleet.TaskRunning))
	r.until("unhealthy", 22*time.Second, func() bool {
		return r.told(taskID(1)) == "unhealthy Target.ResponseCodeMismatch: /up answered 500"
	})
}
