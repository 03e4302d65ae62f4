package converge

import (
	"fmt"
	"time"

	"skein/raftfsm/fleet"
)

// drain is how a task leaves its target groups before its first signal. Requests come for
// as long as some host has not heard that it leaves, and what is open may go on for the
// longest deregistration delay of its groups. It ends sooner where nothing is connected.
type drain struct {
	ends   time.Duration // the first signal comes then at the latest; 0: it need not wait
	next   time.Duration // no count of connections before
	flying bool          // a count is in flight
	open   string        // what the last count told, for people
}

const (
	// drainLeast is how long all hosts have to hear that a task leaves. A commit reaches
	// them in well under a second; one that does not hear is as if cut off, and ejects the
	// task when it cannot connect.
	drainLeast = 2 * time.Second
	drainPoll  = 500 * time.Millisecond // between counts
)

// drainS is how long a task that is asked to stop may drain, in seconds. One that was not
// RUNNING has never been a target; one that State takes for stopped is none any more.
// Rows of groups stay as long as tasks are in them, so one that is not among the routes
// is of a host that has not been sent them, and asks for nothing.
func (m *Machine) drainS(t *task) int {
	wanted := t.spec.wanted
	if wanted == nil || wanted.Last == fleet.TaskStopped || t.derived() != fleet.TaskRunning {
		return 0
	}
	longest := 0
	for _, b := range wanted.Groups {
		if g := m.targetGroup(b.Group); g != nil {
			longest = max(longest, g.DeregistrationDelayS)
		}
	}
	return longest
}

// drainFrom is the drain of a task that was asked to stop a while ago.
func (m *Machine) drainFrom(ago time.Duration, seconds int) drain {
	if seconds <= 0 {
		return drain{}
	}
	asked := m.now.Mono - ago
	return drain{ends: max(asked+time.Duration(seconds)*time.Second, 1), next: asked + drainLeast}
}

// draining reports whether the signals of a task must wait.
func (m *Machine) draining(t *task) bool {
	d := &t.stop.drain
	switch {
	case d.ends == 0:
		return false
	case m.now.Mono >= d.ends:
		m.drained(t, "its time is over"+d.open)
		return false
	case !t.serving():
		m.drained(t, "it cannot serve any more")
		return false
	}
	left := (d.ends - m.now.Mono + time.Second - 1).Truncate(time.Second)
	t.status.why = fmt.Sprintf("leaving its target groups: %d s left%s", int(left.Seconds()), d.open)
	if ports := t.targetPorts(); len(ports) > 0 && t.joinPID() != 0 && !d.flying && m.now.Mono >= d.next {
		d.flying = true
		m.emit(t.id, withinQuick, CountConnections{PID: t.joinPID(), Ports: ports})
	}
	return true
}

// serving reports whether no container has ended without which a task is none.
func (t *task) serving() bool {
	return !t.any(func(c *container) bool { return c.essential() && c.state == cExited }) &&
		t.any(func(c *container) bool { return c.state != cNone && c.state != cExited })
}

// targetPorts are the ports of a task's containers that traffic goes to.
func (t *task) targetPorts() []int {
	if t.spec.wanted == nil {
		return nil
	}
	var ports []int
	for _, b := range t.spec.wanted.Groups {
		ports = append(ports, b.ContainerPort)
	}
	return ports
}

// connectionsCounted ends a drain at which nothing is open. What could not be counted may
// be anything.
func (m *Machine) connectionsCounted(t *task, f flight, done Done) {
	if t.stop == nil || t.stop.drain.ends == 0 {
		return
	}
	d := &t.stop.drain
	d.flying, d.next = false, max(m.now.Mono, f.at+drainPoll)
	switch {
	case done.Err != nil:
		d.open = ", what is connected is not known: " + clip(done.Err.Error())
	case done.Open > 0:
		d.open = fmt.Sprintf(", connections open: %d", done.Open)
	default:
		m.drained(t, "nothing is connected to it")
	}
}

// drained lets the signals of a task come. The time that its containers have begins now,
// also for an agent after this one.
func (m *Machine) drained(t *task, why string) {
	t.stop.drain = drain{}
	t.stop.at, t.stop.elapsed = m.now.Wall, 0
	m.journal(m.stopRecord(t, 0))
	m.recordNote(t.id, NoteTaskDrained, why)
}

// drainDue is when a drain goes on.
func (t *task) drainDue(w *waiting) {
	d := &t.stop.drain
	if d.ends == 0 {
		return
	}
	w.until(d.ends)
	if !d.flying {
		w.until(d.next)
	}
}
