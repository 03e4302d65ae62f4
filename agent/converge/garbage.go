package converge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// adoptOrphan takes up something of ours that neither the wanted state nor the
// journal knows. It is left alone until a voter has told what is wanted.
func (m *Machine) adoptOrphan(id fleet.TaskID, what string) *task {
	t := &task{id: id, phase: phaseStarting, deferral: deferOrphan, spec: taskSpec{orphan: true, orphanSince: m.stamp()}}
	m.tasks[id] = t
	m.recordNote(id, NoteOrphan, what)
	return t
}

// recognise makes an orphan a task of this host, since the fleet has named it. Its
// attempt is the one that its containers were started under.
func (m *Machine) recognise(t *task) {
	t.deferral, t.spec.orphan = deferNone, false
	if !t.any(func(c *container) bool { return c.state != cNone }) {
		return
	}
	for _, c := range t.containers {
		t.start.attempt = max(t.start.attempt, c.start.attempt)
	}
	for _, c := range t.containers {
		m.journalAnew(t, c, t.start.attempt)
	}
}

// considerOrphan ends an orphan that a voter with a complete list has left
// unnamed for long.
func (m *Machine) considerOrphan(t *task) {
	if m.voters.synced && m.now.Mono >= t.spec.orphanSince+orphanAfter {
		t.deferral = deferNone
		m.end(t, 0, fmt.Sprintf("unknown to the fleet for %s", orphanAfter))
	}
}

// sawLeft takes up networks, cgroups and logs that belong to no task.
func (m *Machine) sawLeft(f *Found) {
	for _, id := range f.Networks {
		if t := m.tasks[id]; t != nil {
			t.sandbox.network = networkMade
		} else if !slices.Contains(m.relist.forgot, id) {
			m.adoptOrphan(id, "a network").sandbox.network = networkMade
		}
	}
	for _, id := range f.Cgroups {
		if m.tasks[id] == nil && !slices.Contains(m.relist.forgot, id) {
			m.adoptOrphan(id, "a cgroup")
		}
	}
	m.sawLogs(f.Logs)
}

// collectable says why the remains of a stopped task must stay; empty when they
// need not. The fleet must know of the end, and this host's disk must no longer
// want the task, or a restart could begin it again.
func (m *Machine) collectable(t *task) string {
	switch {
	case t.spec.orphan:
		return ""
	case !t.report.acked || t.report.known.Status != fleet.TaskStopped:
		return "the fleet has not confirmed that it heard of the end"
	case !t.spec.gone:
		return "the fleet still lists it"
	case m.wants.saved < t.spec.goneGen:
		return "waiting for the wanted state to be on disk"
	}
	return ""
}

// collect removes what is left of a stopped task: its containers, then what they
// shared.
func (m *Machine) collect(t *task) {
	if t.phase == phaseStopped {
		if t.status.why = m.collectable(t); t.status.why != "" {
			return
		}
		t.phase = phaseRemoving
	}
	switch {
	case m.deleteContainers(t):
	case t.sandbox.network == networkMade:
		m.doSandbox(t, withinNetwork, TeardownNetwork{})
	case !t.sandbox.cgroupGone:
		m.doSandbox(t, withinQuick, RemoveCgroup{})
	default:
		m.forget(t)
	}
}

// deleteContainers deletes the containers of a stopped task and reports whether
// any is left.
func (m *Machine) deleteContainers(t *task) bool {
	left := false
	for _, c := range t.containers {
		if c.state == cNone && c.step.effect == 0 {
			continue
		}
		left = true
		if !m.heldUp(t, c) {
			m.do(t, c, withinDelete, Delete{Container: c.id})
		}
	}
	return left
}

// forget drops a task for good. Its logs stay a while.
func (m *Machine) forget(t *task) {
	m.freeSlot(t)
	if t.spec.orphan {
		m.recordNote(t.id, NoteOrphanGone, t.stop.reason)
	} else {
		m.journal(Record{Kind: RecordForget, Task: t.id})
	}
	delete(m.tasks, t.id)
	m.relist.forgot = append(m.relist.forgot, t.id)
	m.logs.keep(t.id, m.now.Mono)
}

func (m *Machine) deleted(t *task, id string, d Done) {
	c := t.byID(id)
	if c == nil {
		return
	}
	switch {
	case d.Err == nil || errors.Is(d.Err, port.ErrNotFound):
		m.gone(c)
	case errors.Is(d.Err, port.ErrRunning):
		// It lives although it was thought to have ended: end it properly first.
		c.state, c.leftover, c.seen.learned, c.seen.asked = cUnknown, false, m.seq, m.now.Mono
		m.relist.want = true
		if t.phase == phaseRemoving {
			t.phase = phaseStopping
		}
		m.again(t, &c.step, fmt.Errorf("delete %s: %w", c.name, d.Err))
	default:
		m.again(t, &c.step, fmt.Errorf("delete %s: %w", c.name, d.Err))
	}
}

// gone takes note that a container was deleted.
func (m *Machine) gone(c *container) {
	if c.state == cCreated {
		c.stop.reason = cmp.Or(c.stop.reason, "never started")
		c.ended(m.now.Wall)
	}
	c.state, c.leftover, c.seen.ever, c.seen.learned = cNone, false, false, m.seq
	c.step.succeeded()
}

func (m *Machine) cgroupGone(t *task, d Done) {
	if d.Err != nil {
		m.again(t, &t.sandbox.step, fmt.Errorf("remove cgroup: %w", d.Err))
		return
	}
	t.sandbox.step.succeeded()
	t.sandbox.cgroup, t.sandbox.cgroupGone = "", true
}
