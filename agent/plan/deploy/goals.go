package deploy

import (
	"cmp"
	"slices"

	"skein/raftfsm/fleet"
)

// goals are how many tasks of which revision the service is to have while the deployment is
// where it is.
func (n *inputs) goals() fleet.PutGoals {
	d := n.deployment
	var g goals
	switch {
	case d.Status == fleet.DeploymentRollingBack && n.shifts() && n.targetGoes():
		return n.alone(n.blue, append(n.rest, n.target)...)
	case d.Status == fleet.DeploymentRollingBack && n.shifts():
		g.add(n.blue, n.service.Desired)
		g.hold(n.target, min(n.target.present(), n.service.Desired))
	case d.Status != fleet.DeploymentRollingBack && d.Stage < fleet.StageScaleUp && n.removesLeftovers():
		return n.alone(n.blue, n.rest...)
	case d.Status != fleet.DeploymentRollingBack && d.Stage < fleet.StageScaleUp:
		g = n.held(n.rest...)
		g.add(n.target, 0)
	case !n.shifts():
		return n.service.DefaultGoals()
	case d.Stage == fleet.StageCleanUp && (!n.mayGoBack || n.stands()):
		return n.alone(n.target)
	case d.Blue == "":
		g = n.held(n.rest...)
		g.add(n.target, n.service.Desired)
	default:
		g.add(n.blue, n.service.Desired)
		g.add(n.target, n.service.Desired)
	}
	return g.put(n.service)
}

// alone are the goals of one revision beside which all others go, as fast as their drains
// allow: each once a task of it is healthy instead, and at once those of unwanted that
// serve nobody, however the one that stays fares. There is room for it to replace what it
// loses while they are there.
func (n *inputs) alone(r revision, unwanted ...revision) fleet.PutGoals {
	var g goals
	g.add(r, n.service.Desired)
	for _, o := range unwanted {
		if n.idle(o.id) {
			g = append(g, fleet.RevisionGoal{Revision: o.id, Held: true, Idle: true})
		}
	}
	c := g.put(n.service)
	c.Max += n.service.Desired
	return c
}

// targetGoes reports whether nothing of a rollback needs the target any more: every host
// serves blue, and hooks that look at it have ended.
func (n *inputs) targetGoes() bool { return !unshifted(n.deployment) && n.undoneHooks() }

// held are goals that start nothing but blue: revisions keep what they have, and blue fills
// the place of what they lose. Where enough is healthy, nothing beyond that stays.
func (n *inputs) held(all ...revision) (g goals) {
	serving := n.blue.Serving
	for _, r := range all {
		serving += r.Serving
	}
	enough := serving >= n.service.Desired
	blue := min(n.blue.present(), n.service.Desired)
	if enough {
		blue = min(n.blue.Serving, n.service.Desired)
	}
	left := n.service.Desired - blue
	for _, r := range all {
		keep := r.present()
		if enough {
			keep = min(left, r.Serving)
		}
		g.hold(r, keep)
		left = max(0, left-keep)
	}
	if n.blue.id != "" {
		g.add(n.blue, blue+left)
	}
	return g
}

// stopped are the goals of a deployment that ended where it was: no task of its target
// starts any more.
func (n *inputs) stopped() fleet.PutGoals {
	return n.held(append(n.rest, n.target)...).put(n.service)
}

// goals is a list of goals under way.
type goals []fleet.RevisionGoal

// add adds a revision's goal, with room for tasks that must move to start before those
// that they replace stop.
func (g *goals) add(r revision, desired int) {
	*g = append(*g, fleet.RevisionGoal{Revision: r.id, Desired: desired, Max: desired + min(desired, r.ToReplace)})
}

// hold adds the goal of a revision of which nothing starts.
func (g *goals) hold(r revision, keep int) {
	*g = append(*g, fleet.RevisionGoal{Revision: r.id, Desired: keep, Max: keep, Held: true})
}

// put is the command that puts the goals.
func (g goals) put(service *fleet.Service) fleet.PutGoals {
	slices.SortFunc(g, func(a, b fleet.RevisionGoal) int { return cmp.Compare(number(a.Revision), number(b.Revision)) })
	c := fleet.PutGoals{Service: service.Name, ServiceModifyIndex: service.ModifyIndex, Revisions: g}
	for _, r := range g {
		c.Max += r.Max
	}
	return c
}
