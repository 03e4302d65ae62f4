package fleet

import (
	"iter"
	"slices"
)

// deadline is a moment at which a planner should look at a subject though
// nothing changes. Deadlines more than dueKept in the past are dropped.
type deadline struct {
	at      Time
	subject Subject
	task    TaskID // whose deadline it is, where a service has many
}

func lessDeadline(a, b deadline) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	if c := a.subject.compare(b.subject); c != 0 {
		return c < 0
	}
	return a.task < b.task
}

func (s *State) addDue(d deadline) {
	if d.at > s.now.Add(-dueKept) {
		s.due.Set(d)
	}
}

// dropPastDue keeps the index to the deadlines that may still be asked for.
func (s *State) dropPastDue() {
	for {
		d, ok := s.due.Min()
		if !ok || d.at > s.now.Add(-dueKept) {
			return
		}
		s.due.Delete(d)
	}
}

func (s *State) dueTask(old, t *Task) {
	if old != nil && t != nil && old.Last == t.Last && old.Desired == t.Desired && old.Health == t.Health &&
		old.StartedAt == t.StartedAt && slices.Equal(old.Targets, t.Targets) {
		return
	}
	was, is := s.taskDeadline(old), s.taskDeadline(t)
	if was == is {
		return
	}
	if was.at != 0 {
		s.due.Delete(was)
	}
	if is.at != 0 {
		s.addDue(is)
	}
}

// taskDeadline is when a running service task counts as healthy without checks,
// or when an unhealthy one may be replaced; zero for none.
func (s *State) taskDeadline(t *Task) deadline {
	if t == nil || t.Service == "" || t.Desired != TaskRunning || t.Last != TaskRunning {
		return deadline{}
	}
	var v *Service
	if t.unwell() {
		v = s.Service(t.Service)
	}
	at := t.dueAt(s.TaskDef(t.TaskDef).Checked(), v)
	if at == 0 {
		return deadline{}
	}
	return deadline{at, ServiceSubject(t.Service), t.ID}
}

// dueAt is the time of the task's deadline, or 0. checked is whether its definition
// has a health check, and v its service; nil for none.
func (t *Task) dueAt(checked bool, v *Service) Time {
	switch {
	case t.Service == "" || t.Desired != TaskRunning || t.Last != TaskRunning:
		return 0
	case !checked && len(t.Targets) == 0:
		return t.StartedAt.Add(HealthySettle)
	case t.Failing(checked) && v != nil && v.GraceS > 0:
		return t.StartedAt + Time(v.GraceS)*1000
	}
	return 0
}

func (s *State) dueHost(old, h *Host) {
	if d := s.hostDeadline(old); d.at != 0 {
		s.due.Delete(d)
	}
	if d := s.hostDeadline(h); d.at != 0 {
		s.addDue(d)
	}
}

// hostDeadline is when a silent host becomes lost; zero for none.
func (s *State) hostDeadline(h *Host) deadline {
	if h == nil || h.State != HostSilent {
		return deadline{}
	}
	return deadline{at: h.StateSince + Time(s.fleet.Settings.LostAfterMs), subject: HostSubject(h.ID)}
}

func (s *State) dueService(old, v *Service) {
	if old != nil && old.NotBefore != 0 {
		s.due.Delete(deadline{at: old.NotBefore, subject: ServiceSubject(old.Name)})
	}
	if v != nil && v.NotBefore != 0 {
		s.addDue(deadline{at: v.NotBefore, subject: ServiceSubject(v.Name)})
	}
}

func (s *State) dueCondition(old, w *Condition) {
	if old != nil && old.Until != 0 {
		s.due.Delete(old.deadline())
	}
	if w != nil && w.Until != 0 {
		s.addDue(w.deadline())
	}
}

// deadline is the end of a condition. The task field keeps it apart from the
// subject's own deadline and from those of other planners.
func (w *Condition) deadline() deadline {
	return deadline{at: w.Until, subject: w.Subject, task: TaskID("condition:" + w.By)}
}

// NextDue returns the earliest deadline after t, or 0: a back-off or a wait that
// ends, a task without checks that counts as healthy (40 s after RUNNING,
// ECS API, DeploymentConfiguration), an unhealthy one whose grace period ends, a silent host that
// becomes lost.
func (s *State) NextDue(t Time) Time {
	next := Time(0)
	s.due.Ascend(deadline{at: t + 1}, func(d deadline) bool {
		next = d.at
		return false
	})
	return next
}

// Due yields subjects whose deadline is at or before until and after the given
// time, by time and each once: "service:web", "host:h-...", "task:3f...".
// Deadlines more than 10 minutes before Now are forgotten: who looked away for
// longer must look at everything.
func (s *State) Due(after, until Time) iter.Seq[Subject] {
	return func(yield func(Subject) bool) {
		seen := map[Subject]bool{}
		s.due.Ascend(deadline{at: after + 1}, func(d deadline) bool {
			if d.at > until {
				return false
			}
			if seen[d.subject] {
				return true
			}
			seen[d.subject] = true
			return yield(d.subject)
		})
	}
}

// DueTasks yields tasks that turn healthy or failing by time alone at or before until
// and after the given time. Of deadlines long past, see Due.
func (s *State) DueTasks(after, until Time) iter.Seq[TaskID] {
	return func(yield func(TaskID) bool) {
		s.due.Ascend(deadline{at: after + 1}, func(d deadline) bool {
			return d.at <= until && (d.task == "" || d.subject.Kind != SubjectService || yield(d.task))
		})
	}
}
