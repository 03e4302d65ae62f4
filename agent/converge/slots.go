package converge

import (
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// slots bound how many tasks are being started. They are given in the order of
// asking, so that what was begun is finished first.
type slots struct {
	held  map[fleet.TaskID]bool
	queue []fleet.TaskID

	closing bool // the agent is about to end
}

// takeSlot gives a task a slot when there is one and it is its turn.
func (m *Machine) takeSlot(t *task) bool {
	s := &m.starts
	if s.held[t.id] {
		return true
	}
	if !slices.Contains(s.queue, t.id) {
		s.queue = append(s.queue, t.id)
	}
	if s.closing || s.queue[0] != t.id || m.slotsBusy() >= m.cfg.Limits.Starts ||
		len(s.held) >= hungStartFactor*m.cfg.Limits.Starts {
		return false
	}
	s.queue = s.queue[1:]
	s.held[t.id] = true
	t.start.moved = m.now.Mono
	m.nextInLine()
	return true
}

// Starting is how many tasks are between their journal line and RUNNING: an
// agent that ends now would make their outcome unknown.
func (m *Machine) Starting() int { return len(m.starts.held) }

// slotsBusy counts the starts that compute. One that has not moved for long
// waits for something and leaves its place to others.
func (m *Machine) slotsBusy() int {
	n := 0
	for id := range m.starts.held {
		if m.now.Mono-m.tasks[id].start.moved < slowStart {
			n++
		}
	}
	return n
}

// freeSlot gives back a task's slot, or its place in the line.
func (m *Machine) freeSlot(t *task) {
	s := &m.starts
	if s.held[t.id] {
		delete(s.held, t.id)
	} else if at := slices.Index(s.queue, t.id); at >= 0 {
		s.queue = slices.Delete(s.queue, at, at+1)
	} else {
		return
	}
	m.nextInLine()
}

func (m *Machine) nextInLine() {
	if len(m.starts.queue) > 0 {
		m.touch(m.tasks[m.starts.queue[0]])
	}
}

// slotDue is when a start will have waited so long that another may begin.
func (m *Machine) slotDue() time.Duration {
	due := noTime
	if len(m.starts.queue) == 0 || len(m.starts.held) >= hungStartFactor*m.cfg.Limits.Starts {
		return due
	}
	for id := range m.starts.held {
		if at := m.tasks[id].start.moved + slowStart; at > m.now.Mono {
			due = min(due, at)
		}
	}
	return due
}
