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
	if t.allStarted() {
		m.keep(t)
		return
	}
	if why := m.mayStart(t); why != "" {
		t.status.why = why
		return
	}
	t.start.pending = true
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
		return whyRuntimeDown
	}
	return ""
}

// listOnDisk reports whether the list that names the task is durable: a start
// that the next agent would know nothing about is not begun.
func (m *Machine) listOnDisk(t *task) bool {
	if m.wants.saved >= t.spec.listedGen {
		return true
	}
	t.status.why = m.waitingForDisk("waiting for the wanted state to be on disk")
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
	if c.stop.code != nil {
		s += fmt.Sprintf(" exited with code %d", *c.stop.code)
	}
	if c.stop.reason != "" {
		s += " (" + c.stop.reason + ")"
	}
	return s
}

// keep looks after a task that runs.
func (m *Machine) keep(t *task) {
	if t.status.last < fleet.TaskRunning {
		m.freeSlot(t)
	}
	if t.sandbox.ready || t.mode() == fleet.NetworkHost || m.now.Mono < t.sandbox.retryAt || !m.runtime.up ||
		t.joinPID() == 0 || !t.idle() {
		return
	}
	m.setupNetwork(t) // found again: repair, and learn the address
}

// startStep takes the next steps of a start: records, cgroup, containers, network,
// processes.
func (m *Machine) startStep(t *task) {
	switch {
	case !m.startsJournaled(t):
	case t.sandbox.cgroup == "" && t.needsCgroup():
		if t.idle() {
			m.doSandbox(t, withinQuick, PrepareCgroup{Bounds: boundsOf(t.spec.def)})
		}
	case !m.allCreated(t):
	case !t.sandbox.ready && t.mode() != fleet.NetworkHost:
		m.setupNetwork(t)
	default:
		m.startContainers(t)
	}
}

// startsJournaled reports whether the record of every start that is still to be
// made is durable. All that are not are written together.
func (m *Machine) startsJournaled(t *task) bool {
	durable := true
	for _, c := range t.containers {
		switch {
		case c.start.journal == journaledDurably:
			continue
		case c.start.journal == journaling:
			t.status.why = m.waitingForDisk("waiting for the journal")
		default:
			if t.status.why = m.waits(c); t.status.why == "" {
				t.start.attempt = max(t.start.attempt, 1)
				m.journalStart(t, c)
				t.status.why = m.waitingForDisk("waiting for the journal")
			}
		}
		durable = false
	}
	return durable
}

// journalStart has the record of a container's start written.
func (m *Machine) journalStart(t *task, c *container) {
	c.start.attempt = max(c.start.attempt, t.start.attempt)
	if !t.any(func(o *container) bool { return o.start.journal != notJournaled }) {
		t.start.at = m.now.Wall
	}
	c.start.journal = journaling
	m.journal(Record{
		Kind: RecordStart, Task: t.id, Attempt: t.start.attempt, Boot: m.cfg.Boot, At: m.now.Wall,
		Container: c.name, ContainerAttempt: c.start.attempt,
	})
}

// needsCgroup reports whether a container is to be made next.
func (t *task) needsCgroup() bool {
	for _, c := range t.containers {
		if c.leftover || c.state == cUnknown {
			return false
		}
		if c.state == cNone {
			return true
		}
	}
	return false
}

// allCreated takes each container a step towards being made, in the order of the
// definition, and reports whether all are: the first one's network namespace is
// the task's.
func (m *Machine) allCreated(t *task) bool {
	all := true
	for _, c := range t.containers {
		if !c.leftover && c.state > cUnknown && c.step.effect == 0 {
			continue
		}
		before := all
		all = false
		if why := m.waits(c); why != "" {
			t.status.why = why
			continue
		}
		switch {
		case c.leftover:
			m.do(t, c, withinDelete, Delete{Container: c.id})
		case c.state == cUnknown:
			t.status.why = "the runtime did not answer whether " + c.name + " exists"
		case c.start.unknownAt != 0:
			t.status.why = "journal record of " + c.name + " has no container: waiting for the runtime to settle"
		case before:
			m.do(t, c, withinCreate, Create{Spec: m.spec(t, c)})
		}
	}
	return all
}

// startContainers lets the next container run, in the order of the definition.
func (m *Machine) startContainers(t *task) {
	for _, c := range t.containers {
		if why := m.waits(c); why != "" {
			t.status.why = why
			return
		}
		if c.state == cCreated {
			c.start.asked, t.start.found = true, false
			m.do(t, c, withinStart, Start{Container: c.id})
			return
		}
	}
}

func (m *Machine) setupNetwork(t *task) {
	t.sandbox.network = networkMade
	m.doSandbox(t, withinNetwork,
		SetupNetwork{Spec: port.NetworkSpec{Task: t.id, PID: t.joinPID(), Mode: t.mode(), Ports: t.ports()}})
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
		t.sandbox.step.succeeded()
		return
	}
	m.stepFailed(t, fmt.Errorf("ResourceInitializationError: prepare cgroup: %w", d.Err))
}

func (m *Machine) networked(t *task, d Done) {
	if d.Err == nil {
		t.sandbox.ready, t.sandbox.addr = true, d.Addr
		t.sandbox.step.succeeded()
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

// stepFailed has an idempotent step of the sandbox tried again a few times.
func (m *Machine) stepFailed(t *task, err error) {
	m.again(t, &t.sandbox.step, err)
	if t.sandbox.step.tries >= stepTries && t.phase == phaseStarting {
		m.end(t, fleet.StopTaskFailedToStart, err.Error())
	}
}

func (m *Machine) created(t *task, do Create, d Done) {
	c := t.byID(do.Spec.ID)
	if c == nil {
		return
	}
	c.seen.learned = m.seq
	switch {
	case d.Err == nil:
		c.state, c.pid, c.leftover, c.seen.ever = cCreated, d.PID, false, true
		c.step.succeeded()
	case unknown(d.Err), errors.Is(d.Err, port.ErrExists):
		c.state, c.seen.asked = cUnknown, m.now.Mono
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
	c.seen.learned = m.seq
	switch {
	case d.Err == nil:
		c.running(m.now)
		c.step.succeeded()
	case unknown(d.Err):
		c.state, c.seen.asked = cUnknown, m.now.Mono
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
	c.stop.reason = clip(name + ": " + err.Error())
	if c.state == cNone {
		c.ended(m.now.Wall)
	}
	if t.phase == phaseStarting {
		m.end(t, fleet.StopTaskFailedToStart, c.name+": "+c.stop.reason)
	}
}

// unknown reports whether a call may have had its effect although it failed.
func unknown(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, port.ErrRuntimeDown)
}

// clip bounds a reason and makes it text: runtimes quote what programs print.
func clip(s string) string {
	if len(s) > fleet.MaxReason {
		s = s[:fleet.MaxReason-3] + "..."
	}
	return strings.ToValidUTF8(s, "")
}
