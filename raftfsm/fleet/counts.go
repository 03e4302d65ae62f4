package fleet

import "strings"

// How tasks are counted.
//
// A task counts for its service while it is not STOPPED. It is "away" when its
// host is silent, lost or forgotten, or when nothing was heard of it since its
// host's machine restarted (State.Reachable), and "here" otherwise; a task
// without a host is here. A change of a host's row counts its tasks again.
//
// Some turn healthy, or failing, by time alone. Sums are those of State.Now:
// advance moves the tasks whose deadline (taskDeadline) passes with it.

// taskCounts is a number of tasks by what they are.
type taskCounts struct {
	pending, running, stopping int32
	healthy                    int32 // of running: health HEALTHY
	serving                    int32 // of running: counts as healthy, see State.Healthy
	failing                    int32 // of running: UNHEALTHY, its grace period over
}

func (t taskCounts) add(o taskCounts) taskCounts {
	return taskCounts{t.pending + o.pending, t.running + o.running, t.stopping + o.stopping,
		t.healthy + o.healthy, t.serving + o.serving, t.failing + o.failing}
}

func (t taskCounts) minus() taskCounts {
	return taskCounts{-t.pending, -t.running, -t.stopping, -t.healthy, -t.serving, -t.failing}
}

func (t taskCounts) toRun() int { return int(t.pending + t.running) }

func (t taskCounts) total() int { return int(t.pending + t.running + t.stopping) }

// taskCountsAt is what one task counts at a time. Of most tasks nothing has to be
// looked up for it.
func (s *State) taskCountsAt(t *Task, now Time) taskCounts {
	if t.Desired != TaskRunning || t.Last != TaskRunning {
		return t.countsAt(now, false, nil)
	}
	var v *Service
	if t.unwell() {
		v = s.Service(t.Service)
	}
	return t.countsAt(now, s.TaskDef(t.TaskDef).Checked(), v)
}

// countsAt is what the task counts at a time. Of a task that runs, checked is whether
// its definition has a health check, and v its service; nil for none.
func (t *Task) countsAt(now Time, checked bool, v *Service) taskCounts {
	switch {
	case t.Stopped():
		return taskCounts{}
	case t.Desired == TaskStopped:
		return taskCounts{stopping: 1}
	case t.Last < TaskRunning:
		return taskCounts{pending: 1}
	}
	n := taskCounts{running: 1}
	if t.Health == HealthHealthy {
		n.healthy = 1
	}
	switch {
	case t.WellAt(now, checked):
		n.serving = 1
	case t.Failing(checked) && now >= t.graceEnds(v):
		n.failing = 1
	}
	return n
}

// WellAt reports whether a task that runs counts as healthy at a time, where checked is
// whether its definition has a health check: its checks say so, those of its containers
// and those of it as a target, whichever there are. Without any it does once it has run
// for a while. Source: ECS API, DeploymentConfiguration.
func (t *Task) WellAt(now Time, checked bool) bool {
	if checked && t.Health != HealthHealthy || !t.targetsAre(TargetHealthy) {
		return false
	}
	return checked || len(t.Targets) > 0 || now >= t.StartedAt.Add(HealthySettle)
}

// Failing reports whether checks of a task that runs fail.
func (t *Task) Failing(checked bool) bool {
	return checked && t.Health == HealthUnhealthy || t.anyTarget(TargetUnhealthy)
}

// unwell is Failing, or not much more than that: what costs no look at the definition.
func (t *Task) unwell() bool { return t.Failing(true) }

// graceEnds is when an unhealthy task of a service may be replaced.
func (t *Task) graceEnds(v *Service) Time {
	if v != nil {
		return t.StartedAt + Time(v.GraceS)*1000
	}
	return t.StartedAt
}

// revisionCounts is the tasks of one revision. Moving are those of here that are to
// be replaced.
type revisionCounts struct{ here, away, moving taskCounts }

func (r revisionCounts) add(o revisionCounts) revisionCounts {
	return revisionCounts{r.here.add(o.here), r.away.add(o.away), r.moving.add(o.moving)}
}

// hereLike counts tasks like t, which are here.
func hereLike(t *Task, n taskCounts) revisionCounts {
	if t.Replace == nil {
		return revisionCounts{here: n}
	}
	return revisionCounts{here: n, moving: n}
}

// zoneCounts is the tasks of a service that are to run and here, in one zone.
type zoneCounts struct {
	service, zone string
	n             int
}

func lessZoneCounts(a, b zoneCounts) bool {
	if a.service != b.service {
		return a.service < b.service
	}
	return a.zone < b.zone
}

// serviceOf is the service of a revision id, without parsing the number.
func serviceOf(id RevisionID) string {
	service, _, _ := strings.Cut(string(id), "/")
	return service
}

// addTaskCounts adds what a task counts (or its negative) wherever it is counted.
func (s *State) addTaskCounts(t *Task, n taskCounts) {
	if t.Service == "" {
		return
	}
	sums := sumChange{s: s}
	sums.add(sums.hostOf(t), t, n)
	sums.write()
}

// reachableOn is State.Reachable for a task whose host is at hand.
func (t *Task) reachableOn(host *Host) bool {
	return host.Reachable() && t.Session >= host.BootSession
}

func (s *State) addRevision(id RevisionID, n revisionCounts) {
	sum, _ := s.ofRevision.Get(id)
	sum = sum.add(n)
	if sum == (revisionCounts{}) {
		s.ofRevision.Delete(id)
		return
	}
	s.ofRevision.Set(id, sum)
}

func (s *State) addZone(service, zone string, n int) {
	item := zoneCounts{service: service, zone: zone}
	if n == 0 {
		return
	}
	if was, ok := s.zones.Get(item); ok {
		n += was.n
	}
	if n == 0 {
		s.zones.Delete(item)
		return
	}
	item.n = n
	s.zones.Set(item)
}

// recount counts a host's tasks by its new row instead of its old one and returns
// the services that count differently now.
func (s *State) recount(old, h *Host) []string {
	if old == nil || old.Reachable() == h.Reachable() && old.Zone == h.Zone && old.BootSession == h.BootSession {
		return nil
	}
	var services []string
	before, after := sumChange{s: s}, sumChange{s: s}
	for t := range s.HeldBy(h.ID) {
		if t.Service == "" || t.Stopped() {
			continue
		}
		if last := len(services) - 1; last < 0 || services[last] != t.Service {
			services = append(services, t.Service)
		}
		n := s.taskCountsAt(t, s.now)
		before.add(old, t, n.minus())
		after.add(h, t, n)
	}
	before.write()
	after.write()
	return services
}

// passDeadlines counts the tasks anew that turn healthy or failing by time alone
// until a time that State.Now is about to become.
func (s *State) passDeadlines(until Time) {
	s.due.Ascend(deadline{at: s.now + 1}, func(d deadline) bool {
		if d.at > until {
			return false
		}
		if t := s.Task(d.task); t != nil {
			s.addTaskCounts(t, s.taskCountsAt(t, until).add(s.taskCountsAt(t, s.now).minus()))
		}
		return true
	})
}

// heardSinceBoot reports whether the task was assigned or reported under the
// present boot of its host's machine.
func (s *State) heardSinceBoot(t *Task) bool {
	host := s.Host(t.Host)
	return host == nil || t.Session >= host.BootSession
}
