package converge

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// The signals of a stop, by their numbers on every Linux.
const (
	sigKill = 9
	sigTerm = 15 // of an image that names no other
)

// end decides that a task ends, for a reason of the host's own. The first
// decision stands.
func (m *Machine) end(t *task, code fleet.StopCode, reason string) {
	m.fall(t, &stopState{code: code, reason: clip(reason), at: m.now.Wall})
}

// endAsked ends a task because the fleet wants it stopped. State has the code
// and the reason.
func (m *Machine) endAsked(t *task) {
	m.fall(t, &stopState{at: m.now.Wall})
}

// endUnlisted ends a task that a snapshot no longer has.
func (m *Machine) endUnlisted(t *task) {
	m.fall(t, &stopState{reason: "not wanted any more: absent at " + m.wants.at.String(), at: m.now.Wall})
}

func (m *Machine) fall(t *task, s *stopState) {
	if t.phase != phaseStarting {
		return
	}
	t.phase, t.stop = phaseStopping, s
	t.resetAttempt()
	m.freeSlot(t)
	if t.traced() || !t.spec.orphan {
		t.stop.record = m.journal(Record{Kind: RecordStop, Task: t.id, Attempt: t.start.attempt, At: s.at, Code: s.code, Reason: s.reason, Exits: t.exitList()})
	}
	m.recordNote(t.id, NoteTaskStopping, s.reason)
	m.touch(t)
}

// stepStop takes a task one step nearer to its end.
func (m *Machine) stepStop(t *task) {
	m.setStatus(t, fleet.TaskDeactivating)
	if m.unsettled(t) {
		t.status.why = "its journal line has no container: waiting for the runtime to settle"
		return
	}
	if m.stopContainers(t) {
		return
	}
	m.setStatus(t, fleet.TaskDeprovisioning)
	if t.sandbox.network == networkMade {
		m.do(t, withinNetwork, TeardownNetwork{})
		return
	}
	m.ended(t)
}

// stopContainers sends what is due to containers that live, last one first, and
// reports whether any is left.
func (m *Machine) stopContainers(t *task) bool {
	left := false
	for _, c := range slices.Backward(t.containers) {
		if c.leftover || c.state == cNone || c.state == cExited {
			continue
		}
		left = true
		if !m.runtime.up {
			t.status.why = "container runtime does not answer"
			return true
		}
		if c.state == cUnknown {
			t.status.why = "the runtime did not answer whether " + c.name + " exists"
			continue
		}
		if c.state == cCreated {
			m.do(t, withinDelete, Delete{Container: c.id}) // it has not run: nothing to be gentle with
			return true
		}
		if signal := m.signalDue(t, c); signal != 0 {
			m.setStatus(t, fleet.TaskStopping)
			m.do(t, withinQuick, Signal{Container: c.id, Number: signal, All: c.termed != 0})
			return true
		}
	}
	if left && m.now.Mono >= m.relist.last+relistWhileStopping {
		m.relist.want = true // an exit event may have been lost
	}
	return left
}

// signalDue is the signal a living container is to get now; 0 for none.
func (m *Machine) signalDue(t *task, c *container) int {
	switch {
	case c.killed != 0:
		if m.now.Mono >= c.rekilled+rekillEvery {
			return sigKill
		}
		return 0
	case c.termed == 0 && c.stopSignal != 0:
		return c.stopSignal
	case c.termed == 0:
		return sigTerm
	case m.now.Mono >= c.termed+t.grace(c):
		return sigKill
	}
	return 0
}

// signalNext is when the next signal to a container is due.
func (t *task) signalNext(c *container) time.Duration {
	switch {
	case c.killed != 0:
		return c.rekilled + rekillEvery
	case c.termed != 0:
		return c.termed + t.grace(c)
	}
	return noTime
}

// grace is what is left of a container's time after SIGTERM, counting what an
// agent before this one let pass.
func (t *task) grace(c *container) time.Duration {
	return max(c.grace()-t.stop.elapsed, min(c.grace(), graceLeast))
}

func (m *Machine) signalled(t *task, do Signal, d Done) {
	c := t.byID(do.Container)
	if c == nil {
		return
	}
	if errors.Is(d.Err, port.ErrNotFound) {
		m.relist.want = true // gone; lists will say so
	}
	if d.Err != nil && (do.All || unknown(d.Err)) {
		m.again(t, fmt.Errorf("signal %d to %s: %w", do.Number, c.name, d.Err))
		return
	}
	t.resetAttempt()
	if !do.All {
		c.termed = m.stamp() // an error other than silence: SIGKILL will follow
		return
	}
	if c.killed == 0 {
		c.killed = m.stamp()
	}
	c.rekilled = m.stamp()
}

// stuck says which container outlived SIGKILL for too long; empty for none.
func (m *Machine) stuck(t *task) string {
	for _, c := range t.containers {
		if c.living() && !c.leftover && c.killed != 0 && m.now.Mono >= c.killed+stuckAfter {
			return fmt.Sprintf("stuck: container %s still runs %s after SIGKILL", c.name, stuckAfter)
		}
	}
	return ""
}

func (m *Machine) networkGone(t *task, d Done) {
	if d.Err != nil {
		m.again(t, fmt.Errorf("tear down network: %w", d.Err))
		return
	}
	t.resetAttempt()
	t.sandbox.network, t.sandbox.ready = networkNone, false
}

// ended makes an end final, once it is on disk.
func (m *Machine) ended(t *task) {
	if !m.endOnDisk(t) {
		return
	}
	t.phase = phaseStopped
	if t.status.last < fleet.TaskStopped {
		t.status.stoppedAt = m.now.Wall
		m.recordNote(t.id, NoteTaskStopped, t.stop.reason)
	}
	m.setStatus(t, fleet.TaskStopped)
	m.touch(t)
}

// exitList is how the containers ended, as far as is known: all of them once
// the task has stopped.
func (t *task) exitList() []fleet.ContainerExit {
	var list []fleet.ContainerExit
	for _, c := range t.containers {
		e := fleet.ContainerExit{Container: c.name, Code: c.code, Reason: c.reason}
		if c.code == nil && c.reason == "" {
			e = t.remembered(e)
		}
		if e.Code != nil || e.Reason != "" || t.status.last == fleet.TaskStopped {
			list = append(list, e)
		}
	}
	return list[:min(len(list), fleet.MaxContainers)] // more were found than a definition has
}

// remembered is what an agent before this one knew of a container's end.
func (t *task) remembered(e fleet.ContainerExit) fleet.ContainerExit {
	if t.stop == nil {
		return e
	}
	for _, old := range t.stop.exits {
		if old.Container == e.Container {
			return old
		}
	}
	return e
}
