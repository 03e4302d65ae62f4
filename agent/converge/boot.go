package converge

import (
	"fmt"
	"time"

	"skein/raftfsm/fleet"
)

// Reasons of ends that a boot decides.
const (
	reasonRebooted  = "host rebooted"
	reasonAgentDied = "agent died while starting it"
	reasonNoRecord  = "host has no record of it: its containers and its journal line are gone"
)

// remember rebuilds tasks from what was saved.
func (m *Machine) remember(saved Saved) {
	if saved.Routes != nil {
		m.rememberRoutes(*saved.Routes)
	}
	past, order := histories(saved.Journal)
	foreign := saved.Wanted != nil && !m.mine(*saved.Wanted)
	for _, id := range order {
		h := past[id]
		switch {
		case len(h.starts) == 0 && h.stop == nil:
		case foreign:
			// The machine has joined anew. What it ran under its former identity is
			// over for the fleet: it is found by its labels, and nobody knows it.
			m.journal(Record{Kind: RecordForget, Task: id})
		default:
			m.tasks[id] = m.fromHistory(id, h)
		}
	}
	if foreign {
		return
	}
	if saved.Wanted != nil {
		m.rememberWanted(*saved.Wanted)
	}
	m.touchAll()
}

// fromHistory makes a task from what the journal tells of it.
func (m *Machine) fromHistory(id fleet.TaskID, h history) *task {
	t := &task{id: id, phase: phaseStarting}
	if len(h.starts) > 0 {
		first := h.starts[0]
		t.start.attempt, t.start.at = first.Attempt, first.At
		t.start.records = make(map[string]int, len(h.starts))
		for _, r := range h.starts {
			t.start.records[r.Container] = r.attempts()
		}
		if t.start.oldBoot = first.Boot != m.cfg.Boot; t.start.oldBoot {
			t.deferral = deferRan
		}
	}
	if h.stop != nil {
		t.deferral = deferNone
		t.phase = phaseStopping
		elapsed := max(0, m.now.Wall.Sub(h.stop.At))
		t.stop = &stopState{
			code:    h.stop.Code,
			reason:  h.stop.Reason,
			at:      h.stop.At,
			drain:   m.drainFrom(elapsed, h.stop.DrainS),
			elapsed: elapsed,
			exits:   h.stop.Exits,
		}
	}
	return t
}

// mine reports whether a saved list is this host's, in this fleet.
func (m *Machine) mine(s SavedWanted) bool {
	return s.Host == m.cfg.Host && (m.cfg.Fleet == "" || s.Wanted.Fleet == m.cfg.Fleet)
}

// rememberWanted takes up what was accepted before the agent started.
func (m *Machine) rememberWanted(s SavedWanted) {
	w := &s.Wanted
	m.wants.behind = s.Behind
	m.wants.acceptedAt(order{w.Epoch, w.Index})
	if m.cfg.Fleet == "" {
		m.cfg.Fleet = w.Fleet
	}
	m.wants.defs = defsOf(w.TaskDefs)
	for i := range w.Tasks {
		wt := &w.Tasks[i]
		t := m.tasks[wt.ID]
		if t == nil {
			t = &task{id: wt.ID, phase: phaseStarting}
			m.tasks[wt.ID] = t
			switch {
			case s.Boot != m.cfg.Boot && wt.Last >= fleet.TaskActivating:
				t.deferral, t.start.attempt, t.start.oldBoot = deferRan, 1, true // its journal line is lost
			case s.Boot != m.cfg.Boot, s.Behind:
				t.deferral = deferNew
			}
		}
		t.spec.wanted = wt
		t.define(m.wants.defs[wt.TaskDef])
	}
}

func defsOf(list []fleet.TaskDef) map[fleet.TaskDefID]*fleet.TaskDef {
	defs := make(map[fleet.TaskDefID]*fleet.TaskDef, len(list))
	for i := range list {
		def := list[i]
		defs[def.ID] = &def
	}
	return defs
}

// held does what may be done about a task about which nothing has been decided.
func (m *Machine) held(t *task) {
	switch t.deferral {
	case deferNone:
	case deferOrphan:
		t.status.why = "its containers were found, no voter has said anything about it yet"
		m.considerOrphan(t)
	case deferRan:
		t.status.why = "it ran before this host rebooted: waiting for a voter's word"
		if m.voters.word {
			m.endRebooted(t)
		}
	case deferNew:
		t.status.why = "assigned before this host rebooted: waiting for a voter's word"
		if m.voters.word {
			m.release(t)
		}
	}
}

// endRebooted says of a task that ran in another boot what has become of it.
func (m *Machine) endRebooted(t *task) {
	m.release(t)
	m.end(t, fleet.StopInfrastructureHealth, reasonRebooted)
}

func (m *Machine) release(t *task) {
	t.deferral = deferNone
	m.touch(t)
}

// decideBoot runs services again when nobody can tell what to do: after a power
// failure no voter may ever come back that this host can reach.
func (m *Machine) decideBoot() {
	v := &m.voters
	if v.decided || v.word {
		return
	}
	if m.now.Mono < m.coldStartAt() {
		return
	}
	v.decided = true
	for _, id := range m.taskIDs() {
		m.runAgain(m.tasks[id])
	}
}

// coldStartAt is when a host without a voter's word decides by itself. A voter
// that answers but has no fleet to speak for gets longer.
func (m *Machine) coldStartAt() time.Duration {
	if m.voters.ever {
		return m.began + leaderless
	}
	return m.began + coldStart
}

// runAgain releases a service's task of another boot. Standalone tasks are never
// run again, nor those that a cut-off host must not run, nor those that may have
// stopped here already: the fleet has perhaps heard of that.
func (m *Machine) runAgain(t *task) {
	if t.deferral != deferRan && t.deferral != deferNew || !t.service() || t.spec.def == nil || t.asked() ||
		t.spec.wanted.StopAfterMs > 0 {
		return
	}
	if len(t.start.records) == 0 && (t.deferral == deferRan || m.wants.behind) {
		return // the line that is missing may have been of its end
	}
	if t.deferral == deferRan {
		t.start.attempt++
		for _, c := range t.containers {
			c.leftover = c.state != cNone
			c.beginAgain(t.start.attempt)
		}
	}
	t.start.rerun = true
	m.recordNote(t.id, NoteTaskRerun, fmt.Sprintf("attempt %d, no voter for %s", max(t.start.attempt, 1),
		m.now.Mono-m.began))
	m.release(t)
}

// checkStarted settles a start whose outcome this agent does not know: the
// journal has its line, or the fleet has heard of it. Reports whether the task
// may go on.
func (m *Machine) checkStarted(t *task) bool {
	switch {
	case t.any(func(c *container) bool { return c.state != cNone }):
		return true
	case t.start.attempt == 0 && t.spec.wanted != nil && t.spec.wanted.Last >= fleet.TaskActivating:
		t.start.attempt = 1 // it has begun, as the fleet has heard
		m.end(t, fleet.StopInfrastructureHealth, reasonNoRecord)
		return false
	case t.start.unknownAt == 0:
		return true
	case m.unsettled(t):
		t.status.why = "its journal line has no container: waiting for the runtime to settle"
		return false
	}
	m.end(t, fleet.StopTaskFailedToStart, reasonAgentDied)
	return false
}

// unsettled reports whether the runtime may still be making a container for the
// agent that died while it asked for it.
func (m *Machine) unsettled(t *task) bool {
	if t.start.unknownAt == 0 || m.relist.began >= t.start.unknownAt+unknownSettle {
		return false
	}
	if m.now.Mono >= t.start.unknownAt+unknownSettle {
		m.relist.want = true
	}
	return true
}
