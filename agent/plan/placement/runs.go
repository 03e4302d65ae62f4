package placement

import (
	"iter"

	"skein/raftfsm/fleet"
)

// runs yields what is to be placed, a run of one task definition at a time, in
// the order of State.Unassigned.
func (p *planner) runs() iter.Seq[[]*fleet.Task] {
	return func(yield func([]*fleet.Task) bool) {
		var run []*fleet.Task
		for task := range p.unassigned() {
			if len(run) > 0 && (!sameRun(run[0], task) || len(run) == MaxClass) {
				if !yield(run) {
					return
				}
				run = nil
			}
			run = append(run, task)
		}
		if len(run) > 0 {
			yield(run)
		}
	}
}

func (p *planner) unassigned() iter.Seq[*fleet.Task] {
	if p.in.Scope.Full || p.in.Scope.Any(fleet.SubjectCapacity) {
		return p.in.State.Unassigned()
	}
	return p.scoped
}

// scoped yields the unassigned tasks in scope, in the order of State.Unassigned.
func (p *planner) scoped(yield func(*fleet.Task) bool) {
	for _, name := range p.in.Scope.Services() {
		for task := range p.in.State.UnassignedOfService(name) {
			if !yield(task) {
				return
			}
		}
	}
	p.scopedStandalone(yield)
}

// scopedStandalone yields whole classes of standalone tasks of which one is in
// scope, since only the first of a class carry its reason.
func (p *planner) scopedStandalone(yield func(*fleet.Task) bool) {
	defs := map[fleet.TaskDefID]bool{}
	for task := range p.in.State.UnassignedStandalone() {
		if p.in.Scope.Has(fleet.TaskSubject(task.ID)) {
			defs[task.TaskDef] = true
		}
	}
	for task := range p.in.State.UnassignedStandalone() {
		if defs[task.TaskDef] && !yield(task) {
			return
		}
	}
}
