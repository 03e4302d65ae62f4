package fleet

import (
	"slices"
	"strings"
)

// Wanted is a host's part of the fleet's intent: what it obeys. Source:
// cmd/skein/DESIGN.md "Streams". TaskDefs holds each definition the tasks name, once, by id.
type Wanted struct {
	Fleet    FleetID      `cbor:"1,keyasint"`
	Epoch    uint64       `cbor:"2,keyasint"`
	Index    uint64       `cbor:"3,keyasint"`
	Session  uint64       `cbor:"4,keyasint"`
	Tasks    []WantedTask `cbor:"5,keyasint,omitempty"` // sorted by id; each not yet STOPPED, or Unconfirmed
	TaskDefs []TaskDef    `cbor:"6,keyasint,omitempty"`
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
}

// Wanted builds a host's part of the intent. O(tasks the host holds). A host
// that is not known or was forgotten wants nothing.
//
// Host.WantedModifyIndex moves when this changes, but for Last: what the host said
// itself does not wake its stream.
func (s *State) Wanted(host HostID) Wanted {
	h := s.Host(host)
	if s.fleet == nil || h == nil {
		return Wanted{Index: s.index}
	}
	w := Wanted{Fleet: s.fleet.ID, Epoch: s.fleet.Epoch, Index: s.index, Session: h.Session.N}
	for t := range s.HeldBy(host) {
		w.Tasks = append(w.Tasks, s.wantedTask(t))
	}
	slices.SortFunc(w.Tasks, func(a, b WantedTask) int { return strings.Compare(string(a.ID), string(b.ID)) })
	w.TaskDefs = s.wantedDefs(w.Tasks)
	return w
}

func (s *State) wantedTask(t *Task) WantedTask {
	w := WantedTask{
		ID: t.ID, ModifyIndex: t.ModifyIndex, Service: t.Service, Revision: t.Revision, TaskDef: t.TaskDef,
		Desired: t.Desired, Ports: t.Ports, Images: t.Images, Last: t.Last,
	}
	if r := s.Revision(t.Revision); r != nil {
		w.Images = r.Images
	}
	if v := s.Service(t.Service); v != nil {
		w.StopAfterMs, w.GraceS = v.OnDisconnect.StopAfterMs, v.GraceS
	}
	return w
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
