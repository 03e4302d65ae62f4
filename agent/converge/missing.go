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
			if c.leftover || c.listed == m.relist.count || c.learned > f.seq {
				continue
			}
			switch {
			case c.state == cUnknown && f.at < c.asked+unknownSettle:
			case c.state == cUnknown && !c.seen:
				m.neverMade(t, c)
			case c.living() && c.missing == 0:
				c.missing = max(f.at, 1)
				m.touch(t)
			case c.state == cUnknown, c.living() && f.at >= c.missing+goneAfter:
				c.state, c.learned = cExited, m.seq
				c.reason = cmp.Or(c.reason, "vanished from the container runtime")
				m.touch(t)
			}
		}
	}
}

// neverMade settles a create without an answer: the container is really absent,
// so nothing of it ever ran and it may be made again.
func (m *Machine) neverMade(t *task, c *container) {
	c.state, c.learned = cNone, m.seq
	m.unanswered(t, c, "CannotCreateContainerError")
	m.touch(t)
}

// unanswered counts calls without an answer and gives the task back when there
// are too many.
func (m *Machine) unanswered(t *task, c *container, name string) {
	c.unsure++
	if c.unsure >= unansweredTries {
		m.failContainer(t, c, name, fmt.Errorf("the container runtime did not answer %d times", c.unsure))
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
	case c.state == cUnknown:
		return c.asked + unknownSettle
	case c.missing != 0 && c.living():
		return c.missing + goneAfter
	}
	return noTime
}
