package stream

import (
	"slices"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// part is one of the things that hosts are sent, with a ledger of what was sent
// of it on one stream.
type part interface {
	// due reports whether the host lacks something that it must not wait for until
	// the next beat. It is asked whenever State changed for the host, and must not
	// read the part for it.
	due(st *fleet.State, h *fleet.Host) bool
	// put adds to a frame what the host lacks, or with whole everything.
	put(f *VoterFrame, st *fleet.State, h *fleet.Host, whole bool)
}

// ledger is what a stream has sent, so that the next frame holds only what
// differs.
type ledger struct {
	epoch, index, session uint64
	begun                 bool // a first frame was made
	tasks                 taskPart
	orders                orderPart
	roster                rosterPart
}

func (l *ledger) parts() [3]part { return [...]part{&l.tasks, &l.orders, &l.roster} }

// resume makes the ledger that of a host which holds all its tasks up to at,
// unless they have changed since.
func (l *ledger) resume(st *fleet.State, host fleet.HostID, at Position) {
	h := st.Host(host)
	if h == nil || h.WantedModifyIndex > at.Index || h.Session.N != at.Session || st.Fleet().Epoch != at.Epoch {
		return
	}
	l.begun, l.epoch, l.index, l.session = true, at.Epoch, at.Index, at.Session
	l.tasks.version = h.WantedModifyIndex
	l.tasks.sentAll(st.Wanted(host))
}

// due reports whether a frame must not wait for the next beat.
func (l *ledger) due(st *fleet.State, h *fleet.Host) bool {
	if !l.begun || l.epoch != st.Fleet().Epoch {
		return true
	}
	for _, p := range l.parts() {
		if p.due(st, h) {
			return true
		}
	}
	return false
}

// frame makes the frame that brings a host from what was sent to State.
func (l *ledger) frame(st *fleet.State, h *fleet.Host) VoterFrame {
	f := VoterFrame{Kind: KindBeat, Fleet: st.Fleet().ID, Epoch: st.Fleet().Epoch, Index: st.Index(), Session: h.Session.N}
	whole := !l.begun || l.epoch != f.Epoch || l.session != f.Session
	if whole {
		f.Kind = KindSnapshot
	}
	l.begun, l.epoch, l.index, l.session = true, f.Epoch, f.Index, f.Session
	for _, p := range l.parts() {
		p.put(&f, st, h, whole)
	}
	return f
}

// taskPart keeps 48 bytes a task, not the tasks.
type taskPart struct {
	version uint64 // fleet.Host.WantedModifyIndex of what was sent
	sent    map[fleet.TaskID]taskVersion
	defs    map[fleet.TaskDefID]bool
}

// taskVersion holds what may change of a wanted task: its own row, and what comes
// from its service's row.
type taskVersion struct {
	modifyIndex uint64
	desired     fleet.TaskStatus
	last        fleet.TaskStatus
	stopAfterMs int64
	graceS      int
}

func taskVersionOf(t *fleet.WantedTask) taskVersion {
	return taskVersion{modifyIndex: t.ModifyIndex, desired: t.Desired, last: t.Last, stopAfterMs: t.StopAfterMs,
		graceS: t.GraceS}
}

func (p *taskPart) due(_ *fleet.State, h *fleet.Host) bool { return h.WantedModifyIndex != p.version }

func (p *taskPart) put(f *VoterFrame, st *fleet.State, h *fleet.Host, whole bool) {
	if !whole && h.WantedModifyIndex == p.version {
		return
	}
	p.version = h.WantedModifyIndex
	p.change(f, st.Wanted(h.ID), whole)
}

// change adds what differs between what was sent and w.
func (p *taskPart) change(f *VoterFrame, w fleet.Wanted, whole bool) {
	if whole {
		f.Tasks, f.TaskDefs = w.Tasks, w.TaskDefs
		p.sentAll(w)
		return
	}
	wanted := make(map[fleet.TaskID]bool, len(w.Tasks))
	for i := range w.Tasks {
		t := &w.Tasks[i]
		wanted[t.ID] = true
		if v := taskVersionOf(t); p.sent[t.ID] != v {
			p.sent[t.ID] = v
			f.Tasks = append(f.Tasks, *t)
		}
	}
	for id := range p.sent {
		if !wanted[id] {
			delete(p.sent, id)
			f.Removed = append(f.Removed, id)
		}
	}
	slices.Sort(f.Removed)
	for _, def := range w.TaskDefs {
		if !p.defs[def.ID] {
			p.defs[def.ID] = true
			f.TaskDefs = append(f.TaskDefs, def)
		}
	}
	p.forgetDefs(w)
	if len(f.Tasks)+len(f.Removed) > 0 {
		f.Kind = KindDelta
	}
}

func (p *taskPart) sentAll(w fleet.Wanted) {
	p.sent = make(map[fleet.TaskID]taskVersion, len(w.Tasks))
	for i := range w.Tasks {
		p.sent[w.Tasks[i].ID] = taskVersionOf(&w.Tasks[i])
	}
	p.defs = make(map[fleet.TaskDefID]bool, len(w.TaskDefs))
	for _, def := range w.TaskDefs {
		p.defs[def.ID] = true
	}
}

// forgetDefs drops what the host drops too: a definition that comes back is sent
// again.
func (p *taskPart) forgetDefs(w fleet.Wanted) {
	if len(p.defs) == len(w.TaskDefs) {
		return
	}
	clear(p.defs)
	for _, def := range w.TaskDefs {
		p.defs[def.ID] = true
	}
}

// orderPart is what the host itself is to do. Orders are few bytes and stand in
// each frame, since a host may not be able to follow one yet.
type orderPart struct{ logsOut int }

func (p *orderPart) due(st *fleet.State, h *fleet.Host) bool { return st.LogsOut(h.ID) != p.logsOut }

func (p *orderPart) put(f *VoterFrame, st *fleet.State, h *fleet.Host, _ bool) {
	p.logsOut = st.LogsOut(h.ID)
	f.LogsOut = p.logsOut
}

// rosterPart is the voters. A change of them goes with the next beat: all hosts of
// a fleet need not be told in one instant.
type rosterPart struct{ sent trust.Roster }

func (p *rosterPart) due(*fleet.State, *fleet.Host) bool { return false }

func (p *rosterPart) put(f *VoterFrame, st *fleet.State, _ *fleet.Host, _ bool) {
	if now := trust.RosterOf(st); !now.Same(p.sent) {
		p.sent, f.Roster = now, &now
	}
}
