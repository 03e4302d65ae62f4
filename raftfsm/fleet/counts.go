package fleet

import "strings"

// How tasks are counted.
//
// A task counts for its service while it is not STOPPED. It is "away" when its
// host is silent, lost or forgotten, or when nothing was heard of it since its
// host's machine restarted (State.Reachable), and "here" otherwise; a task
// without a host is here. So that a change of a host's life costs one step per
// revision it runs and none per task, sums are kept per host and revision, and
// apart for tasks heard of before and since the last boot.

// taskCounts is a number of tasks by what they are.
type taskCounts struct {
	pending, running, stopping int32
	healthy                    int32 // of running
	replace                    int32 // of pending and running: to be replaced
}

func (t taskCounts) add(o taskCounts) taskCounts {
	return taskCounts{t.pending + o.pending, t.running + o.running, t.stopping + o.stopping, t.healthy + o.healthy, t.replace + o.replace}
}

func (t taskCounts) minus() taskCounts {
	return taskCounts{-t.pending, -t.running, -t.stopping, -t.healthy, -t.replace}
}

func (t taskCounts) toRun() int { return int(t.pending + t.running) }

func (t taskCounts) total() int { return int(t.pending + t.running + t.stopping) }

// taskCountsOf is the tally of one task.
func taskCountsOf(t *Task) taskCounts {
	var n taskCounts
	switch {
	case t.Stopped():
		return n
	case t.Desired == TaskStopped:
		n.stopping = 1
		return n
	case t.Last < TaskRunning:
		n.pending = 1
	default:
		n.running = 1
		if t.Health == HealthHealthy {
			n.healthy = 1
		}
	}
	if t.Replace != nil {
		n.replace = 1
	}
	return n
}

// hostCounts is the tasks of one revision on one host.
type hostCounts struct {
	host     HostID
	revision RevisionID
	since    taskCounts // heard of since the last boot
	before   taskCounts
}

func lessHostCounts(a, b *hostCounts) bool {
	if a.host != b.host {
		return a.host < b.host
	}
	return a.revision < b.revision
}

// revisionCounts is the tasks of one revision.
type revisionCounts struct{ here, away taskCounts }

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

func (s *State) countTask(old, t *Task) {
	if old != nil && t != nil && old.Host == t.Host && s.heardSinceBoot(old) == s.heardSinceBoot(t) {
		s.addTaskCounts(t, taskCountsOf(t).add(taskCountsOf(old).minus())) // one step instead of two
		return
	}
	if old != nil {
		s.addTaskCounts(old, taskCountsOf(old).minus())
	}
	if t != nil {
		s.addTaskCounts(t, taskCountsOf(t))
	}
}

// addTaskCounts adds what a task counts (or its negative) wherever it is counted.
func (s *State) addTaskCounts(t *Task, n taskCounts) {
	if t.Service == "" || n == (taskCounts{}) {
		return
	}
	host := s.Host(t.Host)
	if host == nil {
		s.addRevision(t.Revision, revisionCounts{here: n})
		return
	}
	h := hostCounts{host: t.Host, revision: t.Revision}
	if s.heardSinceBoot(t) {
		h.since = n
	} else {
		h.before = n
	}
	s.addOnHost(&h)
	s.addFromHost(host, &h)
}

func (s *State) addOnHost(n *hostCounts) {
	sum := *n
	if was, ok := s.onHost.Get(n); ok {
		sum.since, sum.before = was.since.add(n.since), was.before.add(n.before)
	}
	if sum.since == (taskCounts{}) && sum.before == (taskCounts{}) {
		s.onHost.Delete(n)
		return
	}
	s.onHost.Set(&sum)
}

// addFromHost adds a host's tally to the sums of its revision and zone.
func (s *State) addFromHost(host *Host, n *hostCounts) {
	if !host.Reachable() {
		s.addRevision(n.revision, revisionCounts{away: n.since.add(n.before)})
		return
	}
	s.addRevision(n.revision, revisionCounts{here: n.since, away: n.before})
	s.addZone(serviceOf(n.revision), host.Zone, n.since.toRun())
}

func (s *State) addRevision(id RevisionID, n revisionCounts) {
	sum, _ := s.ofRevision.Get(id)
	sum.here, sum.away = sum.here.add(n.here), sum.away.add(n.away)
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

// recount moves the tallies of a host's revisions from its old row to its new
// one and returns the services that count differently now.
func (s *State) recount(old, h *Host) []string {
	if old == nil || old.Reachable() == h.Reachable() && old.Zone == h.Zone && old.BootSession == h.BootSession {
		return nil
	}
	var services []string
	for _, n := range s.talliesOf(h.ID) {
		was := &hostCounts{n.host, n.revision, n.since.minus(), n.before.minus()}
		is := *n
		if old.BootSession != h.BootSession {
			is.since, is.before = taskCounts{}, n.since.add(n.before)
		}
		s.addFromHost(old, was)
		s.onHost.Set(&is)
		s.addFromHost(h, &is)
		services = append(services, serviceOf(n.revision))
	}
	return services
}

func (s *State) talliesOf(host HostID) []*hostCounts {
	var all []*hostCounts
	s.onHost.Ascend(&hostCounts{host: host}, func(n *hostCounts) bool {
		if n.host != host {
			return false
		}
		all = append(all, n)
		return true
	})
	return all
}

// heardSinceBoot reports whether the task was assigned or reported under the
// present boot of its host's machine.
func (s *State) heardSinceBoot(t *Task) bool {
	host := s.Host(t.Host)
	return host == nil || t.Session >= host.BootSession
}
