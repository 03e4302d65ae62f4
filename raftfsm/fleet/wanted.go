package fleet

import (
	"slices"
	"strings"
)

// Wanted is what a host is sent, and what it obeys: its part of the fleet's intent as
// of an index of the log. State makes it, streams carry it, the host loop takes it and
// the host's disk keeps it. Source: cmd/skein/DESIGN.md "Streams".
//
// It is all that is wanted of the host, or only what changed: who carries it says
// which. Its parts are described in wantedParts. A stream's frames carry these fields
// under their numbers; numbers 1, 6, 10 to 13 and 17 are those frames' own.
type Wanted struct {
	Fleet   FleetID `cbor:"2,keyasint"`
	Epoch   uint64  `cbor:"3,keyasint"`
	Index   uint64  `cbor:"4,keyasint"`
	Session uint64  `cbor:"5,keyasint"` // of the host

	// Tasks are sorted by id; each is not yet STOPPED, or Unconfirmed.
	Tasks []WantedTask `cbor:"7,keyasint,omitempty"`
	// TaskDefs are the definitions that Tasks name, once each, by id. Of a change those
	// that the host was not sent before.
	TaskDefs []TaskDef `cbor:"8,keyasint,omitempty"`
	Removed  []TaskID  `cbor:"9,keyasint,omitempty"` // of a change: tasks that are not wanted any more

	// LogsOut orders the host to delete an older log of its own; see State.LogsOut.
	LogsOut int `cbor:"14,keyasint,omitempty"`

	// Routes are what the ingress of the host serves, or what of that changed; nil: it is
	// as it was.
	Routes *WantedRoutes `cbor:"15,keyasint,omitempty" since:"2"`

	// Entries are the entry addresses that concern the host; nil: they are as they were, or
	// none where all is sent.
	Entries *WantedEntries `cbor:"16,keyasint,omitempty" since:"2"`
}

// WantedTask is one task as its host must treat it.
type WantedTask struct {
	ID          TaskID        `cbor:"1,keyasint"`
	ModifyIndex uint64        `cbor:"2,keyasint"`
	Service     string        `cbor:"3,keyasint,omitempty"`
	Revision    RevisionID    `cbor:"4,keyasint,omitempty"`
	TaskDef     TaskDefID     `cbor:"5,keyasint"`
	Desired     TaskStatus    `cbor:"6,keyasint"`
	Ports       []PortBinding `cbor:"7,keyasint,omitempty"`
	Images      []ImagePin    `cbor:"8,keyasint,omitempty"`
	StopAfterMs int64         `cbor:"9,keyasint,omitempty"` // onDisconnect; 0 = keep
	GraceS      int           `cbor:"10,keyasint,omitempty"`
	Last        TaskStatus    `cbor:"11,keyasint"` // what State has recorded, so that the host knows what was heard
	// Groups are the target groups that it is in, of its revision: its host checks it as a
	// target of each, as the group's row in Routes says.
	Groups []GroupBinding `cbor:"12,keyasint,omitempty" since:"2"`
	// Overrides are what a standalone task is run with beyond its definition.
	Overrides *TaskOverrides `cbor:"13,keyasint,omitempty" since:"2"`
}

// WantedTaskVersion tells apart what a host was sent of one task at different times:
// where it is the same, so is the task. It is smaller than a task, so a stream keeps it
// of each that it has sent.
type WantedTaskVersion struct {
	modifyIndex uint64 // of the task's row
	desired     TaskStatus
	last        TaskStatus
	stopAfterMs int64 // of the service's row, as is the next
	graceS      int
}

// Version is what moves when the task does.
func (t *WantedTask) Version() WantedTaskVersion {
	return WantedTaskVersion{modifyIndex: t.ModifyIndex, desired: t.Desired, last: t.Last, stopAfterMs: t.StopAfterMs,
		graceS: t.GraceS}
}

// Wanted builds all that a host is sent. O(tasks the host holds). A host that is not
// known or was forgotten wants nothing.
func (s *State) Wanted(host HostID) Wanted {
	h := s.Host(host)
	if s.fleet == nil || h == nil {
		return Wanted{Index: s.index}
	}
	w := s.wantedPlace(h)
	for i := range wantedParts {
		wantedParts[i].put(s, h, &w)
	}
	return w
}

// WantedSince is Wanted without the parts that are as they were when a host's marks
// were taken, in the same session and epoch. Parts that are sent again each time are
// always there, and of those that know what changed since a mark it is only that.
func (s *State) WantedSince(h *Host, marks WantedMarks) Wanted {
	w := s.wantedPlace(h)
	for i := range wantedParts {
		switch p := &wantedParts[i]; {
		case !p.again && p.mark(s, h) == marks[i]:
		case p.since != nil && marks[i] != 0:
			p.since(s, h, marks[i], &w)
		default:
			p.put(s, h, &w)
		}
	}
	return w
}

func (s *State) wantedPlace(h *Host) Wanted {
	return Wanted{Fleet: s.fleet.ID, Epoch: s.fleet.Epoch, Index: s.index, Session: h.Session.N}
}

// wantedTask is a task as its host is sent it. One that has stopped depends on its own
// row alone: its service and revision may be gone.
func (s *State) wantedTask(t *Task) WantedTask {
	w := WantedTask{
		ID: t.ID, ModifyIndex: t.ModifyIndex, Service: t.Service, Revision: t.Revision, TaskDef: t.TaskDef,
		Desired: t.Desired, Ports: t.Ports, Images: t.Images, Last: t.Last,
	}
	if t.Stopped() {
		return w
	}
	w.Overrides = t.Overrides
	if r := s.Revision(t.Revision); r != nil {
		w.Images, w.Groups = r.Images, r.Groups
	}
	if v := s.Service(t.Service); v != nil {
		w.StopAfterMs, w.GraceS = v.OnDisconnect.StopAfterMs, v.GraceS
	}
	return w
}

func (s *State) putWantedTasks(h *Host, w *Wanted) {
	for t := range s.HeldBy(h.ID) {
		w.Tasks = append(w.Tasks, s.wantedTask(t))
	}
	slices.SortFunc(w.Tasks, func(a, b WantedTask) int { return strings.Compare(string(a.ID), string(b.ID)) })
	w.TaskDefs = s.wantedDefs(w.Tasks)
}

func (s *State) wantedDefs(tasks []WantedTask) []TaskDef {
	seen := map[TaskDefID]bool{}
	var defs []TaskDef
	for i := range tasks {
		if id := tasks[i].TaskDef; !seen[id] {
			seen[id] = true
			defs = append(defs, *s.TaskDef(id))
		}
	}
	slices.SortFunc(defs, func(a, b TaskDef) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return defs
}
