package converge

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// derive brings the task's status to what its containers tell. It never falls.
func (m *Machine) derive(t *task) {
	if t.deferral != deferNone || !m.relist.done {
		return
	}
	next := t.derived()
	if next <= t.status.last {
		return
	}
	t.status.last, t.status.since = next, m.now.Wall
	switch next {
	case fleet.TaskRunning:
		m.running(t)
	case fleet.TaskStopped:
		t.status.stoppedAt = m.now.Wall
		m.recordNote(t.id, NoteTaskStopped, t.stop.reason)
	default:
	}
}

// derived is the status that the task's containers give it.
func (t *task) derived() fleet.TaskStatus {
	switch t.phase {
	case phaseStarting:
		return t.derivedStarting()
	case phaseStopping:
		return t.derivedStopping()
	default:
		return fleet.TaskStopped
	}
}

func (t *task) derivedStarting() fleet.TaskStatus {
	switch {
	case t.allStarted():
		return fleet.TaskRunning
	case t.any(func(c *container) bool { return c.start.asked || c.state >= cRunning }):
		return fleet.TaskActivating
	case t.start.pending:
		return fleet.TaskPending
	}
	return 0
}

func (t *task) derivedStopping() fleet.TaskStatus {
	switch {
	case t.stop.released:
		return fleet.TaskDeprovisioning
	case t.any(func(c *container) bool { return c.stop.asked }):
		return fleet.TaskStopping
	}
	return fleet.TaskDeactivating
}

// allStarted reports whether every container was let run.
func (t *task) allStarted() bool {
	for _, c := range t.containers {
		if c.leftover || c.state < cRunning {
			return false
		}
	}
	return len(t.containers) > 0
}

// running takes note that the task has reached RUNNING.
func (m *Machine) running(t *task) {
	if t.start.found {
		t.status.startedAt = t.start.at
		m.recordNote(t.id, NoteTaskFound, "")
		m.holdReport(t)
		return
	}
	t.status.startedAt = m.now.Wall
	m.recordNote(t.id, NoteTaskStarted, fmt.Sprintf("attempt %d", t.start.attempt))
}
