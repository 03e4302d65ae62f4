package fleet

import (
	"fmt"
	"slices"
	"strings"
)

type reportVerdict uint8

const (
	reportTaken   reportVerdict = iota
	reportDropped               // behind what is recorded, or not this host's task
	reportEnded                 // the task ended by itself
)

// reportTask takes in a task's full status as its host knows it.
func (s *State) reportTask(x *applyContext, host HostID, r *TaskReport) reportVerdict {
	old := s.Task(r.Task)
	if old == nil || old.Host != host || r.Status < old.Last {
		return reportDropped
	}
	if old.Stopped() {
		s.confirmStopped(x, old, r)
		return reportTaken
	}
	heard := s.heardSinceBoot(old)
	t := *old
	t.Last = r.Status
	t.Attempt = max(r.Attempt, old.Attempt)
	if t.Desired == TaskRunning {
		t.Reason = clip(r.Reason, MaxReason)
	}
	if len(r.Exits) > 0 {
		t.Exits = clipExits(r.Exits)
	}
	t.Containers = keepContainers(r)
	if r.Status == TaskRunning {
		t.run(old, r, x.now)
		t.reportTargets(old, r, x.now)
	}
	if r.Status > TaskRunning {
		s.end(&t, r, x.now, heard)
	}
	if heard && sameStatus(old, &t) {
		return reportTaken
	}
	t.Session = s.Host(host).Session.N
	s.noteLasting(x, old)
	s.putTask(x, t)
	return s.noteOutcome(x, old, &t, r, heard)
}

// confirmStopped records the host's word on a task that was declared stopped.
func (s *State) confirmStopped(x *applyContext, old *Task, r *TaskReport) {
	if !old.Unconfirmed {
		return
	}
	t := *old
	t.Unconfirmed, t.Session = false, s.Host(old.Host).Session.N
	t.Exits, t.Containers = clipExits(r.Exits), keepContainers(r)
	s.putTask(x, t)
}

// run records a task that is RUNNING: anew when it just began, or began again
// after its host's machine restarted.
func (t *Task) run(old *Task, r *TaskReport, now Time) {
	if r.begins(old) {
		t.StartedAt, t.HealthyAt, t.Health = now, 0, HealthUnknown
	}
	health := max(r.Health, HealthUnknown)
	if health == HealthHealthy && t.Health != HealthHealthy {
		t.HealthyAt = now
	}
	t.Health = health
}

// begins reports whether a task that is RUNNING just began, or began again.
func (r *TaskReport) begins(old *Task) bool {
	return old.Last < TaskRunning || old.Attempt > 0 && r.Attempt > old.Attempt
}

// end records a task that is past RUNNING. The stop code is the host's when the
// task was to run, else that of whoever asked it to stop.
func (s *State) end(t *Task, r *TaskReport, now Time, heard bool) {
	if t.StartedAt == 0 && r.StartedAt > 0 {
		ran := max(0, r.StoppedAt-r.StartedAt)
		t.StartedAt = max(t.AssignedAt, now-ran)
	}
	if t.Desired == TaskRunning {
		code := endCode(t, r, heard)
		t.stopFor(code, t.endRequest(code, now), now)
		if !heard && t.Reason == "" {
			t.Reason = "host " + s.Host(t.Host).Name + " rebooted"
		}
	} else if t.endedByItself() && r.StopCode != 0 {
		t.StopCode, t.Reason = r.StopCode, clip(r.Reason, MaxReason)
		t.Stop = t.endRequest(r.StopCode, t.StoppingAt)
	}
	if t.Last == TaskStopped {
		t.StoppedAt = now
	}
}

// endRequest is why a task ended that nobody had asked to stop.
func (t *Task) endRequest(code StopCode, at Time) *Request {
	cause := causeOf(code)
	if cause == 0 {
		cause = CauseTaskFailed
	}
	return &Request{Cause: cause, By: string(t.Host), At: at}
}

// endCode is why a task ended by itself, in the host's words where it has any.
func endCode(t *Task, r *TaskReport, heard bool) StopCode {
	switch {
	case r.StopCode != 0:
		return r.StopCode
	case !heard:
		return StopInfrastructureHealth
	case t.StartedAt == 0:
		return StopTaskFailedToStart
	default:
		return StopEssentialContainerExited
	}
}

// endedByItself tells a stop that the host began from one that was asked for.
func (t *Task) endedByItself() bool {
	return t.StopCode == StopTaskFailedToStart || t.StopCode == StopEssentialContainerExited
}

// noteOutcome feeds the back-off of the task's service, and the circuit breaker of its
// deployment.
func (s *State) noteOutcome(x *applyContext, old, t *Task, r *TaskReport, heard bool) reportVerdict {
	if old.Desired == t.Desired {
		if t.Desired == TaskRunning && t.lasted(x.now) {
			s.noteLastingStart(x, t)
		}
		return reportTaken
	}
	if ranFor(t, r, x.now) >= LastingRun.Milliseconds() {
		s.noteLastingStart(x, t)
	} else if heard && t.endedByItself() {
		s.noteFailedStart(x, t, endMessage(t))
	}
	if heard && t.endedByItself() {
		s.noteFailure(x, t, endMessage(t))
	}
	return reportEnded
}

// ranFor is how long a task was RUNNING, in milliseconds: by its host's clock
// where the host says so, since reports may wait for a voter.
func ranFor(t *Task, r *TaskReport, now Time) int64 {
	if r.StartedAt > 0 && r.StoppedAt > 0 {
		return int64(r.StoppedAt - r.StartedAt)
	}
	if t.StartedAt == 0 {
		return 0
	}
	return int64(now - t.StartedAt)
}

// sameStatus reports whether a report said nothing new of a task.
func sameStatus(a, b *Task) bool {
	return a.Last == b.Last && a.Health == b.Health && a.Attempt == b.Attempt && a.Desired == b.Desired &&
		a.StopCode == b.StopCode && a.Reason == b.Reason && slices.EqualFunc(a.Exits, b.Exits, sameExit) &&
		SameContainers(a.Containers, b.Containers) && slices.Equal(a.Targets, b.Targets)
}

func sameExit(a, b ContainerExit) bool {
	return a.Container == b.Container && a.Reason == b.Reason && sameCode(a.Code, b.Code)
}

func clipExits(exits []ContainerExit) []ContainerExit {
	exits = slices.Clone(exits)
	for i := range exits {
		exits[i].Reason = clip(exits[i].Reason, MaxReason)
	}
	return exits
}

// decideEnded records the tasks of one report that ended by themselves, as one
// decision however many there are.
func (s *State) decideEnded(x *applyContext, host *Host, ended []*Task) {
	if len(ended) == 0 {
		return
	}
	t := ended[0]
	e := Event{By: "host " + host.Name, Code: "task-ended", Subject: t.subject(), Cause: t.StopCause(),
		Counts: []Count{{"tasks", len(ended)}}}
	e.Message = fmt.Sprintf("task %s of %s stopped: %s", t.ID.short(), t.of(), endMessage(t))
	if len(ended) > 1 {
		e.Message = fmt.Sprintf("%s on %s stopped, the first, %s of %s: %s",
			plural(len(ended), "task"), host.Name, t.ID.short(), t.of(), endMessage(t))
	}
	if slices.ContainsFunc(ended, func(o *Task) bool { return o.subject() != t.subject() }) {
		e.Subject = subjectOf(host)
	}
	s.recordEvent(x, e)
}

// endMessage is how a task ended, for people: "app exit 137: OutOfMemoryError".
func endMessage(t *Task) string {
	var parts []string
	for _, e := range t.Exits {
		if part := exitMessage(e); part != "" {
			parts = append(parts, part)
		}
	}
	if t.Reason != "" {
		parts = append(parts, t.Reason)
	}
	if len(parts) == 0 {
		return t.StopCode.String()
	}
	return strings.Join(parts, "; ")
}

func exitMessage(e ContainerExit) string {
	switch {
	case e.Code != nil && e.Reason != "":
		return fmt.Sprintf("%s exit %d: %s", e.Container, *e.Code, e.Reason)
	case e.Code != nil:
		return fmt.Sprintf("%s exit %d", e.Container, *e.Code)
	case e.Reason != "":
		return e.Container + ": " + e.Reason
	default:
		return ""
	}
}
