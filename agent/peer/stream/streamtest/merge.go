// Package streamtest has a host that believes every frame of a stream.
package streamtest

import (
	"cmp"
	"fmt"
	"slices"

	"skein/agent/peer/stream"
	"skein/raftfsm/fleet"
)

// Merge is a host that believes every frame: the model that frames are tested
// against.
func Merge(held fleet.Wanted, d stream.VoterFrame) (fleet.Wanted, error) {
	if d.Epoch < held.Epoch || d.Epoch == held.Epoch && d.Index < held.Index {
		return held, fmt.Errorf("frame of index %d after %d", d.Index, held.Index)
	}
	next := d.Wanted
	next.Removed = nil
	next.Routes = wholeOf(fleet.Routes{}.With(held.Routes).With(d.Routes))
	if d.Entries == nil && !d.Complete() {
		next.Entries = held.Entries
	}
	if !d.Complete() {
		next.Tasks, next.TaskDefs = held.Tasks, held.TaskDefs
	}
	switch {
	case d.Complete():
	case d.Session != held.Session:
		return held, fmt.Errorf("frame of session %d without a snapshot, have %d", d.Session, held.Session)
	case d.Kind == stream.KindBeat && len(d.Tasks)+len(d.Removed) > 0:
		return held, fmt.Errorf("a beat with tasks")
	case d.Kind == stream.KindDelta:
		next.Tasks = mergeTasks(held.Tasks, d)
		next.TaskDefs = append(slices.Clip(held.TaskDefs), d.TaskDefs...)
	}
	return keepDefs(next)
}

// wholeOf are routes as State.Wanted has them; nil for none.
func wholeOf(r fleet.Routes) *fleet.WantedRoutes {
	if r.Empty() {
		return nil
	}
	return &fleet.WantedRoutes{Whole: true, Groups: r.Groups, Rules: r.RuleTable()}
}

func mergeTasks(held []fleet.WantedTask, d stream.VoterFrame) []fleet.WantedTask {
	byID := map[fleet.TaskID]fleet.WantedTask{}
	for _, t := range held {
		byID[t.ID] = t
	}
	for _, id := range d.Removed {
		delete(byID, id)
	}
	for _, t := range d.Tasks {
		byID[t.ID] = t
	}
	var out []fleet.WantedTask
	for _, t := range byID {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b fleet.WantedTask) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// keepDefs leaves the definitions that tasks name, once each, by id.
func keepDefs(w fleet.Wanted) (fleet.Wanted, error) {
	have := map[fleet.TaskDefID]fleet.TaskDef{}
	for _, def := range w.TaskDefs {
		have[def.ID] = def
	}
	w.TaskDefs = nil
	used := map[fleet.TaskDefID]bool{}
	for _, t := range w.Tasks {
		def, ok := have[t.TaskDef]
		if !ok {
			return w, fmt.Errorf("task %s names definition %s, which was never sent", t.ID, t.TaskDef)
		}
		if !used[t.TaskDef] {
			used[t.TaskDef] = true
			w.TaskDefs = append(w.TaskDefs, def)
		}
	}
	slices.SortFunc(w.TaskDefs, func(a, b fleet.TaskDef) int { return cmp.Compare(a.ID, b.ID) })
	return w, nil
}
