package deploy

import (
	"fmt"
	"time"

	"skein/raftfsm/fleet"
)

// progressLooks is how often, within the time that may pass without progress, it is noted.
const progressLooks = 8

// failure is why a deployment is not to go on.
type failure struct {
	reason string
	stays  bool // it stops where it is: its configuration wants no rollback
}

// fail ends a deployment that must not go on, while it may go back: to blue, or it stops
// where it is.
func fail(n *inputs, out *decision) {
	d := n.deployment
	if d.Status != fleet.DeploymentInProgress || !n.mayGoBack {
		return
	}
	looks := [...]func(*inputs, *decision) *failure{hookFailed, alarmFires, breakerTrips, noProgress, falters, tooLong}
	for _, look := range looks {
		f := look(n, out)
		switch {
		case out.command != nil:
			return
		case f == nil:
			continue
		case f.stays:
			out.command = fleet.FinishDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex,
				Status: fleet.DeploymentStopped, Reason: f.reason}
			out.stalls = !n.shifts() || d.Blue == ""
		default:
			rollBack(n, out, f.reason)
		}
		return
	}
}

func rollBack(n *inputs, out *decision, reason string) {
	d := n.deployment
	out.command = fleet.RollBackDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Reason: reason}
	out.stalls = d.Blue == ""
}

// hookFailed: a hook said no, or said nothing in its time.
func hookFailed(n *inputs, _ *decision) *failure {
	d := n.deployment
	for i := range d.Hooks {
		r := &d.Hooks[i]
		config := d.Config.Hook(r.Hook)
		switch {
		case r.Undo || r.Stage > fleet.StageCleanUp:
		case r.Status == fleet.HookFailed:
			return &failure{reason: fmt.Sprintf("hook %s failed at %s: %s", r.Hook, r.Stage, r.Answer)}
		case r.Status == fleet.HookTimedOut && (config == nil || !config.ContinueOnTimeout):
			return &failure{reason: fmt.Sprintf("hook %s timed out at %s: %s", r.Hook, r.Stage, r.Answer)}
		}
	}
	return nil
}

// alarmFires: one that the deployment began without fires, or ingress sees that the target
// is bad. Those that fire at the start are for alarmsAtStart.
func alarmFires(n *inputs, _ *decision) *failure {
	d := n.deployment
	for i := range d.Alarms {
		a := &d.Alarms[i]
		switch {
		case a.Status != fleet.AlarmFires || a.Ignored:
		case a.Name == fleet.AnalysisAlarm && d.Config.Analysis != nil:
			return &failure{reason: fmt.Sprintf("%s is worse than before: %s", d.Target, a.Answer)}
		case d.Stage > fleet.StageReconcileService:
			return &failure{reason: fmt.Sprintf("alarm %s fires: %s", a.Name, a.Answer), stays: !d.Config.Alarms.Rollback}
		}
	}
	return nil
}

// breakerTrips: too many tasks of the target failed in a row. Whether one that lasted has
// ended the row costs a look at all tasks, so that is asked only where the count without it
// is enough. A service that is to have no tasks has none that fail.
func breakerTrips(n *inputs, _ *decision) *failure {
	d := n.deployment
	b, _ := d.CircuitBreaker()
	threshold := b.Threshold(n.service.Desired)
	if n.service.Desired == 0 || !b.Enable || d.Breaker.Failures+n.target.Failing < threshold {
		return nil
	}
	failures := n.failures()
	if failures < threshold {
		return nil
	}
	return &failure{stays: !b.Rollback,
		reason: fmt.Sprintf("circuit breaker: %d tasks of %s failed in a row%s", failures, d.Target, n.lastFailure())}
}

// lastFailure is what is known of the newest failure, for the end of a reason.
func (n *inputs) lastFailure() string {
	if last := n.deployment.Breaker.Last; last != "" && n.failures() > 0 {
		return ", last: " + last
	}
	return ""
}

// noProgress: no task of the target became healthy for too long while it is scaled up. How
// many are is noted now and then, so that a task that takes the place of another is none.
// Once it has all that it needs it has made its progress: tasks of before may take their
// time to stop.
func noProgress(n *inputs, out *decision) *failure {
	d := n.deployment
	limit := seconds(d.Config.ProgressS)
	if limit == 0 || d.Stage != fleet.StageScaleUp || d.Pause != nil || n.target.Serving >= n.need() {
		return nil
	}
	since := max(d.StageSince, d.ResumedAt, d.HealthyAt)
	look, deadline := since.Add(limit/progressLooks), since.Add(limit)
	switch {
	case n.now < look:
		out.wakes = append(out.wakes, look)
	case n.target.Serving > d.Healthy, n.target.Serving < d.Healthy && n.failures() == 0:
		out.command = fleet.NoteDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Healthy: &n.target.Serving}
	case n.now < deadline:
		out.wakes = append(out.wakes, deadline)
	default:
		return &failure{reason: fmt.Sprintf("no task of %s became healthy for %s: %d of %d are%s", d.Target, limit,
			n.target.Serving, n.service.Desired, n.lastFailure())}
	}
	return nil
}

// deadFor is how long the target may have no healthy task while it has production traffic.
const deadFor = 10 * time.Second

// falters: the target, which was whole, has had too few healthy tasks for too long, and
// going back would serve better: traffic is shifted and more of blue's tasks are healthy,
// or tasks of the target fail. Hosts that both revisions miss are not its fault.
func falters(n *inputs, out *decision) *failure {
	d := n.deployment
	if d.Stage <= fleet.StageScaleUp {
		return nil
	}
	if short := n.target.Serving < n.need(); short != (d.ShortSince != 0) {
		out.command = fleet.NoteDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Short: &short}
		return nil
	}
	limit := seconds(d.Config.ProgressS)
	if n.target.Serving == 0 && d.Production > 0 {
		limit = deadFor
	}
	if d.ShortSince == 0 || limit == 0 || !n.wouldServeBetter() {
		return nil
	}
	if deadline := d.ShortSince.Add(limit); n.now < deadline {
		out.wakes = append(out.wakes, deadline)
		return nil
	}
	reason := fmt.Sprintf("%d of %d tasks of %s are healthy, too few since %s", n.target.Serving, n.need(), d.Target,
		d.ShortSince)
	if n.shifts() {
		reason += fmt.Sprintf(", and %d of %s", n.blue.Serving, d.Blue)
	}
	return &failure{reason: reason + n.lastFailure()}
}

// wouldServeBetter reports whether a rollback helps a target that is short of tasks.
func (n *inputs) wouldServeBetter() bool {
	if n.shifts() {
		return n.blue.Serving > n.target.Serving
	}
	return n.failures() > 0
}

// tooLong: the stage, or all of the deployment, has taken longer than any may. A person
// for whom it waits may take longer than a stage.
func tooLong(n *inputs, _ *decision) *failure {
	d := n.deployment
	if n.now >= d.Ends() {
		return &failure{reason: fmt.Sprintf("it took longer than %s, in %s", fleet.MaxDeployment, d.Stage)}
	}
	if end := d.Deadline(); end == 0 || n.now < end || d.Pause != nil || n.awaitsPerson() {
		return nil
	}
	return &failure{reason: fmt.Sprintf("%s took longer than %s", d.Stage, fleet.MaxStage)}
}

func (n *inputs) awaitsPerson() bool {
	for _, h := range n.hooks {
		if h.run.Status == fleet.HookAwaitingAction {
			return true
		}
	}
	return false
}
