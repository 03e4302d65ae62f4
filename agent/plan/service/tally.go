package service

import "skein/raftfsm/fleet"

// kind sorts a service's tasks by what may be done with them. Kinds are in the
// order in which tasks of one decision stop: what serves least goes first.
type kind uint8

const (
	kindUnplaced  kind = iota // current, no host yet
	kindPending               // current, below RUNNING
	kindFresh                 // current, RUNNING, health not known yet
	kindUnhealthy             // current
	kindHealthy               // current
	oldPending
	oldUnhealthy
	oldFresh
	oldHealthy
	kinds
)

// tally is a service's tasks counted and sorted.
type tally struct {
	numbers
	tasks [kinds][]*fleet.Task // by id
	// all are the tasks that are to run wherever they are; a service that drains
	// stops them all.
	all []*fleet.Task
	// zone and host of the tasks that are to run on reachable hosts.
	zones map[string]int
	hosts map[fleet.HostID]int
	place map[fleet.HostID]*fleet.Host
}

// count looks at every live task of the service once.
func count(s *fleet.State, service *fleet.Service, now fleet.Time) *tally {
	t := &tally{
		zones: map[string]int{},
		hosts: map[fleet.HostID]int{},
		place: map[fleet.HostID]*fleet.Host{},
		numbers: numbers{
			desired: service.Desired,
			lower:   service.Lower(),
			upper:   service.Upper(),
			backOff: service.NotBefore > now,
		},
	}
	for task := range s.LiveTasksOfService(service.Name) {
		if task.Desired != fleet.TaskRunning {
			continue // stopping, by order or by itself
		}
		t.all = append(t.all, task)
		if !t.locate(s, task) {
			continue
		}
		k := kindOf(s, service, task, now)
		if task.Revision != service.Revision {
			k = aged(k)
		}
		t.tasks[k] = append(t.tasks[k], task)
	}
	t.current = group{
		pending:   len(t.tasks[kindUnplaced]) + len(t.tasks[kindPending]),
		fresh:     len(t.tasks[kindFresh]),
		healthy:   len(t.tasks[kindHealthy]),
		unhealthy: len(t.tasks[kindUnhealthy]),
	}
	t.old = group{
		pending:   len(t.tasks[oldPending]),
		fresh:     len(t.tasks[oldFresh]),
		healthy:   len(t.tasks[oldHealthy]),
		unhealthy: len(t.tasks[oldUnhealthy]),
	}
	return t
}

// locate counts a task on its host and zone; false says that it is not
// reachable there, so that it is neither running nor pending (MECHANICS 3).
func (t *tally) locate(s *fleet.State, task *fleet.Task) bool {
	if task.Host == "" {
		return true
	}
	host, known := t.place[task.Host]
	if !known {
		host = s.Host(task.Host)
		t.place[task.Host] = host
	}
	if !s.Reachable(task) {
		return false
	}
	t.zones[host.Zone]++
	t.hosts[host.ID]++
	return true
}

func kindOf(s *fleet.State, service *fleet.Service, task *fleet.Task, now fleet.Time) kind {
	switch {
	case task.Host == "":
		return kindUnplaced
	case task.Last < fleet.TaskRunning:
		return kindPending
	case s.Healthy(task, now):
		return kindHealthy
	case task.Health == fleet.HealthUnhealthy && s.TaskDef(task.TaskDef).Checked() && now >= task.StartedAt+fleet.Time(service.GraceS)*1000:
		return kindUnhealthy
	default:
		return kindFresh // State.Due brings it back when its time is over
	}
}

// aged is the kind of a task that is not of the current revision.
func aged(k kind) kind {
	switch k {
	case kindUnplaced, kindPending:
		return oldPending
	case kindFresh:
		return oldFresh
	case kindUnhealthy:
		return oldUnhealthy
	default:
		return oldHealthy
	}
}
