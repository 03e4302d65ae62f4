package stream

import (
	"slices"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// ledger is what a stream has sent, so that the next frame holds only what
// differs. What may differ is State's to say: see fleet.WantedMarks.
type ledger struct {
	begun                 bool // a first frame was made
	epoch, index, session uint64
	marks                 fleet.WantedMarks
	tasks                 taskLedger
	roster                trust.Roster
}

// resume makes the ledger that of a host which holds all its tasks up to at, unless
// they have changed since. Of routes it lacks what changed since.
func (l *ledger) resume(st *fleet.State, host fleet.HostID, at Position) {
	h := st.Host(host)
	if h == nil || !h.WantedSameSince(at.Index) || h.Session.N != at.Session || st.Fleet().Epoch != at.Epoch {
		return
	}
	w := st.Wanted(host)
	l.tasks.sentAll(w)
	l.sent(w, st.MarksSince(h, at.Index))
	l.index = at.Index
}

// due reports whether a frame must not wait for the next beat. It is asked whenever
// State changed for the host. A change of the roster goes with the next beat: all hosts
// of a fleet need not be told in one instant.
func (l *ledger) due(st *fleet.State, h *fleet.Host) bool {
	return l.lacksAll(st.Fleet().Epoch, h.Session.N) || st.WantedMarks(h) != l.marks
}

// lacksAll reports whether the host is to be sent everything.
func (l *ledger) lacksAll(epoch, session uint64) bool {
	return !l.begun || l.epoch != epoch || l.session != session
}

// frame makes the frame that brings a host from what was sent to State.
func (l *ledger) frame(st *fleet.State, h *fleet.Host) VoterFrame {
	marks := st.WantedMarks(h)
	var f VoterFrame
	if l.lacksAll(st.Fleet().Epoch, h.Session.N) {
		f = l.next(st.Wanted(h.ID), marks)
	} else {
		f = l.next(st.WantedSince(h, l.marks), marks)
	}
	if now := trust.RosterOf(st); !now.Same(l.roster) {
		l.roster, f.Roster = now, &now
	}
	return f
}

// next makes the frame of w, in which the parts are whole whose marks moved.
func (l *ledger) next(w fleet.Wanted, marks fleet.WantedMarks) VoterFrame {
	f := VoterFrame{Kind: KindBeat, Wanted: w}
	switch {
	case l.lacksAll(w.Epoch, w.Session):
		f.Kind = KindSnapshot
		l.tasks.sentAll(w)
	case marks[fleet.WantedTasks] != l.marks[fleet.WantedTasks]:
		l.tasks.cut(&f.Wanted)
		if len(f.Tasks)+len(f.Removed) > 0 {
			f.Kind = KindDelta
		}
	}
	l.sent(w, marks)
	return f
}

// sent notes how far the host is.
func (l *ledger) sent(w fleet.Wanted, marks fleet.WantedMarks) {
	l.begun, l.epoch, l.index, l.session, l.marks = true, w.Epoch, w.Index, w.Session, marks
}

// taskLedger is what was sent of the tasks. It keeps 48 bytes a task, not the tasks.
type taskLedger struct {
	sent map[fleet.TaskID]fleet.WantedTaskVersion
	defs map[fleet.TaskDefID]bool
}

// cut leaves of w, which has all tasks, what differs from what was sent.
func (l *taskLedger) cut(w *fleet.Wanted) {
	all, defs := w.Tasks, w.TaskDefs
	w.Tasks, w.TaskDefs = nil, nil
	wanted := make(map[fleet.TaskID]bool, len(all))
	for i := range all {
		t := &all[i]
		wanted[t.ID] = true
		if v := t.Version(); l.sent[t.ID] != v {
			l.sent[t.ID] = v
			w.Tasks = append(w.Tasks, *t)
		}
	}
	for id := range l.sent {
		if !wanted[id] {
			delete(l.sent, id)
			w.Removed = append(w.Removed, id)
		}
	}
	slices.Sort(w.Removed)
	for _, def := range defs {
		if !l.defs[def.ID] {
			l.defs[def.ID] = true
			w.TaskDefs = append(w.TaskDefs, def)
		}
	}
	if len(l.defs) != len(defs) {
		l.sentDefs(defs) // a definition that comes back is sent again: the host drops it too
	}
}

func (l *taskLedger) sentAll(w fleet.Wanted) {
	l.sent = make(map[fleet.TaskID]fleet.WantedTaskVersion, len(w.Tasks))
	for i := range w.Tasks {
		l.sent[w.Tasks[i].ID] = w.Tasks[i].Version()
	}
	l.sentDefs(w.TaskDefs)
}

func (l *taskLedger) sentDefs(defs []fleet.TaskDef) {
	l.defs = make(map[fleet.TaskDefID]bool, len(defs))
	for _, def := range defs {
		l.defs[def.ID] = true
	}
}
