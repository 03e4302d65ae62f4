package service

import (
	"slices"

	"skein/raftfsm/fleet"
)

// serviceTasks is a service's tasks that are to run and count, sorted by what may be
// done with them and by where they stand: what is looked at where some must stop. One
// task is added or removed in O(log tasks), so that the tasks of a large service that
// rolls need not be sorted anew for each event (Index).
type serviceTasks struct {
	service *fleet.Service // of the time when they were sorted
	goals   *fleet.Goals   //
	now     fleet.Time     //
	groups  []group        // a group of each kind for each revision of the goals, then those of what is left over
	members map[fleet.TaskID]*member
	hosts   map[fleet.HostID]*hostCount
	nowhere *hostCount // for tasks without a host
	zones   map[string]*zoneCount
	checked map[fleet.TaskDefID]bool
	keptAs  int // the number of tasks that Index counts it as
}

// member is a task that counts, with where it stands.
type member struct {
	task  *fleet.Task
	group int
	at    *hostCount
	heap  *hostHeap
	place int // on heap
}

// hostCount is a host with the number of the service's tasks that are to run there. Of
// tasks without a host, host is nil and tasks is 0.
type hostCount struct {
	host  *fleet.Host
	zone  *zoneCount
	tasks int
	heaps []*hostHeap // one for each group that has tasks here
}

type zoneCount struct {
	name  string
	tasks int
}

// sorted looks at every live task of the service once.
func sorted(s *fleet.State, service *fleet.Service, goals *fleet.Goals, now fleet.Time) *serviceTasks {
	nowhere := &hostCount{zone: &zoneCount{}}
	t := &serviceTasks{
		service: service, goals: goals, now: now,
		groups:  make([]group, (len(goals.Revisions)+1)*int(kinds)),
		members: map[fleet.TaskID]*member{},
		hosts:   map[fleet.HostID]*hostCount{},
		nowhere: nowhere,
		zones:   map[string]*zoneCount{},
		checked: map[fleet.TaskDefID]bool{},
	}
	for task := range s.LiveTasksOfService(service.Name) {
		t.add(s, task)
	}
	return t
}

// sortedAs reports whether the tasks are sorted as they would be for a service and its
// goals as they are now.
func (t *serviceTasks) sortedAs(service *fleet.Service, goals *fleet.Goals) bool {
	same := func(a, b fleet.RevisionGoal) bool { return a.Revision == b.Revision && a.Held == b.Held }
	return t.service.GraceS == service.GraceS && slices.EqualFunc(t.goals.Revisions, goals.Revisions, same)
}

// add sorts a task in, if it counts.
func (t *serviceTasks) add(s *fleet.State, task *fleet.Task) {
	if task.Desired != fleet.TaskRunning {
		return // stopping, by order or by itself
	}
	at := t.locate(s, task)
	if !at.reaches(task) {
		return // neither running nor pending (cmd/skein/DESIGN.md "Counts"); see countCutOff
	}
	m := &member{task: task, at: at, group: t.groupOf(s, task)}
	t.members[task.ID] = m
	t.push(m)
	t.count(at, 1)
}

// remove forgets a task.
func (t *serviceTasks) remove(id fleet.TaskID) {
	if m := t.members[id]; m != nil {
		t.leave(m)
	}
}

// removeHost forgets a host and its tasks.
func (t *serviceTasks) removeHost(id fleet.HostID) {
	at := t.hosts[id]
	if at == nil {
		return
	}
	for len(at.heaps) > 0 {
		t.leave(at.heaps[0].tasks[0])
	}
	delete(t.hosts, id)
}

// leave takes a task out, as one that stops.
func (t *serviceTasks) leave(m *member) {
	delete(t.members, m.task.ID)
	t.pull(m)
	t.count(m.at, -1)
}

// groupOf is the place in groups of a task that counts.
func (t *serviceTasks) groupOf(s *fleet.State, task *fleet.Task) int {
	k := t.kindOf(s, task)
	i := slices.IndexFunc(t.goals.Revisions, func(r fleet.RevisionGoal) bool { return r.Revision == task.Revision })
	switch {
	case i < 0:
		return t.group(t.leftover(), aged(k))
	case task.Replace != nil && !t.goals.Revisions[i].Held:
		return t.group(i, aged(k))
	default:
		return t.group(i, k)
	}
}

// group is the place of a kind of a revision, by its number in the goals, or of leftover.
func (t *serviceTasks) group(revision int, k kind) int { return revision*int(kinds) + int(k) }

// leftover stands for the revisions that are not in the goals.
func (t *serviceTasks) leftover() int { return len(t.goals.Revisions) }

// locate returns where a task stands.
func (t *serviceTasks) locate(s *fleet.State, task *fleet.Task) *hostCount {
	if task.Host == "" {
		return t.nowhere
	}
	at := t.hosts[task.Host]
	if at == nil {
		host := s.Host(task.Host)
		zone := t.zones[host.Zone]
		if zone == nil {
			zone = &zoneCount{name: host.Zone}
			t.zones[host.Zone] = zone
		}
		at = &hostCount{host: host, zone: zone}
		t.hosts[task.Host] = at
	}
	return at
}

// reaches is State.Reachable for a task whose host is at hand.
func (at *hostCount) reaches(task *fleet.Task) bool {
	return at.host == nil || at.host.Reachable() && task.Session >= at.host.BootSession
}

// kindOf is the kind of a task that counts. Its answer to "healthy" is that of
// State.Healthy, without looking up host and definition for each of a hundred
// thousand tasks.
func (t *serviceTasks) kindOf(s *fleet.State, task *fleet.Task) kind {
	if task.Host == "" {
		return kindUnplaced
	}
	if task.Last < fleet.TaskRunning {
		return kindPending
	}
	switch checked := t.hasChecks(s, task.TaskDef); {
	case task.WellAt(t.now, checked):
		return kindHealthy
	case task.Failing(checked) && t.now >= task.StartedAt+fleet.Time(t.service.GraceS)*1000:
		return kindUnhealthy
	default:
		return kindStarting // State.Due brings it back when its time is over
	}
}

func (t *serviceTasks) hasChecks(s *fleet.State, id fleet.TaskDefID) bool {
	checked, known := t.checked[id]
	if !known {
		checked = s.TaskDef(id).Checked()
		t.checked[id] = checked
	}
	return checked
}
