package fleet

import "fmt"

// Circuit breaker. A deployment counts the tasks of its target that ended by themselves,
// whenever that was, and those that were stopped because checks of them failed; tasks
// whose checks fail now are added to it. What the count means is the planner's: see
// Breaker.Threshold. A task that has been healthy for Lasting ends the row of failures
// before it. That is found out when the count is asked for, or the task ends: no timer
// is needed. Counting moves no ModifyIndex, as with the back-off of services.

// CircuitBreaker is the circuit breaker that the deployment has now. Strategies that shift
// have a built-in one, at its defaults and with rollback, once all tasks were healthy: their
// configuration has none.
func (d *Deployment) CircuitBreaker() (b Breaker, builtIn bool) {
	if !d.Config.Strategy.Shifts() {
		return d.Config.Breaker, false
	}
	return Breaker{Enable: d.Stage > StageScaleUp, Rollback: true}, true
}

// BreakerFailures is how many tasks of a live deployment's target have failed in a row,
// those that are failing now among them.
func (s *State) BreakerFailures(d *Deployment) int {
	return s.countedFailures(d) + s.Counts(d.Service, d.Target).Failing
}

// countedFailures are those that are over.
func (s *State) countedFailures(d *Deployment) int {
	if d.Breaker.Failures == 0 || d.Config.Breaker.KeepCount {
		return d.Breaker.Failures
	}
	for t := range s.LiveTasksOfService(d.Service) {
		if t.Revision == d.Target && s.lastedBeyond(d, t) {
			return 0
		}
	}
	return d.Breaker.Failures
}

// lastedBeyond reports whether a task is healthy and has been for Lasting, which it
// reached after the deployment's last failure.
func (s *State) lastedBeyond(d *Deployment, t *Task) bool {
	if !s.Healthy(t, s.now) {
		return false
	}
	lasts := t.healthySince(s.TaskDef(t.TaskDef).Checked()).Add(Lasting)
	return d.Breaker.LastAt < lasts && lasts <= s.now
}

// healthySince is when a task that counts as healthy began to: see Task.WellAt.
func (t *Task) healthySince(checked bool) Time {
	since := t.StartedAt
	if checked {
		since = max(since, t.HealthyAt)
	}
	for _, v := range t.Targets {
		since = max(since, v.Since)
	}
	if !checked && len(t.Targets) == 0 {
		since = since.Add(HealthySettle)
	}
	return since
}

// rolledOutBy returns the live deployment of which a task is one of the target, or nil.
func (s *State) rolledOutBy(t *Task) *Deployment {
	if t.Service == "" {
		return nil
	}
	if d := s.LiveDeployment(t.Service); d != nil && d.Target == t.Revision && d.Status != DeploymentRollingBack {
		return d
	}
	return nil
}

// noteFailure counts a failure of a task, which is to stop from now on.
func (s *State) noteFailure(x *applyContext, t *Task, why string) {
	d := s.rolledOutBy(t)
	if d == nil {
		return
	}
	n := *d
	n.Breaker.Failures = s.countedFailures(d) + 1
	n.Breaker.Last, n.Breaker.LastAt = tidy(fmt.Sprintf("task %s: %s", t.ID.short(), why), MaxReason), x.now
	s.noteDeployment(x, n)
}

// noteLasting forgets the failures before a task that had lasted, which is about to end
// or to fail: nobody could find out later that it had.
func (s *State) noteLasting(x *applyContext, t *Task) {
	d := s.rolledOutBy(t)
	if d == nil || d.Breaker.Failures == 0 || d.Config.Breaker.KeepCount || !s.lastedBeyond(d, t) {
		return
	}
	n := *d
	n.Breaker.Failures = 0
	s.noteDeployment(x, n)
}
