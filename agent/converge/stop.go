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
// and the reason. It leaves its target groups first.
func (m *Machine) endAsked(t *task) {
	if t.phase == phaseStarting {
		m.fallIn(t, &stopState{at: m.now.Wall}, m.drainS(t))
	}
}

// endUnlisted ends a task that a snapshot no longer has.
func (m *Machine) endUnlisted(t *task) {
	m.fall(t, &stopState{reason: "not wanted any more: absent at " + m.wants.at.String(), at: m.now.Wall})
}

func (m *Machine) fall(t *task, s *stopState) { m.fallIn(t, s, 0) }

// fallIn is fall with the seconds that the task may drain.
func (m *Machine) fallIn(t *task, s *stopState, drainS int) {
	if t.phase != phaseStarting {
		return
	}
	t.phase, t.stop = phaseStopping, s
	s.drain = m.drainFrom(0, drainS)
	t.sandbox.step.succeeded()
	for _, c := range t.containers {
		c.step.succeeded()
	}
	m.freeSlot(t)
	if t.traced() || !t.spec.orphan {
		t.stop.record = m.journal(m.stopRecord(t, drainS))
	}
	m.recordNote(t.id, NoteTaskStopping, s.reason)
	m.touch(t)
}

func (m *Machine) stopRecord(t *task, drainS int) Record {
	return Record{Kind: RecordStop, Task: t.id, Attempt: t.start.attempt, At: t.stop.at, Code: t.stop.code,
		Reason: t.stop.reason, Exits: t.exitList(), DrainS: drainS}
}

// stepStop takes a task nearer to its end.
func (m *Machine) stepStop(t *task) {
	if m.unsettled(t) {
		t.status.why = "its journal line has no container: waiting for the runtime to settle"
		return
	}
	if m.draining(t) || m.stopContainers(t) {
		return
	}
	t.stop.released = true
	if t.sandbox.network == networkMade {
		m.doSandbox(t, withinNetwork, TeardownNetwork{})
		return
	}
	m.ended(t)
}

// stopContainers takes each container that is left a step nearer to its end, last
// one first, and reports whether any is left. None waits for another.
func (m *Machine) stopContainers(t *task) bool {
	left := false
	for _, c := range slices.Backward(t.containers) {
		if !c.left() {
			continue
		}
		left = true
		if !m.heldUp(t, c) {
			m.stopContainer(t, c)
		}
	}
	if left && m.runtime.up && m.now.Mono >= m.relist.last+relistWhileStopping {
		m.relist.want = true // an exit event may have been lost
	}
	return left
}

func (m *Machine) stopContainer(t *task, c *container) {
	switch c.state {
	case cUnknown:
		t.status.why = "the runtime did not answer whether " + c.name + " exists"
	case cCreated:
		m.do(t, c, withinDelete, Delete{Container: c.id}) // it has not run: nothing to be gentle with
	default:
		if signal := m.signalDue(t, c); signal != 0 {
			c.stop.asked = true
			m.do(t, c, withinQuick, Signal{Container: c.id, Number: signal, All: c.stop.termed != 0})
		}
	}
}

// signalDue is the signal a living container is to get now; 0 for none.
func (m *Machine) signalDue(t *task, c *container) int {
	switch {
	case c.stop.killed != 0:
		if m.now.Mono >= c.stop.rekilled+rekillEvery {
			return sigKill
		}
		return 0
	case c.stop.termed == 0 && c.stop.signal != 0:
		return c.stop.signal
	case c.stop.termed == 0:
		return sigTerm
	case m.now.Mono >= c.stop.termed+t.grace(c):
		return sigKill
	}
	return 0
}

// signalNext is when the next signal to a container is due.
func (t *task) signalNext(c *container) time.Duration {
	switch {
	case c.stop.killed != 0:
		return c.stop.rekilled + rekillEvery
	case c.stop.termed != 0:
		return c.stop.termed + t.grace(c)
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
		m.again(t, &c.step, fmt.Errorf("signal %d to %s: %w", do.Number, c.name, d.Err))
		return
	}
	c.step.succeeded()
	if !do.All {
		c.stop.termed = m.stamp() // an error other than silence: SIGKILL will follow
		return
	}
	if c.stop.killed == 0 {
		c.stop.killed = m.stamp()
	}
	c.stop.rekilled = m.stamp()
}

// stuck says which container outlived SIGKILL for too long; empty for none.
func (m *Machine) stuck(t *task) string {
	for _, c := range t.containers {
		if c.living() && !c.leftover && c.stop.killed != 0 && m.now.Mono >= c.stop.killed+stuckAfter {
			return fmt.Sprintf("stuck: container %s still runs %s after SIGKILL", c.name, stuckAfter)
		}
	}
	return ""
}

func (m *Machine) networkGone(t *task, d Done) {
	if d.Err != nil {
		m.again(t, &t.sandbox.step, fmt.Errorf("tear down network: %w", d.Err))
		return
	}
	t.sandbox.step.succeeded()
	t.sandbox.network, t.sandbox.ready = networkNone, false
}

// ended makes an end final, once it is on disk.
func (m *Machine) ended(t *task) {
	if !m.endOnDisk(t) {
		return
	}
	t.phase = phaseStopped
	m.touch(t)
}

// exitList is how the containers ended, as far as is known: all of them once
// the task has stopped.
func (t *task) exitList() []fleet.ContainerExit {
	var list []fleet.ContainerExit
	for _, c := range t.containers {
		e := t.exitOf(c)
		if e.Code != nil || e.Reason != "" || t.status.last == fleet.TaskStopped {
			list = append(list, e)
		}
	}
	return list[:min(len(list), fleet.MaxContainers)] // more were found than a definition has
}

// exitOf is how a container ended, as far as is known.
func (t *task) exitOf(c *container) fleet.ContainerExit {
	e := fleet.ContainerExit{Container: c.name, Code: c.stop.code, Reason: c.stop.reason}
	if c.stop.code == nil && c.stop.reason == "" {
		return t.remembered(e)
	}
	return e
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
