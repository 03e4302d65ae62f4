package fleet

import (
	"testing"
)

// dies starts a task of the target, which runs for so long and ends by itself.
func (r rollout) dies(id TaskID, ranS int64) {
	r.t.Helper()
	v := r.Service("web")
	goals := v.DefaultGoals()
	goals.Max, goals.Revisions[0].Max = 100, 100
	r.must(goals)
	r.must(CreateTasks{Revision: v.Revision, Tasks: []TaskID{id}})
	r.must(AssignTasks{Host: hostID(3), Tasks: []TaskID{id}, Ports: [][]PortBinding{{
		{Container: "app", ContainerPort: 8080, HostPort: 51000 + r.TaskCount(), Protocol: TCP}}}})
	if ranS > 0 {
		r.report(3, running(id))
		r.wait(ranS * 1000)
	}
	r.report(3, stopped(id, 1))
}

func (r rollout) failures(want int) {
	r.t.Helper()
	if got := r.BreakerFailures(r.live()); got != want {
		r.t.Errorf("%d failures, want %d: %+v", got, want, r.live().Breaker)
	}
}

func TestTheBreakerCountsTasksOfTheTargetThatFail(t *testing.T) {
	breaking := DeploymentConfig{Breaker: Breaker{Enable: true}}
	t.Run("that never start", func(t *testing.T) {
		r := rolls(t, breaking)
		r.dies("n1", 0)
		r.dies("n2", 0)
		r.failures(2)
		if b := r.live().Breaker; b.Last != "task n2: app exit 1" || b.LastAt != r.at {
			t.Errorf("breaker %+v", b)
		}
		r.checked()
	})
	t.Run("that die 20 to 60 s after they ran, for ever", func(t *testing.T) {
		r := rolls(t, breaking)
		for i, ran := range []int64{20, 45, 60, 59, 30} {
			r.dies(TaskID("n"+string(rune('a'+i))), ran)
		}
		r.failures(5)
		r.checked()
	})
	t.Run("that are unhealthy, before and after they are stopped for it", func(t *testing.T) {
		r := rolls(t, breaking)
		r.must(NoteDeployment{ID: "web.2", ExpectedModifyIndex: r.live().ModifyIndex})
		r.green()
		r.failures(0)
		r.reportTarget(1, "green-2-1", TargetUnhealthy)
		r.failures(1)
		r.must(StopTasks{Tasks: []TaskID{"green-2-1"}, Cause: CauseTaskFailed, Reason: "unhealthy"})
		r.failures(1)
		r.must(StopTasks{Tasks: []TaskID{"green-2-2"}, Cause: CauseScaleIn})
		r.failures(1)
		r.checked()
	})
	t.Run("and none of blue", func(t *testing.T) {
		r := rolls(t, breaking)
		r.report(1, stopped("web-1", 1))
		r.failures(0)
	})
}

func TestOnlyATaskThatLastsEndsARowOfFailures(t *testing.T) {
	lasting := Lasting.Milliseconds()
	for _, c := range []struct {
		name     string
		keep     bool
		healthy  int64 // ms after the first failure
		then     func(r rollout)
		failures int
	}{
		{"a task that is healthy for less counts for nothing", false, lasting - 1, func(rollout) {}, 1},
		{"a task that is healthy for two minutes does", false, lasting, func(rollout) {}, 0},
		{"unless failures are counted for ever", true, lasting, func(rollout) {}, 1},
		{"the next failure is the first then", false, lasting, func(r rollout) { r.dies("n2", 0) }, 1},
		{"it does it once: failures after that are a row again", false, lasting, func(r rollout) {
			r.dies("n2", 0)
			r.wait(1000)
			r.dies("n3", 0)
		}, 2},
		{"also where it is the one that fails next", false, lasting, func(r rollout) {
			r.report(1, stopped("green-2-1", 1))
		}, 1},
		{"also where it is stopped before anybody asks", false, lasting, func(r rollout) {
			r.gone("web/2")
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rolls(t, DeploymentConfig{Breaker: Breaker{Enable: true, KeepCount: c.keep}})
			r.dies("n1", 0)
			r.wait(1)
			r.green()
			r.wait(c.healthy)
			r.must(timePasses(r.world))
			c.then(r)
			r.failures(c.failures)
			r.checked()
		})
	}
}

func TestCountingDoesNotRefuseACommandThatWasMadeBefore(t *testing.T) {
	r := rolls(t, DeploymentConfig{})
	c := r.next()
	r.dies("n1", 0)
	r.must(c)
}

func TestABreakersThreshold(t *testing.T) {
	for _, c := range []struct {
		breaker       Breaker
		desired, want int
	}{
		{Breaker{}, 1, 3}, {Breaker{}, 25, 13}, {Breaker{}, 400, 200}, {Breaker{}, 800, 200},
		{Breaker{Type: ThresholdUnbounded, Value: 10}, 1000, 100}, {Breaker{Type: ThresholdUnbounded}, 1, 1},
		{Breaker{Type: ThresholdCount, Value: 7}, 1000, 7},
	} {
		if got := c.breaker.Threshold(c.desired); got != c.want {
			t.Errorf("%+v of %d: %d, want %d", c.breaker, c.desired, got, c.want)
		}
	}
}
