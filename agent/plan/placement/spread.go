package placement

import "skein/raftfsm/fleet"

// tasks is how many tasks of a class stand somewhere: of its revision, and of
// its service whatever the revision. The revision counts first, so that a
// rolled-over service ends spread, wherever its old tasks stood.
type tasks struct{ revision, service int }

func (a tasks) less(b tasks) bool {
	if a.revision != b.revision {
		return a.revision < b.revision
	}
	return a.service < b.service
}

func (a tasks) plus(b tasks) tasks { return tasks{a.revision + b.revision, a.service + b.service} }

// spread counts a service's tasks by zone and host: those in State, and those
// placed in this pass. Standalone tasks count only what this pass places.
type spread struct {
	capacity *fleetCapacity
	service  string
	revision fleet.RevisionID
	uniform  bool // all tasks in State are of the revision: State's own counts do
	bare     bool // no host has a task of the service in State
	zones    []tasks
	hosts    map[fleet.HostID]tasks // uniform: only those placed in this pass
	placed   map[fleet.HostID]int   // of the service, in this pass
	asked    int                    // hosts that State was asked about, one by one
	inState  []int32                // by host: tasks in State; nil until many hosts are asked about
}

// askedMost is how many hosts are asked about one by one before all tasks of the
// service are counted in one go: a look-up costs as much as ten tasks.
const askedMost = 32

// spreadOf counts for the next class. Another revision of the same service goes
// on from what this pass placed before.
func (r *fleetCapacity) spreadOf(c *class, before *spread) *spread {
	s := &spread{capacity: r, service: c.service, revision: c.revision, zones: make([]tasks, len(r.zones)),
		hosts: map[fleet.HostID]tasks{}, placed: map[fleet.HostID]int{}}
	if c.service == "" {
		return s
	}
	if before != nil && before.service == c.service {
		s.placed = before.placed
	}
	all, own := r.state.Counts(c.service, ""), r.state.Counts(c.service, c.revision)
	s.uniform = len(s.placed) == 0 && all.Pending+all.Running == own.Pending+own.Running
	if s.uniform {
		byName := r.state.TasksByZone(c.service)
		s.bare = len(byName) == 0 && all.Running+all.Unreachable == 0
		for i, z := range r.zones {
			s.zones[i] = tasks{byName[z.name], byName[z.name]}
		}
		return s
	}
	s.countAll()
	return s
}

// countAll looks at every task of the service: only while revisions are mixed.
func (s *spread) countAll() {
	count := func(id fleet.HostID, n tasks, here bool) {
		s.hosts[id] = s.hosts[id].plus(n)
		if i, ok := s.capacity.byID[id]; ok && here {
			zone := s.capacity.hosts[i].zone
			s.zones[zone] = s.zones[zone].plus(n)
		}
	}
	for task := range s.capacity.state.LiveTasksOfService(s.service) {
		if task.Host == "" || task.Desired != fleet.TaskRunning {
			continue
		}
		n := tasks{service: 1}
		if task.Revision == s.revision {
			n.revision = 1
		}
		count(task.Host, n, s.capacity.state.Reachable(task))
	}
	for id, n := range s.placed {
		count(id, tasks{service: n}, true)
	}
}

func (s *spread) onHost(h *hostCapacity) tasks {
	n := s.hosts[h.host.ID]
	if s.uniform && !s.bare {
		before := s.before(h.host.ID)
		n = n.plus(tasks{before, before})
	}
	return n
}

// before is how many tasks of the service a host has in State.
func (s *spread) before(id fleet.HostID) int {
	state := s.capacity.state
	if s.inState == nil {
		s.asked++
		all := state.Counts(s.service, "")
		if s.asked < askedMost || all.Total > 8*len(s.capacity.hosts) {
			return state.TasksOnHost(s.service, id)
		}
		s.inState = make([]int32, len(s.capacity.hosts))
		for task := range state.LiveTasksOfService(s.service) {
			if i, ok := s.capacity.byID[task.Host]; ok && task.Desired == fleet.TaskRunning {
				s.inState[i]++
			}
		}
	}
	return int(s.inState[s.capacity.byID[id]])
}

func (s *spread) take(h *hostCapacity) {
	one := tasks{1, 1}
	s.hosts[h.host.ID] = s.hosts[h.host.ID].plus(one)
	s.zones[h.zone] = s.zones[h.zone].plus(one)
	s.placed[h.host.ID]++
}
