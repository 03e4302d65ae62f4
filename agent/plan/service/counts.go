package service

import (
	"slices"

	"skein/raftfsm/fleet"
)

// kind sorts a service's tasks by what may be done with them. Kinds are in the
// order in which tasks of one decision stop: what serves least goes first.
type kind uint8

const (
	kindUnplaced  kind = iota // current, no host yet
	kindPending               // current, below RUNNING
	kindStarting              // current, RUNNING, health not known yet
	kindUnhealthy             // current
	kindHealthy               // current
	oldPending
	oldUnhealthy
	oldStarting
	oldHealthy
	kinds
)

// serviceTasks is a service's tasks sorted: what is looked at where some must stop.
type serviceTasks struct {
	revisions []byKind // of the goals, in their order
	old       byKind
	spots     map[fleet.HostID]*hostCount
	zones     map[string]*zoneCount
	checked   map[fleet.TaskDefID]bool
}

// byKind is tasks of each kind, by id.
type byKind [kinds][]member

// member is a task that counts, with where it stands; nil for no host yet.
type member struct {
	task *fleet.Task
	at   *hostCount
}

// hostCount is a host with the number of the service's tasks that are to run there.
type hostCount struct {
	host  *fleet.Host
	zone  *zoneCount
	tasks int
}

type zoneCount struct {
	name  string
	tasks int
}

// inputsOf counts a service's tasks by the sums that State keeps.
func inputsOf(s *fleet.State, service *fleet.Service, goals *fleet.Goals, now fleet.Time) inputs {
	n := inputs{
		revisions:  make([]revisionInputs, len(goals.Revisions)),
		most:       goals.Max,
		minHealthy: service.MinHealthy(),
		backOff:    service.NotBefore > now,
	}
	for i, goal := range goals.Revisions {
		moving := countsOf(s.ToReplaceAt(service.Name, goal.Revision, now))
		current := countsOf(s.CountsAt(service.Name, goal.Revision, now)).minus(moving)
		n.revisions[i] = revisionInputs{goal: goal, current: current, moving: moving.present()}
		n.current = n.current.plus(current)
	}
	n.old = countsOf(s.CountsAt(service.Name, "", now)).minus(n.current)
	n.countCutOff(s, service, now)
	return n
}

func countsOf(n fleet.Counts) taskCounts {
	return taskCounts{pending: n.Pending, starting: n.Running - n.Serving - n.Failing, healthy: n.Serving,
		unhealthy: n.Failing}
}

// sorted looks at every live task of the service once.
func sorted(s *fleet.State, service *fleet.Service, goals *fleet.Goals, now fleet.Time) *serviceTasks {
	t := &serviceTasks{
		revisions: make([]byKind, len(goals.Revisions)),
		spots:     map[fleet.HostID]*hostCount{},
		zones:     map[string]*zoneCount{},
		checked:   map[fleet.TaskDefID]bool{},
	}
	for task := range s.LiveTasksOfService(service.Name) {
		if task.Desired != fleet.TaskRunning {
			continue // stopping, by order or by itself
		}
		at := t.locate(s, task)
		if at != nil && !at.reaches(task) {
			continue // neither running nor pending (cmd/skein/DESIGN.md "Counts"); see countCutOff
		}
		if at != nil {
			at.tasks++
			at.zone.tasks++
		}
		k, of := t.kindOf(s, service, task, now), &t.old
		if i := place(goals, task); i >= 0 {
			of = &t.revisions[i]
		} else {
			k = aged(k)
		}
		of[k] = append(of[k], member{task, at})
	}
	return t
}

// place is a task's place among the revisions of the goals; -1 for one that others
// replace.
func place(goals *fleet.Goals, task *fleet.Task) int {
	if task.Replace != nil {
		return -1
	}
	return slices.IndexFunc(goals.Revisions, func(r fleet.RevisionGoal) bool { return r.Revision == task.Revision })
}

// locate returns where a task stands; nil for no host yet.
func (t *serviceTasks) locate(s *fleet.State, task *fleet.Task) *hostCount {
	if task.Host == "" {
		return nil
	}
	at := t.spots[task.Host]
	if at == nil {
		host := s.Host(task.Host)
		zone := t.zones[host.Zone]
		if zone == nil {
			zone = &zoneCount{name: host.Zone}
			t.zones[host.Zone] = zone
		}
		at = &hostCount{host: host, zone: zone}
		t.spots[task.Host] = at
	}
	return at
}

// reaches is State.Reachable for a task whose host is at hand.
func (at *hostCount) reaches(task *fleet.Task) bool {
	return at.host.Reachable() && task.Session >= at.host.BootSession
}

// kindOf is the kind of a task that counts. Its answer to "healthy" is that of
// State.Healthy, without looking up host and definition for each of a hundred
// thousand tasks.
func (t *serviceTasks) kindOf(s *fleet.State, service *fleet.Service, task *fleet.Task, now fleet.Time) kind {
	if task.Host == "" {
		return kindUnplaced
	}
	if task.Last < fleet.TaskRunning {
		return kindPending
	}
	if !t.hasChecks(s, task.TaskDef) {
		if now >= task.StartedAt.Add(fleet.HealthySettle) {
			return kindHealthy
		}
		return kindStarting // State.Due brings it back when its time is over
	}
	switch {
	case task.Health == fleet.HealthHealthy:
		return kindHealthy
	case task.Health == fleet.HealthUnhealthy && now >= task.StartedAt+fleet.Time(service.GraceS)*1000:
		return kindUnhealthy
	default:
		return kindStarting // State.Due, as above
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

// aged is the kind of a task that others replace: it is of no revision in the goals,
// or it is to be replaced.
func aged(k kind) kind {
	switch k {
	case kindUnplaced, kindPending:
		return oldPending
	case kindStarting:
		return oldStarting
	case kindUnhealthy:
		return oldUnhealthy
	default:
		return oldHealthy
	}
}
