package service

import "skein/raftfsm/fleet"

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

// inputsOf counts a service's tasks by the sums that State keeps.
func inputsOf(s *fleet.State, service *fleet.Service, goals *fleet.Goals, now fleet.Time) inputs {
	n := inputs{
		revisions:  make([]revisionInputs, len(goals.Revisions)),
		most:       goals.Max,
		minHealthy: service.MinHealthy(),
		apart:      apart(goals.Revisions),
	}
	for i, goal := range goals.Revisions {
		var moving taskCounts
		if !goal.Held {
			moving = countsOf(s.ToReplaceAt(service.Name, goal.Revision, now))
		}
		current := countsOf(s.CountsAt(service.Name, goal.Revision, now)).minus(moving)
		n.revisions[i] = revisionInputs{goal: goal, current: current, moving: moving,
			backOff: s.NotBefore(service, goal.Revision) > now}
		if goal.Idle {
			n.idle = n.idle.plus(current)
		} else {
			n.current = n.current.plus(current)
		}
	}
	n.old = countsOf(s.CountsAt(service.Name, "", now)).minus(n.current).minus(n.idle)
	n.countCutOff(s, service, now)
	return n
}

func countsOf(n fleet.Counts) taskCounts {
	return taskCounts{pending: n.Pending, starting: n.Running - n.Serving - n.Failing, healthy: n.Serving,
		unhealthy: n.Failing}
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
