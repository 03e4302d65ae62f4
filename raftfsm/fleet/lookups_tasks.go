package fleet

import (
	"cmp"
	"iter"
	"slices"

	"github.com/tidwall/btree"
)

// Task returns a task, or nil.
func (s *State) Task(id TaskID) *Task { return get(s.tasks, id) }

// TaskCount is the number of tasks kept, stopped ones included.
func (s *State) TaskCount() int { return s.tasks.Len() }

// Tasks yields all tasks by id.
func (s *State) Tasks() iter.Seq[*Task] { return values(s.tasks) }

// TasksAfter yields tasks with an id above after, for pages.
func (s *State) TasksAfter(after TaskID) iter.Seq[*Task] {
	return func(yield func(*Task) bool) {
		s.tasks.Ascend(after, func(id TaskID, t *Task) bool { return id == after || yield(t) })
	}
}

// TasksOfHost yields the tasks ever assigned to a host that are kept, by id.
func (s *State) TasksOfHost(host HostID) iter.Seq[*Task] {
	return func(yield func(*Task) bool) {
		all := slices.Collect(run(s.byHost, &Task{Host: host}, func(t *Task) bool { return t.Host == host }))
		slices.SortFunc(all, func(a, b *Task) int { return cmp.Compare(a.ID, b.ID) })
		for _, t := range all {
			if !yield(t) {
				return
			}
		}
	}
}

// HeldBy yields the tasks that stand on a host's list and hold their reservation
// there, by service (standalone first), then id: all not STOPPED, and the unconfirmed.
func (s *State) HeldBy(host HostID) iter.Seq[*Task] {
	return run(s.byHost, &Task{Host: host}, func(t *Task) bool { return t.Host == host && t.Held() })
}

// TasksOfService yields a service's tasks by id.
func (s *State) TasksOfService(name string) iter.Seq[*Task] {
	of := func(t *Task) bool { return t.Service == name }
	return merged(s.LiveTasksOfService(name), run(s.byService, &Task{Service: name, Last: TaskStopped}, of))
}

// LiveTasksOfService yields a service's tasks that are not STOPPED, by id.
func (s *State) LiveTasksOfService(name string) iter.Seq[*Task] {
	return run(s.byService, &Task{Service: name}, func(t *Task) bool { return t.Service == name && !t.Stopped() })
}

// Unassigned yields tasks without a host that are to run, by service (standalone
// last), task definition, then id: runs of a class stand together.
func (s *State) Unassigned() iter.Seq[*Task] {
	return func(yield func(*Task) bool) { s.unassigned.Scan(yield) }
}

// UnassignedOfService yields a service's tasks among them, in the same order.
func (s *State) UnassignedOfService(name string) iter.Seq[*Task] {
	return run(s.unassigned, &Task{Service: name}, func(t *Task) bool { return t.Service == name })
}

// UnassignedStandalone yields the standalone tasks among them, in the same order. It
// costs nothing where there are none.
func (s *State) UnassignedStandalone() iter.Seq[*Task] {
	return run(s.unassigned, &Task{}, (*Task).Standalone)
}

// UnassignedCount is the number of tasks that wait for a host.
func (s *State) UnassignedCount() int { return s.unassigned.Len() }

// run yields the rows of a tree from a pivot on for as long as they belong.
func run(tree *btree.BTreeG[*Task], from *Task, belongs func(*Task) bool) iter.Seq[*Task] {
	return func(yield func(*Task) bool) {
		tree.Ascend(from, func(t *Task) bool { return belongs(t) && yield(t) })
	}
}

// merged yields two runs, each sorted by id, as one. The second, the stopped
// tasks of an hour or so, is the short one.
func merged(a, b iter.Seq[*Task]) iter.Seq[*Task] {
	return func(yield func(*Task) bool) {
		var rest []*Task
		for t := range b {
			rest = append(rest, t)
		}
		for t := range a {
			for len(rest) > 0 && rest[0].ID < t.ID {
				if !yield(rest[0]) {
					return
				}
				rest = rest[1:]
			}
			if !yield(t) {
				return
			}
		}
		for _, t := range rest {
			if !yield(t) {
				return
			}
		}
	}
}

// Counts are tasks by what they are; Total is the sum of Pending, Running,
// Stopping and Unreachable.
type Counts struct {
	Total       int // not STOPPED
	Pending     int // to run, status below RUNNING
	Running     int // to run, RUNNING
	Stopping    int // to stop, not STOPPED yet, wherever it is
	Unreachable int // to run, not Reachable: in no other field but Total
	Healthy     int // of Running: health HEALTHY; says nothing of tasks without checks
	ToReplace   int // of Pending and Running: they must move, see Task.Replace
	Serving     int // of Running: counts as healthy for the lower bound, see [State.Healthy]
	Failing     int // of Running: its health checks fail, and its grace period is over
}

// Counts returns how many tasks of a service's revision there are at State.Now; an
// empty revision counts them all. O(1) in the number of tasks.
func (s *State) Counts(service string, revision RevisionID) Counts {
	return s.CountsAt(service, revision, s.now)
}

// CountsAt is Counts at a time that is not before State.Now. It costs a look at each
// deadline in between.
func (s *State) CountsAt(service string, revision RevisionID, now Time) Counts {
	sum := s.sumsAt(service, revision, now)
	return countsOf(sum.here, sum.away, sum.moving)
}

// ToReplaceAt is CountsAt of only those tasks that are to run, reachable and to be
// replaced.
func (s *State) ToReplaceAt(service string, revision RevisionID, now Time) Counts {
	moving := s.sumsAt(service, revision, now).moving
	moving.stopping = 0
	return countsOf(moving, taskCounts{}, moving)
}

func countsOf(here, away, moving taskCounts) Counts {
	return Counts{
		Total:       here.total() + away.total(),
		Pending:     int(here.pending),
		Running:     int(here.running),
		Stopping:    int(here.stopping + away.stopping),
		Unreachable: away.toRun(),
		Healthy:     int(here.healthy),
		ToReplace:   moving.toRun(),
		Serving:     int(here.serving),
		Failing:     int(here.failing),
	}
}

func (s *State) sumsAt(service string, revision RevisionID, now Time) revisionCounts {
	var sum revisionCounts
	if revision != "" {
		if serviceOf(revision) == service {
			sum, _ = s.ofRevision.Get(revision)
		}
	} else {
		s.ofRevision.Ascend(RevisionID(service+"/"), func(id RevisionID, n revisionCounts) bool {
			if serviceOf(id) != service {
				return false
			}
			sum = sum.add(n)
			return true
		})
	}
	if now > s.now {
		sum = sum.add(s.dueCounts(service, revision, now))
	}
	return sum
}

// dueCounts is what the reachable tasks of a service will count more at a time than
// at State.Now, by time alone.
func (s *State) dueCounts(service string, revision RevisionID, now Time) revisionCounts {
	var more revisionCounts
	subject := ServiceSubject(service)
	s.due.Ascend(deadline{at: s.now + 1}, func(d deadline) bool {
		if d.at > now {
			return false
		}
		if d.subject != subject {
			return true
		}
		if t := s.Task(d.task); t != nil && (revision == "" || t.Revision == revision) && s.Reachable(t) {
			more = more.add(hereLike(t, s.taskCountsAt(t, now).add(s.taskCountsAt(t, s.now).minus())))
		}
		return true
	})
	return more
}

// LiveRevisions yields the revisions of a service that have tasks not STOPPED,
// by id as text.
func (s *State) LiveRevisions(service string) iter.Seq[RevisionID] {
	return func(yield func(RevisionID) bool) {
		s.ofRevision.Ascend(RevisionID(service+"/"), func(id RevisionID, _ revisionCounts) bool {
			return serviceOf(id) == service && yield(id)
		})
	}
}

// TasksByZone returns, for a service, the number of its reachable tasks that are
// to run in each zone, hosts' zones only. The map is the caller's.
func (s *State) TasksByZone(service string) map[string]int {
	zones := map[string]int{}
	s.zones.Ascend(zoneCounts{service: service}, func(z zoneCounts) bool {
		if z.service != service {
			return false
		}
		zones[z.zone] = z.n
		return true
	})
	return zones
}

// TasksOnHost returns how many tasks of a service that are to run a host has,
// reachable or not. O(those, and the others of the service there).
func (s *State) TasksOnHost(service string, host HostID) int {
	n := 0
	s.byHost.Ascend(&Task{Host: host, Service: service}, func(t *Task) bool {
		if t.Host != host || t.Service != service || !t.Held() {
			return false
		}
		if t.Desired == TaskRunning && !t.Stopped() {
			n++
		}
		return true
	})
	return n
}

// ServicesOnHost yields the services that have tasks not STOPPED on a host, by
// name, each once.
func (s *State) ServicesOnHost(host HostID) iter.Seq[string] {
	return func(yield func(string) bool) {
		last := ""
		for t := range s.HeldBy(host) {
			if t.Service == last || t.Stopped() {
				continue
			}
			if last = t.Service; !yield(last) {
				return
			}
		}
	}
}

// Reserved is what a host's tasks hold; a reservation ends at STOPPED only, for
// unconfirmed tasks when the host confirms.
func (s *State) Reserved(host HostID) Resources {
	r, _ := s.reserved.Get(host)
	return r
}

// Free is capacity minus reserved; parts are negative when capacity shrank.
func (s *State) Free(host HostID) Resources {
	h := s.Host(host)
	if h == nil {
		return Resources{}
	}
	return h.Capacity.Sub(s.Reserved(host))
}

// PortTaken reports whether a host port is held by a task of the host, or is that of a
// listener, which every host has.
func (s *State) PortTaken(host HostID, protocol Protocol, port int) bool {
	_, taken := s.ports.Get(PortUse{Host: host, Protocol: protocol, Port: port})
	return taken || protocol == TCP && s.ListenerAt(port) != nil
}

// PortsOf yields the ports held on a host, by protocol, then number.
func (s *State) PortsOf(host HostID) iter.Seq[PortUse] {
	return func(yield func(PortUse) bool) {
		s.ports.Ascend(PortUse{Host: host}, func(p PortUse) bool { return p.Host == host && yield(p) })
	}
}

// Reachable reports whether a task counts as present. It does not when its host
// is silent, lost or forgotten, nor when its host's machine restarted and has
// not reported the task, at or above its recorded status, since. A task without
// a host is reachable.
func (s *State) Reachable(t *Task) bool {
	host := s.Host(t.Host)
	return host == nil || t.reachableOn(host)
}

// Healthy reports whether a task counts as healthy at a time for the lower
// bound (ECS API, DeploymentConfiguration): it is to run, RUNNING and reachable, when
// checked HEALTHY, and a healthy target of all its groups; with neither, RUNNING for 40 s.
func (s *State) Healthy(t *Task, now Time) bool {
	if t.Desired != TaskRunning || t.Last != TaskRunning || !s.Reachable(t) {
		return false
	}
	return t.WellAt(now, s.TaskDef(t.TaskDef).Checked())
}
