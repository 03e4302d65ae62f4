package peer

import (
	"slices"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// ledger is what a stream has sent, so that the next frame holds only what
// differs. It keeps 48 bytes a task, not the tasks.
type ledger struct {
	epoch, index, session uint64
	begun                 bool // a first frame was made
	tasks                 map[fleet.TaskID]taskVersion
	defs                  map[fleet.TaskDefID]bool
	roster                trust.Roster
}

// taskVersion holds what may change of a wanted task: its own row (Mod), and what comes
// from its service's row.
type taskVersion struct {
	modifyIndex uint64
	desired     fleet.TaskStatus
	last        fleet.TaskStatus
	stopAfterMs int64
	graceS      int
}

func taskVersionOf(t *fleet.WantedTask) taskVersion {
	return taskVersion{modifyIndex: t.ModifyIndex, desired: t.Desired, last: t.Last, stopAfterMs: t.StopAfterMs, graceS: t.GraceS}
}

// resume makes the ledger that of a stream that has sent w already.
func (l *ledger) resume(w fleet.Wanted) {
	l.begun, l.epoch, l.index, l.session = true, w.Epoch, w.Index, w.Session
	l.tasks = make(map[fleet.TaskID]taskVersion, len(w.Tasks))
	for i := range w.Tasks {
		l.tasks[w.Tasks[i].ID] = taskVersionOf(&w.Tasks[i])
	}
	l.defs = make(map[fleet.TaskDefID]bool, len(w.TaskDefs))
	for _, def := range w.TaskDefs {
		l.defs[def.ID] = true
	}
}

// frame makes the frame that brings a host from what was sent to w.
func (l *ledger) frame(w fleet.Wanted) VoterFrame {
	d := VoterFrame{Kind: KindSnapshot, Fleet: w.Fleet, Epoch: w.Epoch, Index: w.Index, Session: w.Session}
	if !l.begun || l.epoch != w.Epoch || l.session != w.Session {
		d.Tasks, d.TaskDefs = w.Tasks, w.TaskDefs
		l.resume(w)
		return d
	}
	d.Kind = KindDelta
	l.epoch, l.index, l.session = w.Epoch, w.Index, w.Session
	wanted := make(map[fleet.TaskID]bool, len(w.Tasks))
	for i := range w.Tasks {
		t := &w.Tasks[i]
		wanted[t.ID] = true
		if m := taskVersionOf(t); l.tasks[t.ID] != m {
			l.tasks[t.ID] = m
			d.Tasks = append(d.Tasks, *t)
		}
	}
	for id := range l.tasks {
		if !wanted[id] {
			delete(l.tasks, id)
			d.Removed = append(d.Removed, id)
		}
	}
	slices.Sort(d.Removed)
	for _, def := range w.TaskDefs {
		if !l.defs[def.ID] {
			l.defs[def.ID] = true
			d.TaskDefs = append(d.TaskDefs, def)
		}
	}
	l.forgetDefs(w)
	if len(d.Tasks)+len(d.Removed) == 0 {
		d.Kind = KindBeat
	}
	return d
}

// forgetDefs drops what the host drops too (see keepDefs): a definition that
// comes back is sent again.
func (l *ledger) forgetDefs(w fleet.Wanted) {
	if len(l.defs) == len(w.TaskDefs) {
		return
	}
	clear(l.defs)
	for _, def := range w.TaskDefs {
		l.defs[def.ID] = true
	}
}
