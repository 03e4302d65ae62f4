package fleet

import "slices"

// Of returns the goal of a revision; ok is false for one that the service is to have
// no tasks of.
func (g *Goals) Of(revision RevisionID) (goal RevisionGoal, ok bool) {
	for _, r := range g.Revisions {
		if r.Revision == revision {
			return r, true
		}
	}
	return RevisionGoal{}, false
}

// Say reports whether a command asks for what the goals say already.
func (g *Goals) Say(c PutGoals) bool { return g.Max == c.Max && slices.Equal(g.Revisions, c.Revisions) }

// What follows is the arithmetic of a service's own numbers, for those who plan it and
// those who check the plan. Apply asks none of it.

// DefaultGoals are those of a service of which only the current revision is wanted.
func (v *Service) DefaultGoals() PutGoals {
	return PutGoals{
		Service: v.Name, ServiceModifyIndex: v.ModifyIndex, Max: v.MaxRunning(),
		Revisions: []RevisionGoal{{Revision: v.Revision, Desired: v.Desired, Max: v.MaxRunning()}},
	}
}

// MaxRunning is how many tasks of a service may be pending and running at once.
// Source: ECS API, DeploymentConfiguration.
func (v *Service) MaxRunning() int { return v.Desired * v.MaxPercent / 100 }

// MinHealthy is how many healthy running tasks of a service our own actions must
// leave. Source: ECS API, DeploymentConfiguration.
func (v *Service) MinHealthy() int { return (v.Desired*v.MinPercent + 99) / 100 }
