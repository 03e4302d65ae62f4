package invariant

import (
	"fmt"
	"slices"

	"skein/raftfsm/fleet"
)

// target is a task as a target of one group.
type target struct {
	group fleet.TargetGroupName
	state fleet.TargetState
}

// bind notes which groups the tasks of a service's revisions are targets in. Rows of
// revisions say so: what they must be is judged by rules.
func (c *Checker) bind(s *service, after *fleet.State) {
	if row := after.Revision(s.revision); row != nil && len(row.Groups) > 0 && s.groups[s.revision] == nil {
		s.groups[s.revision] = groupsOf(row)
	}
	for id, groups := range s.groups {
		row := after.Revision(id)
		if row == nil {
			delete(s.groups, id)
			continue
		}
		if now := groupsOf(row); !slices.Equal(now, groups) && len(now) == len(groups) {
			s.groups[id] = now
			c.rebind(s, id, groups, now)
		}
	}
}

func groupsOf(row *fleet.Revision) []fleet.TargetGroupName {
	groups := make([]fleet.TargetGroupName, len(row.Groups))
	for i := range row.Groups {
		groups[i] = row.Groups[i].Group
	}
	return groups
}

// rebind takes the tasks of a revision from groups to others. What is known of them stays.
func (c *Checker) rebind(s *service, revision fleet.RevisionID, from, to []fleet.TargetGroupName) {
	for _, t := range s.live {
		if t.revision != revision {
			continue
		}
		for i := range t.targets {
			if at := slices.Index(from, t.targets[i].group); at >= 0 {
				t.targets[i].group = to[at]
			}
		}
	}
}

// newTargets are those of a new task of a revision.
func (s *service) newTargets(revision fleet.RevisionID) []target {
	var list []target
	for _, group := range s.groups[revision] {
		list = append(list, target{group, fleet.TargetInitial})
	}
	return list
}

// hearTargets takes in what a host says of a task's targets: those that it leaves out stand,
// but begin anew where the task was started again.
func (t *task) hearTargets(r *fleet.TaskReport, anew bool) {
	for i := range t.targets {
		is := &t.targets[i]
		if anew {
			is.state = fleet.TargetInitial
		}
		for _, said := range r.Targets {
			if said.Group == is.group {
				is.state = said.State
			}
		}
	}
}

// judged reports whether anybody looks at how the task is: its own checks, or those of it
// as a target. Of others, time tells.
func (t *task) judged() bool { return t.def.checked || len(t.targets) > 0 }

// passes reports whether all that looks at the task finds it well.
func (t *task) passes() bool {
	return (!t.def.checked || t.health == fleet.HealthHealthy) &&
		!slices.ContainsFunc(t.targets, func(v target) bool { return v.state != fleet.TargetHealthy })
}

// fails reports whether something that looks at the task finds it bad.
func (t *task) fails() bool {
	return t.def.checked && t.health == fleet.HealthUnhealthy ||
		slices.ContainsFunc(t.targets, func(v target) bool { return v.state == fleet.TargetUnhealthy })
}

// targetsDiffer says how a task's targets are not as its host told; empty when they are.
func targetsDiffer(t *task, row *fleet.Task) string {
	same := len(row.Targets) == len(t.targets)
	for i := range t.targets {
		same = same && row.Targets[i].Group == t.targets[i].group && row.Targets[i].State == t.targets[i].state
	}
	if !same {
		return fmt.Sprintf("its targets are %+v, want %+v", row.Targets, t.targets)
	}
	return ""
}
