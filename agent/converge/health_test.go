package converge_test

import (
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
	"skein/runtime/port"
)

// checkedTask is a running task with one checked container; answer decides its checks.
func checkedTask(t *testing.T, h fleet.HealthCheck, answer func(at time.Duration) int) (*rig, time.Duration) {
	t.Helper()
	r := newRig(t)
	r.check = func(converge.Action) int { return answer(r.age()) }
	r.up()
	id := define("checked:1", func(d *fleet.TaskDef) { d.Containers[0].HealthCheck = &h })
	r.snapshot(of(web(1), id))
	r.settle()
	if got := r.task(taskID(1)).Status; got != fleet.TaskRunning {
		t.Fatalf("it is %s", got)
	}
	return r, r.mono
}

func http(interval int) fleet.HealthCheck {
	return fleet.HealthCheck{HTTP: &fleet.HTTPCheck{Port: 80, Path: "/health"}, IntervalS: interval, TimeoutS: 2,
		Retries: 3}
}

func exec(interval int) fleet.HealthCheck {
	return fleet.HealthCheck{Command: []string{"true"}, IntervalS: interval, TimeoutS: 2, Retries: 3}
}

// checks counts health checks carried out.
func checks(r *rig) int {
	return len(did[converge.ExecCheck](r)) + len(did[converge.HTTPCheck](r))
}

func TestTheFirstChecksComeFastAndThenAtTheDeclaredInterval(t *testing.T) {
	tests := []struct {
		name          string
		check         fleet.HealthCheck
		succeedsAfter time.Duration
		in1s, in5s    int // checks made by then
		in65s         int
	}{
		{"an HTTP check that succeeds at once is made once", http(30), 0, 1, 1, 3},
		{"an HTTP check that fails comes every 50 ms for 5 s", http(30), time.Hour, 20, 100, 102},
		{"a command that fails comes every 500 ms for 5 s", exec(30), time.Hour, 2, 10, 12},
		{"an HTTP check that succeeds after 1 s comes at its interval from then on", http(10), time.Second, 20, 21, 27},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Duration(0)
			r, _ := checkedTask(t, tt.check, func(at time.Duration) int {
				if at-began < tt.succeedsAfter {
					return 1
				}
				return 0
			})
			r.pass(time.Second - time.Millisecond)
			got1 := checks(r)
			r.pass(4 * time.Second)
			got5 := checks(r)
			r.heard(60 * time.Second)
			if got := checks(r); got1 != tt.in1s || got5 != tt.in5s || got < tt.in65s-1 || got > tt.in65s+1 {
				t.Errorf("%d in 1 s, %d in 5 s, %d in 65 s; want %d, %d, %d", got1, got5, got, tt.in1s, tt.in5s, tt.in65s)
			}
		})
	}
}

func TestHealthFollowsChecks(t *testing.T) {
	tests := []struct {
		name  string
		check fleet.HealthCheck
		bad   func(at time.Duration) bool
		look  time.Duration
		want  fleet.Health
	}{
		{"it is UNKNOWN before the first success", http(5), func(time.Duration) bool { return true }, 4 * time.Second,
			fleet.HealthUnknown},
		{"it is HEALTHY within 60 ms of the start", http(30), func(time.Duration) bool { return false },
			60 * time.Millisecond, fleet.HealthHealthy},
		{"failures of the first 5 s do not count", http(30),
			func(at time.Duration) bool { return at < 4900*time.Millisecond }, 5 * time.Second, fleet.HealthHealthy},
		{"failures inside the start period do not count", startPeriod(http(5), 60), func(time.Duration) bool { return true },
			59 * time.Second, fleet.HealthUnknown},
		{"three failures after it make it UNHEALTHY", startPeriod(http(5), 60), func(time.Duration) bool { return true },
			76 * time.Second, fleet.HealthUnhealthy},
		{"failures after a first success count inside the start period", startPeriod(http(5), 300),
			func(at time.Duration) bool { return at > time.Second }, 20 * time.Second, fleet.HealthUnhealthy},
		{"two failures do not make it UNHEALTHY", http(5),
			func(at time.Duration) bool { return at > time.Second && at < 11*time.Second }, 30 * time.Second,
			fleet.HealthHealthy},
		{"one success does not make it HEALTHY again", http(5),
			func(at time.Duration) bool { return at > time.Second && (at < 19*time.Second || at > 21*time.Second) },
			23 * time.Second, fleet.HealthUnhealthy},
		{"two successes make it HEALTHY again, the second asked for soon", http(30),
			func(at time.Duration) bool { return at > time.Second && at < 100*time.Second }, 125 * time.Second,
			fleet.HealthHealthy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := checkedTask(t, tt.check, func(at time.Duration) int {
				if tt.bad(at) {
					return 1
				}
				return 0
			})
			r.pass(tt.look)
			if got := r.task(taskID(1)); got.Health != tt.want || got.Status != fleet.TaskRunning {
				t.Errorf("after %s it is %s, %s, want %s", tt.look, got.Status, got.Health, tt.want)
			}
			if got := r.level[taskID(1)].Health; got != tt.want {
				t.Errorf("reported %s, want %s", got, tt.want)
			}
		})
	}
}

func startPeriod(h fleet.HealthCheck, seconds int) fleet.HealthCheck {
	h.StartPeriodS = seconds
	return h
}

func TestHealthChangesAtMostOnceASecond(t *testing.T) {
	r := newRig(t)
	r.check = func(a converge.Action) int {
		// The second container is checked half a second after the first and turns
		// bad just when the first has come back.
		at, first := r.age()%(6*time.Second), strings.HasSuffix(a.(converge.HTTPCheck).Container, ".app")
		switch {
		case r.age() < 10*time.Second && (first || r.age() > 450*time.Millisecond):
			return 0
		case first && at < 500*time.Millisecond, !first && at > 2200*time.Millisecond && at < 2800*time.Millisecond,
			r.age() < time.Second:
			return 1
		}
		return 0
	}
	r.up()
	id := define("flapping:1", func(d *fleet.TaskDef) {
		h := http(1)
		h.Retries = 1
		d.Containers[0].HealthCheck = &h
		second := d.Containers[0]
		second.Name = "second"
		d.Containers = append(d.Containers, second)
	})
	r.snapshot(with(of(web(1), id), func(w *fleet.WantedTask) { w.Images = nil }))
	last, changes, changed := fleet.Health(0), 0, time.Duration(0)
	for range 3000 {
		r.pass(10 * time.Millisecond)
		if got := r.task(taskID(1)).Health; got != last {
			if changes > 0 && last != fleet.HealthUnknown && r.mono-changed < time.Second-10*time.Millisecond {
				t.Errorf("changed after %s", r.mono-changed)
			}
			last, changed = got, r.mono
			changes++
		}
	}
	if changes < 4 {
		t.Errorf("only %d changes: the test does not show anything", changes)
	}
}

func TestATasksHealthIsTheWorstOfItsEssentialCheckedContainers(t *testing.T) {
	tests := []struct {
		name string
		bad  string // container whose checks fail
		want fleet.Health
	}{
		{"all good", "", fleet.HealthHealthy},
		{"an essential one is bad", "two", fleet.HealthUnhealthy},
		{"a non-essential one is bad", "extra", fleet.HealthHealthy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.check = func(a converge.Action) int {
				if a.(converge.ExecCheck).Container == string(taskID(1))+"."+tt.bad {
					return 1
				}
				return 0
			}
			r.up()
			h := exec(5)
			id := define("several:1", func(d *fleet.TaskDef) {
				plain, two, extra := d.Containers[0], d.Containers[0], d.Containers[0]
				d.Containers[0].HealthCheck = &h
				two.Name, two.HealthCheck = "two", &h
				extra.Name, extra.HealthCheck, extra.NotEssential = "extra", &h, true
				plain.Name = "plain"
				d.Containers = append(d.Containers, two, extra, plain)
			})
			r.snapshot(with(of(web(1), id), func(w *fleet.WantedTask) { w.Images = nil }))
			r.heard(30 * time.Second)
			if got := r.task(taskID(1)).Health; got != tt.want {
				t.Errorf("it is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAChecksTargetIsTheTasksAddress(t *testing.T) {
	for _, tt := range []struct {
		mode fleet.NetworkMode
		want string
	}{{fleet.NetworkBridge, "172.29.0.2:80"}, {fleet.NetworkHost, "127.0.0.1:80"}} {
		t.Run(tt.mode.String(), func(t *testing.T) {
			r := newRig(t).up()
			h := http(5)
			id := define("addressed:1", func(d *fleet.TaskDef) { d.NetworkMode, d.Containers[0].HealthCheck = tt.mode, &h })
			r.snapshot(of(web(1), id))
			r.heard(time.Second)
			got := did[converge.HTTPCheck](r)
			if len(got) == 0 || got[0].Addr.String() != tt.want || got[0].Path != "/health" {
				t.Errorf("checks %+v, want %s", got, tt.want)
			}
		})
	}
}

func TestARuntimeThatIsAwayMakesNoTaskUnhealthy(t *testing.T) {
	r, _ := checkedTask(t, exec(5), func(time.Duration) int { return 0 })
	r.heard(10 * time.Second)
	r.faults = func(e converge.Effect) error {
		if hang[converge.ExecCheck](e) {
			return port.ErrRuntimeDown
		}
		return nil
	}
	r.heard(time.Minute)
	r.containers.Inject(func(f *fake.Faults) { f.RuntimeDown = true })
	r.step(converge.RuntimeDown{Err: port.ErrRuntimeDown})
	r.heard(time.Minute)
	if got := r.task(taskID(1)); got.Health != fleet.HealthHealthy {
		t.Errorf("it is %s", got.Health)
	}
}

func TestAnAnswerThatThisAgentSleptThroughCountsForNothing(t *testing.T) {
	r, _ := checkedTask(t, exec(5), func(time.Duration) int { return 0 })
	r.heard(10 * time.Second)
	for range 5 {
		r.hangs = hang[converge.ExecCheck]
		r.heard(6 * time.Second)
		r.mono += 10 * time.Minute // SIGSTOP, SIGCONT
		r.wall = r.wall.Add(10 * time.Minute)
		for _, e := range r.hung {
			r.step(converge.Done{ID: e.ID, Code: 1})
		}
		r.hung, r.hangs = nil, nil
	}
	if got := r.task(taskID(1)); got.Health != fleet.HealthHealthy {
		t.Errorf("it is %s", got.Health)
	}
}

func TestARestartOfTheAgentDoesNotMakeAHealthyTaskUnknown(t *testing.T) {
	r, _ := checkedTask(t, http(30), func(time.Duration) int { return 0 })
	r.heard(time.Second)
	r.kill()
	n := len(r.reports)
	r.up()
	id := fleet.TaskDefID("checked:1")
	r.snapshot(of(web(1), id))
	r.heard(10 * time.Second)
	seen := 0
	for _, report := range r.reports[n:] {
		for _, got := range report.Tasks {
			seen++
			if got.Health != fleet.HealthHealthy {
				t.Errorf("reported %+v", got)
			}
		}
	}
	if seen == 0 {
		t.Error("nothing was reported")
	}
}

func TestChecksInFlightAreBoundedAndAllGetTheirTurn(t *testing.T) {
	r := newRig(t)
	r.limits.Checks = 2
	r.limits.Starts = 20
	r.up()
	h := exec(5)
	id := define("many:1", func(d *fleet.TaskDef) { d.Containers[0].HealthCheck = &h })
	var tasks []fleet.WantedTask
	for i := range 8 {
		tasks = append(tasks, of(web(i+1), id))
	}
	r.hangs = hang[converge.ExecCheck]
	r.snapshot(tasks...)
	r.heard(2 * time.Second)
	if n := len(kept[converge.ExecCheck](r)); n != 2 {
		t.Fatalf("%d checks in flight, want 2", n)
	}
	r.thaw()
	r.heard(3 * time.Second)
	for _, w := range tasks {
		if got := r.task(w.ID); got.Health != fleet.HealthHealthy {
			t.Errorf("%s is %s", w.ID[:4], got.Health)
		}
	}
}

func TestACheckOfATaskThatIsGoneLeavesItsPlaceToOthers(t *testing.T) {
	r := newRig(t)
	r.limits.Checks = 1
	r.up()
	slow := define("slowcheck:1", func(d *fleet.TaskDef) { h := http(5); d.Containers[0].HealthCheck = &h })
	r.hangs = hang[converge.HTTPCheck]
	r.snapshot(of(web(1), slow))
	r.until("checked", 5*time.Second, func() bool { return len(r.hung) > 0 })
	r.snapshot(stopped(of(web(1), slow)))
	r.until("stopped", 5*time.Second, r.is(taskID(1), fleet.TaskStopped))
	r.snapshot(of(web(2), slow))
	r.until("forgotten", 5*time.Second, func() bool { return r.task(taskID(1)).Task == "" })
	r.thaw()
	r.until("the next one healthy", 5*time.Second, func() bool { return r.level[taskID(2)].Health == fleet.HealthHealthy })
}
