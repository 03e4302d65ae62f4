package converge

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// relisting is how the machine keeps up with what is on the host. Events of the
// runtime are hints; only a list is believed, and one is in flight at a time.
type relisting struct {
	want      bool
	flying    bool
	done      bool          // a list has succeeded in this life
	count     uint64        // of lists that succeeded
	began     time.Duration // when the last one that succeeded was asked for
	last      time.Duration // when it was answered
	notBefore time.Duration
	next      time.Duration // the next without a reason
	nextFull  time.Duration
	forgot    []fleet.TaskID // tasks removed since the list in flight was asked for
}

func (l *relisting) init(now time.Duration) {
	l.want, l.next, l.nextFull = true, now, now
}

// runtimeView is what is known of the container runtime.
type runtimeView struct {
	up      bool
	version string
	since   time.Duration // up or down
	err     error
}

func (m *Machine) runtimeUp(version string) {
	r := &m.runtime
	r.version = version
	if r.up {
		return
	}
	r.up, r.since, r.err = true, m.now.Mono, nil
	m.relist.want, m.relist.notBefore = true, m.now.Mono
	m.clear(NoteRuntimeDown)
	m.recordNote("", NoteRuntimeUp, version)
	m.touchAll()
}

// runtimeDown stops all work on containers. Nothing is said of any task.
func (m *Machine) runtimeDown(err error) {
	r := &m.runtime
	if r.up {
		r.up, r.since = false, m.now.Mono
	}
	r.err = err
}

// watchRuntime says so when the runtime has been away for long.
func (m *Machine) watchRuntime() {
	r := &m.runtime
	if r.up || m.now.Mono < r.since+runtimeDownFor {
		return
	}
	why := "it has not answered since the agent started"
	if r.err != nil {
		why = r.err.Error()
	}
	m.stand(NoteRuntimeDown, why)
}

// relistIfDue asks for a list when there is a reason, or none for long.
func (m *Machine) relistIfDue() {
	l := &m.relist
	if m.now.Mono >= l.next {
		l.want = true
	}
	if !l.want || l.flying || m.now.Mono < l.notBefore || !m.runtime.up {
		return
	}
	l.want, l.flying, l.forgot = false, true, nil
	m.emit("", withinList, List{Full: m.now.Mono >= l.nextFull})
}

// relistDue is when relistIfDue has something to do.
func (m *Machine) relistDue() time.Duration {
	l := &m.relist
	if l.flying || !m.runtime.up {
		return noTime
	}
	due := l.next
	if l.want {
		due = l.notBefore
	}
	return max(due, l.notBefore)
}

func (m *Machine) listed(f flight, d Done) {
	l := &m.relist
	l.flying = false
	if d.Err != nil || d.Found == nil {
		l.want, l.notBefore = true, m.now.Mono+listRetry
		return
	}
	took := m.now.Mono - f.at
	l.notBefore = m.now.Mono + min(max(took*listShare, listGapMin), listGapMax)
	l.began, l.last, l.next = f.at, m.now.Mono, m.now.Mono+listEvery
	l.count++
	for i := range d.Found.Containers {
		m.saw(d.Found.Containers[i], f)
	}
	m.missed(f)
	if f.do.(List).Full {
		l.nextFull = m.now.Mono + fullListEvery
		m.sawLeft(d.Found)
	}
	if !l.done {
		l.done = true
		m.listedFirst()
	}
}

// listedFirst marks the starts that an agent before this one began and whose
// containers are not there.
func (m *Machine) listedFirst() {
	for _, id := range m.taskIDs() {
		t := m.tasks[id]
		m.markUnknown(t)
		m.touch(t)
	}
}

// markUnknown marks the containers that an agent before this one was about to
// make, and that are not there. What is left of an earlier attempt shows that the
// present one was not made: it would have the same id.
func (m *Machine) markUnknown(t *task) {
	if len(t.start.records) == 0 || t.start.oldBoot {
		return
	}
	if !slices.ContainsFunc(t.containers, func(c *container) bool { return c.state != cNone }) {
		t.start.unknownAt = m.stamp()
		return
	}
	for _, c := range t.containers {
		if c.state == cNone && c.start.journal == journaledDurably {
			c.start.unknownAt = m.stamp()
		}
	}
}

// saw takes up one container found.
func (m *Machine) saw(s port.ContainerStatus, f flight) {
	if s.Task == "" || s.Container == "" {
		return // not one of ours
	}
	t := m.tasks[s.Task]
	if t == nil && slices.Contains(m.relist.forgot, s.Task) {
		return // removed while the list was being made
	}
	if t == nil {
		t = m.adoptOrphan(s.Task, fmt.Sprintf("container %s in image %s", s.Container, s.Image))
	}
	c := t.container(s.Container)
	if c == nil {
		c = t.newContainer(s.Container, nil)
		c.id = s.ID
		t.containers = append(t.containers, c)
	}
	c.seen.listed, c.seen.missing = m.relist.count, 0
	if s.StopSignal > 0 {
		c.stop.signal = s.StopSignal
	}
	state := stateOf(s.State)
	switch {
	case c.leftover, m.making(c):
		return
	case c.seen.learned > f.seq && (c.state == cNone || state < cRunning), state < c.state:
		return // older than what is known
	case state == cUnknown:
		c.seen.ever = true
		m.cannotTell(t, c, s)
		return
	case c.state <= cUnknown && m.ofEarlierStart(t, c, s):
		c.state, c.leftover, c.seen.learned = cExited, true, m.seq
		m.touch(t)
		return
	}
	c.seen.ever = true
	m.learn(t, c, s, state)
}

// cannotTell takes note of a container that is there but in no state the runtime
// knows: no reason to call it ended, nor to make it again.
func (m *Machine) cannotTell(t *task, c *container, s port.ContainerStatus) {
	if c.state == cNone {
		m.adopt(t, c, s)
	}
	c.state, c.seen.asked = cUnknown, m.now.Mono
	m.touch(t)
}

// making reports whether a container is just being made by this agent.
func (m *Machine) making(c *container) bool {
	_, ok := m.flight[c.step.effect].do.(Create)
	return ok
}

// ofEarlierStart reports whether a container is the remains of another boot, where
// nothing can run any more, or of a start before the one that is recorded.
func (m *Machine) ofEarlierStart(t *task, c *container, s port.ContainerStatus) bool {
	boot, told := s.Labels[LabelBoot]
	counted := s.Attempt > 0 && c.start.attempt > 0
	switch {
	case s.State == port.ContainerRunning:
		return false
	case told && boot != m.cfg.Boot, counted && s.Attempt < c.start.attempt:
		return true
	case told:
		return false
	case t.deferral == deferRan:
		return true
	case counted:
		return false
	}
	return t.start.oldBoot
}

// learn takes a container's state from a list.
func (m *Machine) learn(t *task, c *container, s port.ContainerStatus, state cstate) {
	if c.state == cNone {
		m.adopt(t, c, s)
	}
	if s.PID != 0 {
		c.pid = s.PID
	}
	if state == c.state {
		return
	}
	c.state, c.seen.learned = state, m.seq
	m.touch(t)
	switch {
	case state == cRunning:
		c.running(m.now)
	case state == cExited:
		m.exited(t, c, s)
	}
	if c.living() && t.phase >= phaseStopped {
		t.phase = phaseStopping // made late, for an agent that died
	}
}

// adopt takes up a container of this boot that this agent did not make.
func (m *Machine) adopt(t *task, c *container, s port.ContainerStatus) {
	t.start.found, t.start.unknownAt, c.start.unknownAt = true, 0, 0
	if t.mode() != fleet.NetworkHost || t.spec.def == nil {
		t.sandbox.network = networkMade
	}
	if t.deferral == deferOrphan {
		c.start.attempt = s.Attempt // for its record, should the fleet name it
	}
	if t.stop != nil || t.deferral == deferOrphan {
		return
	}
	t.deferral = deferNone
	if c.start.journal == notJournaled {
		m.journalAnew(t, c, s.Attempt)
	}
}

// journalAnew writes a record that the journal has lost: without it, a crash after
// the container is gone could start it a second time.
func (m *Machine) journalAnew(t *task, c *container, attempt int) {
	t.start.oldBoot = false
	t.start.attempt = max(attempt, t.start.attempt, 1)
	c.start.attempt = max(attempt, c.start.attempt, 1)
	m.journalStart(t, c)
}

// exited takes note of how a container ended.
func (m *Machine) exited(t *task, c *container, s port.ContainerStatus) {
	at := m.now.Wall
	if !s.ExitedAt.IsZero() {
		at = fleet.TimeOf(s.ExitedAt)
	}
	c.ended(at)
	if code := s.ExitCode; code >= 0 {
		c.stop.code = &code
	} else {
		c.stop.reason = cmp.Or(c.stop.reason, "ended unseen by the container runtime")
	}
	switch {
	case s.OOMKilled:
		c.stop.reason = "OutOfMemoryError: container killed: " + t.memoryLimit(c)
	case c.stop.killed != 0 && c.stop.termed != 0:
		c.stop.reason = fmt.Sprintf("killed: did not end within %s of SIGTERM", c.grace())
	}
}

// memoryLimit names the limit that a container ran into.
func (t *task) memoryLimit(c *container) string {
	switch {
	case c.def != nil && c.def.Memory > 0:
		return fmt.Sprintf("its memory limit of %d MiB was reached", c.def.Memory)
	case t.spec.def != nil && t.spec.def.Memory > 0:
		return fmt.Sprintf("the task's memory limit of %d MiB was reached", t.spec.def.Memory)
	}
	return "the host ran out of memory (the container has no limit)"
}
