package fleet

import (
	"cmp"
	"slices"
)

// taskIndexing builds the indices of all tasks at once, for a State that has only
// rows. Tasks come by id. They are gathered by service first, and then, service by
// service, by host and class: that puts them in the order of each index without
// comparing them one with another, and what they name is looked up once and not once
// a task. Each tree is then loaded from its lowest item up.
type taskIndexing struct {
	s        *State
	defs     *lookup[TaskDefID, defFacts]
	services *lookup[string, *serviceTasks]
	hosts    *lookup[HostID, *hostTasks]
	waiting  map[taskClass][]*Task
	groups   map[TargetGroupName][]*Task
	stopped  []*Task
	due      []deadline
}

// hostTasks are the tasks that were given to one host, by service and id.
type hostTasks struct {
	row         *Host // nil for one that is not there any more
	held, ended []*Task
	reserved    Resources
	ports       []PortUse
}

// serviceTasks are the tasks of one service, or the standalone ones, by id.
type serviceTasks struct {
	row     *Service // nil for one that is not there any more, and for standalone tasks
	subject Subject
	tasks   []*Task
}

// taskClass is whose tasks stand together among the unassigned.
type taskClass struct {
	service string // empty: standalone
	def     TaskDefID
}

// indexTasks puts every task into the indices, which have none.
func (s *State) indexTasks() {
	x := &taskIndexing{
		s: s, defs: newLookup(s.defFacts), waiting: map[taskClass][]*Task{}, groups: map[TargetGroupName][]*Task{},
	}
	x.hosts = newLookup(func(id HostID) *hostTasks { return &hostTasks{row: s.Host(id)} })
	x.services = newLookup(func(name string) *serviceTasks {
		return &serviceTasks{row: s.Service(name), subject: ServiceSubject(name)}
	})
	for t := range s.Tasks() {
		v := x.services.get(t.Service)
		v.tasks = append(v.tasks, t)
	}
	for _, name := range keysInOrder(x.services.found, cmp.Compare) {
		if v := x.services.found[name]; name != "" {
			x.addService(name, v)
		} else {
			x.addStandalone(v)
		}
	}
	x.loadHosts()
	x.loadWaiting()
	x.loadGroups()
	x.loadTimes()
}

func (x *taskIndexing) addStandalone(v *serviceTasks) {
	for _, t := range v.tasks {
		x.add(t, x.defs.get(t.TaskDef))
	}
}

// addService adds a service's tasks, and loads the indices that begin with the service.
func (x *taskIndexing) addService(name string, v *serviceTasks) {
	revisions := newLookup(func(RevisionID) *revisionCounts { return &revisionCounts{} })
	zones := map[string]int{}
	var stopped []*Task
	for _, t := range v.tasks {
		def := x.defs.get(t.TaskDef)
		host := x.add(t, def)
		if t.Stopped() {
			stopped = append(stopped, t)
			continue
		}
		x.s.byService.Load(t)
		for _, target := range t.Targets {
			x.groups[target.Group] = append(x.groups[target.Group], t)
		}
		if at := t.dueAt(def.checked, v.row); at > x.s.now.Add(-dueKept) {
			x.due = append(x.due, deadline{at, v.subject, t.ID})
		}
		n := t.countsAt(x.s.now, def.checked, v.row)
		sum := revisions.get(t.Revision)
		switch {
		case host == nil || host.row == nil:
			*sum = sum.add(hereLike(t, n))
		case t.reachableOn(host.row):
			*sum = sum.add(hereLike(t, n))
			zones[host.row.Zone] += n.toRun()
		default:
			*sum = sum.add(revisionCounts{away: n})
		}
	}
	for _, t := range stopped {
		x.s.byService.Load(t)
	}
	for _, id := range keysInOrder(revisions.found, cmp.Compare) {
		x.s.addRevision(id, *revisions.found[id])
	}
	for _, zone := range keysInOrder(zones, cmp.Compare) {
		x.s.addZone(name, zone, zones[zone])
	}
}

// add adds a task to its host, which it returns, or to those that wait for one, and to
// those that have stopped.
func (x *taskIndexing) add(t *Task, def defFacts) (host *hostTasks) {
	if t.Host != "" {
		host = x.hosts.get(t.Host)
		host.add(t, def)
	}
	if t.unassigned() {
		class := taskClass{t.Service, t.TaskDef}
		x.waiting[class] = append(x.waiting[class], t)
	}
	if t.Stopped() {
		x.stopped = append(x.stopped, t)
	}
	return host
}

func (h *hostTasks) add(t *Task, def defFacts) {
	if !t.Held() {
		h.ended = append(h.ended, t)
		return
	}
	h.held = append(h.held, t)
	h.reserved = h.reserved.Add(def.reservation)
	for _, p := range t.Ports {
		h.ports = append(h.ports, PortUse{t.Host, p.Protocol, p.HostPort, t.ID})
	}
}

func (x *taskIndexing) loadHosts() {
	for _, id := range keysInOrder(x.hosts.found, cmp.Compare) {
		h := x.hosts.found[id]
		for _, tasks := range [][]*Task{h.held, h.ended} {
			for _, t := range tasks {
				x.s.byHost.Load(t)
			}
		}
		if h.reserved != (Resources{}) {
			x.s.reserved.Load(id, h.reserved)
		}
		slices.SortFunc(h.ports, func(a, b PortUse) int {
			return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Task, b.Task))
		})
		for _, p := range h.ports {
			x.s.ports.Load(p)
		}
	}
}

func (x *taskIndexing) loadWaiting() {
	classes := keysInOrder(x.waiting, func(a, b taskClass) int {
		if (a.service == "") != (b.service == "") { // standalone tasks come last
			return cmp.Compare(b.service, a.service)
		}
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.def, b.def))
	})
	for _, class := range classes {
		for _, t := range x.waiting[class] {
			x.s.unassigned.Load(t)
		}
	}
}

// loadGroups loads the tasks of target groups. A group that went from one service to
// another may have tasks of both, so that they do not come by id.
func (x *taskIndexing) loadGroups() {
	for _, group := range keysInOrder(x.groups, cmp.Compare) {
		tasks := x.groups[group]
		slices.SortFunc(tasks, func(a, b *Task) int { return cmp.Compare(a.ID, b.ID) })
		for _, t := range tasks {
			x.s.targets.Load(groupTask{group, t})
		}
	}
}

// loadTimes loads what is ordered by time. Deadlines of one time stay in the order of
// services and ids.
func (x *taskIndexing) loadTimes() {
	slices.SortFunc(x.stopped, func(a, b *Task) int {
		return cmp.Or(cmp.Compare(a.StoppedAt, b.StoppedAt), cmp.Compare(a.ID, b.ID))
	})
	for _, t := range x.stopped {
		x.s.stopped.Load(t)
	}
	slices.SortStableFunc(x.due, func(a, b deadline) int {
		return cmp.Or(cmp.Compare(a.at, b.at), a.subject.compare(b.subject))
	})
	for _, d := range x.due {
		x.s.due.Load(d)
	}
}

// keysInOrder are the keys of a map, which yields them in another order each time.
func keysInOrder[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}
