package converge

import (
	"cmp"
	"fmt"
	"time"
)

// missed looks for containers that a list should have had. Absence counts only
// in a list that began after the container was last known; one that lived must
// be missing from two.
func (m *Machine) missed(f flight) {
	for _, id := range m.taskIDs() {
		t := m.tasks[id]
		if t.start.unknownAt != 0 {
			m.touch(t)
		}
		for _, c := range t.containers {
			if c.leftover || c.seen.listed == m.relist.count || c.seen.learned > f.seq {
				continue
			}
			switch {
			case c.state == cUnknown && f.at < c.seen.asked+unknownSettle:
			case c.state == cUnknown && !c.seen.ever:
				m.neverMade(t, c)
			case c.living() && c.seen.missing == 0:
				c.seen.missing = max(f.at, 1)
				m.touch(t)
			case c.state == cUnknown, c.living() && f.at >= c.seen.missing+goneAfter:
				m.vanished(t, c)
			case c.state == cNone && c.start.unknownAt != 0 && f.at >= c.start.unknownAt+unknownSettle:
				m.judgeUnknown(t, c)
			}
		}
	}
}

// vanished takes a container that lived for ended: the runtime has no trace of it.
func (m *Machine) vanished(t *task, c *container) {
	c.state, c.seen.learned = cExited, m.seq
	c.stop.reason = cmp.Or(c.stop.reason, "vanished from the container runtime")
	c.ended(m.now.Wall)
	m.touch(t)
}

// judgeUnknown settles a container that an agent before this one was about to
// make, when others of its task are there. As long as none of them was let run,
// it was not either, and may be made. Else it may have run, and is not run twice.
func (m *Machine) judgeUnknown(t *task, c *container) {
	c.start.unknownAt = 0
	if t.any(func(o *container) bool { return o.state >= cRunning }) {
		m.vanished(t, c)
	}
	m.touch(t)
}

// neverMade settles a create without an answer: the container is really absent,
// so nothing of it ever ran and it may be made again.
func (m *Machine) neverMade(t *task, c *container) {
	c.state, c.seen.learned = cNone, m.seq
	m.unanswered(t, c, "CannotCreateContainerError")
	m.touch(t)
}

// unanswered counts calls without an answer and gives the task back when there
// are too many.
func (m *Machine) unanswered(t *task, c *container, name string) {
	c.start.unsure++
	if c.start.unsure >= unansweredTries {
		m.failContainer(t, c, name, fmt.Errorf("the container runtime did not answer %d times", c.start.unsure))
	}
}

// relook asks for a list once an absence can be judged.
func (m *Machine) relook(t *task) {
	for _, c := range t.containers {
		if at := c.judgeAt(); at != noTime && m.now.Mono >= at {
			m.relist.want = true
		}
	}
}

// judgeAt is when a list can tell whether the container is really absent.
func (c *container) judgeAt() time.Duration {
	switch {
	case c.leftover:
		return noTime
	case c.state == cNone && c.start.unknownAt != 0:
		return c.start.unknownAt + unknownSettle
	case c.state == cUnknown:
		return c.seen.asked + unknownSettle
	case c.seen.missing != 0 && c.living():
		return c.seen.missing + goneAfter
	}
	return noTime
}
