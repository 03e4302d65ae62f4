package converge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// LabelBoot is the label that tells in which boot a container was made.
const LabelBoot = "skein.boot"

// stepStart takes a task one step nearer to running.
func (m *Machine) stepStart(t *task) {
	if !m.checkStarted(t) {
		return
	}
	if m.fallen(t) {
		return
	}
	if t.raised() {
		m.keep(t)
		return
	}
	if why := m.mayStart(t); why != "" {
		t.status.why = why
		return
	}
	m.setStatus(t, fleet.TaskPending)
	if t.needsImages() && !m.haveImages(t) || !m.listOnDisk(t) {
		return
	}
	if !m.takeSlot(t) {
		t.status.why = fmt.Sprintf("waiting for one of %d starts in flight", m.cfg.Limits.Starts)
		return
	}
	m.startStep(t)
}

// mayStart says why a task that is not up may not be taken further, if so.
func (m *Machine) mayStart(t *task) string {
	switch {
	case t.spec.wanted == nil || t.spec.def == nil:
		return "found half started, and no wanted state tells what it is"
	case !m.runtime.up:
		return "container runtime does not answer"
	}
	return ""
}

// listOnDisk reports whether the list that names the task is durable: a start
// that the next agent would know nothing about is not begun.
func (m *Machine) listOnDisk(t *task) bool {
	if m.wants.saved >= t.spec.listedGen {
		return true
	}
	t.status.why = "waiting for the wanted state to be on disk"
	if d := m.disk.failing; d != 0 && m.now.Mono >= d+journalGiveUp {
		m.end(t, fleet.StopTaskFailedToStart, "ResourceInitializationError: "+m.disk.err.Error())
	}
	return false
}

// fallen ends a task that has lost an essential container, or its last one.
func (m *Machine) fallen(t *task) bool {
	ended := 0
	for _, c := range t.containers {
		if c.leftover || c.state != cExited {
			continue
		}
		ended++
		if c.def != nil && c.essential() {
			m.end(t, fleet.StopEssentialContainerExited, "Essential container in task exited: "+c.exitSummary())
			return true
		}
	}
	if ended > 0 && ended == len(t.containers) {
		m.end(t, fleet.StopEssentialContainerExited, "All containers in task exited")
		return true
	}
	return false
}

// exitSummary is how a container ended, in one line.
func (c *container) exitSummary() string {
	s := c.name
	if c.code != nil {
		s += fmt.Sprintf(" exited with code %d", *c.code)
	}
	if c.reason != "" {
		s += " (" + c.reason + ")"
	}
	return s
}

// raised reports whether every container was let run.
func (t *task) raised() bool {
	for _, c := range t.containers {
		if c.leftover || c.state < cRunning {
			return false
		}
	}
	return len(t.containers) > 0
}

// keep looks after a task that runs.
func (m *Machine) keep(t *task) {
	if t.status.last < fleet.TaskRunning {
		m.freeSlot(t)
		m.running(t)
	}
	if t.sandbox.ready || t.mode() == fleet.NetworkHost || m.now.Mono < t.sandbox.retryAt || !m.runtime.up || t.joinPID() == 0 {
		return
	}
	m.setupNetwork(t) // found again: repair, and learn the address
}

func (m *Machine) running(t *task) {
	m.setStatus(t, fleet.TaskRunning)
	if t.start.found {
		t.status.startedAt = t.start.at
		m.recordNote(t.id, NoteTaskFound, "")
		m.holdReport(t)
		return
	}
	t.status.startedAt = m.now.Wall
	m.recordNote(t.id, NoteTaskStarted, fmt.Sprintf("attempt %d", t.start.attempt))
}

// startStep begins the next step of a start: record, cgroup, containers,
// network, processes.
func (m *Machine) startStep(t *task) {
	if t.start.journal != journaledDurably {
		if t.start.journal == notJournaled {
			t.start.attempt = max(t.start.attempt, 1)
			t.start.journal, t.start.at = journaling, m.now.Wall
			m.journal(Record{Kind: RecordStart, Task: t.id, Attempt: t.start.attempt, Boot: m.cfg.Boot, At: m.now.Wall})
		}
		t.status.why = "waiting for the journal"
		return
	}
	for _, c := range t.containers {
		switch {
		case c.leftover:
			m.do(t, withinDelete, Delete{Container: c.id})
			return
		case c.state == cUnknown:
			t.status.why = "the runtime did not answer whether " + c.name + " exists"
			return
		case c.state == cNone && t.sandbox.cgroup == "":
			m.do(t, withinQuick, PrepareCgroup{Bounds: boundsOf(t.spec.def)})
			return
		case c.state == cNone:
			m.do(t, withinCreate, Create{Spec: m.spec(t, c)})
			return
		}
	}
	if !t.sandbox.ready && t.mode() != fleet.NetworkHost {
		m.setupNetwork(t)
		return
	}
	for _, c := range t.containers {
		if c.state == cCreated {
			m.setStatus(t, fleet.TaskActivating)
			t.start.found = false
			m.do(t, withinStart, Start{Container: c.id})
			return
		}
	}
}

func (m *Machine) setupNetwork(t *task) {
	t.sandbox.network = networkMade
	m.do(t, withinNetwork, SetupNetwork{Spec: port.NetworkSpec{Task: t.id, PID: t.joinPID(), Mode: t.mode(), Ports: t.ports()}})
}

func (t *task) ports() []fleet.PortBinding {
	if t.spec.wanted == nil {
		return nil
	}
	return t.spec.wanted.Ports
}

func (m *Machine) cgroupPrepared(t *task, d Done) {
	if d.Err == nil {
		t.sandbox.cgroup = d.Path
		t.resetAttempt()
		return
	}
	m.stepFailed(t, fmt.Errorf("ResourceInitializationError: prepare cgroup: %w", d.Err))
}

func (m *Machine) networked(t *task, d Done) {
	if d.Err == nil {
		t.sandbox.ready, t.sandbox.addr = true, d.Addr
		t.resetAttempt()
		return
	}
	err := fmt.Errorf("ContainerNetworkingError: set up network: %w", d.Err)
	if t.status.last >= fleet.TaskRunning {
		t.sandbox.retryAt = m.now.Mono + retryBackOffCap // it runs; a repair may wait
		m.recordNote(t.id, NoteRetry, err.Error())
		return
	}
	m.stepFailed(t, err)
}

// stepFailed has an idempotent step of a start tried again a few times.
func (m *Machine) stepFailed(t *task, err error) {
	m.again(t, err)
	if t.step.tries >= stepTries && t.phase == phaseStarting {
		m.end(t, fleet.StopTaskFailedToStart, err.Error())
	}
}

func (m *Machine) created(t *task, do Create, d Done) {
	c := t.byID(do.Spec.ID)
	if c == nil {
		return
	}
	c.learned = m.seq
	switch {
	case d.Err == nil:
		c.state, c.pid, c.leftover, c.seen = cCreated, d.PID, false, true
		t.resetAttempt()
	case unknown(d.Err), errors.Is(d.Err, port.ErrExists):
		c.state, c.asked = cUnknown, m.now.Mono
		m.relist.want = true
	case errors.Is(d.Err, port.ErrImageNotFound) && !c.repulled:
		c.repulled = true // it was removed since it was pulled
		m.dropImage(refOf(t, c))
	case errors.Is(d.Err, port.ErrImageNotFound):
		m.failContainer(t, c, "CannotPullContainerError", fmt.Errorf("image %q: %w", do.Spec.Image.Image, d.Err))
	default:
		m.failContainer(t, c, "CannotCreateContainerError", d.Err)
	}
}

func (m *Machine) startedOne(t *task, id string, d Done) {
	c := t.byID(id)
	if c == nil || c.state != cCreated {
		return // a list has told more meanwhile
	}
	c.learned = m.seq
	switch {
	case d.Err == nil:
		c.state, c.started = cRunning, m.stamp()
		t.resetAttempt()
	case unknown(d.Err):
		c.state, c.asked = cUnknown, m.now.Mono
		m.relist.want = true
		if !errors.Is(d.Err, port.ErrRuntimeDown) {
			m.unanswered(t, c, "CannotStartContainerError") // a runtime that is away will be back
		}
	default:
		m.failContainer(t, c, "CannotStartContainerError", d.Err)
	}
}

// failContainer ends a task because one of its containers cannot be started.
func (m *Machine) failContainer(t *task, c *container, name string, err error) {
	c.reason = clip(name + ": " + err.Error())
	if t.phase == phaseStarting {
		m.end(t, fleet.StopTaskFailedToStart, c.name+": "+c.reason)
	}
}

// unknown reports whether a call may have had its effect although it failed.
func unknown(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, port.ErrRuntimeDown)
}

// clip bounds a reason and makes it text: runtimes quote what programs print.
func clip(s string) string {
	if len(s) > fleet.MaxReason {
		s = s[:fleet.MaxReason-3] + "..."
	}
	return strings.ToValidUTF8(s, "")
}
