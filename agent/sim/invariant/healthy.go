package invariant

import "skein/raftfsm/fleet"

// What counts as healthy. Source: cmd/skein/DESIGN.md "Counts".
const (
	// healthyAfter is how long a task without checks must have been RUNNING.
	healthyAfter fleet.Time = 40_000
	// planAge is how old the time of a plan may be when its entry is applied: a
	// proposal is given up after it.
	planAge fleet.Time = 5_000
	// fallsKept bounds how far back falls are remembered, in entries: more than can
	// come between a plan and its entry.
	fallsKept = 4096
)

// reaches reports whether a task counts as present: its host is neither silent
// nor lost nor forgotten, and has said something of it since its last boot.
func (t *task) reaches() bool {
	h := t.host
	return h == nil || (h.state == fleet.HostReady || h.state == fleet.HostJoining) && t.session >= h.bootSession
}

func (t *task) runs() bool {
	return t.toRun && t.last == fleet.TaskRunning && t.host != nil && t.reaches()
}

// isHealthy is healthy at a time of the fleet.
func (t *task) isHealthy(now fleet.Time) bool {
	if !t.runs() {
		return false
	}
	return t.passes() && (t.judged() || now >= t.started+healthyAfter)
}

// isUnhealthy is judged and found wanting, its grace period over.
func (t *task) isUnhealthy(now fleet.Time) bool {
	return t.runs() && t.fails() && now >= t.started+t.service.grace
}

// encodedSize counts a task anew in its service.
func (c *Checker) encodedSize(t *task) {
	s := t.service
	if s == nil {
		return
	}
	if present := t.toRun && t.last != fleet.TaskStopped && t.reaches(); present != t.present {
		t.present = present
		if s.present[t.revision] += 2*one(present) - 1; s.present[t.revision] == 0 {
			delete(s.present, t.revision)
		}
	}
	running, healthy := t.runs(), t.isHealthy(c.model.now)
	if running == t.running && healthy == t.healthy {
		return
	}
	f := fall{index: c.log.index, pass: c.model.pass, healthy: t.healthy && !healthy, running: t.running && !running}
	if f.running && !f.healthy && !t.judged() {
		f.due = t.started + healthyAfter
	}
	s.running += one(running) - one(t.running)
	s.healthy += one(healthy) - one(t.healthy)
	if healthy && !t.healthy {
		t.healthyAt = c.log.index
	}
	t.running, t.healthy = running, healthy
	if f.healthy || f.running {
		s.fell(f)
	}
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// fell remembers a fall and drops those that no plan can be older than.
func (s *service) fell(f fall) {
	gone := 0
	for gone < len(s.falls) && s.falls[gone].index+fallsKept < f.index {
		gone++
	}
	if gone > len(s.falls)/2 {
		s.falls = append(s.falls[:0], s.falls[gone:]...)
	}
	s.falls = append(s.falls, f)
}

// fellSince counts what a planner that looked at an index could not know: falls
// after it, but for those that its own pass made. 0 says that it knew everything.
// It planned at a time, by which a task that had fallen unseen may have ripened.
func (s *service) fellSince(planned uint64, at fleet.Time) (healthy, running int) {
	for i := len(s.falls) - 1; i >= 0 && planned > 0 && s.falls[i].index > planned; i-- {
		if f := &s.falls[i]; f.pass != planned {
			healthy += one(f.healthy || f.due > 0 && f.due <= at)
			running += one(f.running)
		}
	}
	return healthy, running
}

// reweigh counts all tasks of a host anew: its life or boot has changed.
func (c *Checker) reweigh(h *host) {
	c.touch(h)
	c.hostMoved()
	for _, t := range h.held {
		c.encodedSize(t)
		if t.service != nil {
			t.service.moved(c.log.index)
		}
	}
}

// moved notes that where the service's tasks are has changed.
func (s *service) moved(index uint64) {
	if s.changedAt != index {
		s.changedBefore, s.changedAt = s.changedAt, index
	}
}

// settling is a task that counts as healthy from a time on, if it still runs.
type settling struct {
	task *task
	at   fleet.Time
}

// settle counts tasks whose forty seconds are over. One that started again
// since stands in the line a second time.
func (c *Checker) settle() {
	line := &c.model.settling
	n := 0
	for n < len(*line) && (*line)[n].at <= c.model.now {
		c.encodedSize((*line)[n].task)
		n++
	}
	clear((*line)[:n])
	*line = (*line)[n:]
}
