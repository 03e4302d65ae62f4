package deploy

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// goBack leads a rollback to its end. Production is blue's already, by the command that
// began it: what is left is that every host serves that, that hooks are told, and that the
// target goes.
func goBack(n *inputs, out *decision) {
	d := n.deployment
	out.waits = n.goesBack(out)
	switch {
	case out.command != nil:
	case out.waits == nil:
		out.command = fleet.FinishDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex,
			Status: fleet.DeploymentRolledBack, Reason: d.Rollback.Reason}
	case n.now >= d.Rollback.StartedAt.Add(fleet.MaxStage):
		out.command = fleet.FinishDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex,
			Status: fleet.DeploymentRollbackFailed,
			Reason: fmt.Sprintf("it did not end in %s: %s; it began since %s", fleet.MaxStage, out.waits.message,
				d.Rollback.Reason)}
	default:
		out.wakes = append(out.wakes, d.Rollback.StartedAt.Add(fleet.MaxStage))
	}
}

// goesBack takes the steps of a rollback in order, and says what the present one waits for;
// nil once all are done, or where there is a command.
func (n *inputs) goesBack(out *decision) *wait {
	d := n.deployment
	if unshifted(d) {
		return n.waitsForRoutes(d.Rollback.StartedAt)
	}
	if !n.callHooks(out, n.undone()...) {
		return out.waits
	}
	if w := n.blueAlone(); w != nil {
		return w
	}
	if !n.callHooks(out, position{stage: fleet.PointRollbackEnded}) {
		return out.waits
	}
	return nil
}

// undone are the positions whose hooks are called once traffic is blue's again: the
// beginning of the rollback, and the shifts that were made.
func (n *inputs) undone() []position {
	at := []position{{stage: fleet.PointRollbackStarted}}
	d := n.deployment
	for _, stage := range []fleet.LifecycleStage{fleet.StageTestTrafficShift, fleet.StageProductionTrafficShift} {
		if n.shifts() && d.Stage >= stage {
			at = append(at, position{stage, d.HookStep(stage), true})
		}
	}
	return at
}

// undoneHooks reports whether each hook that is called before the target goes has ended.
func (n *inputs) undoneHooks() bool {
	d := n.deployment
	for _, p := range n.undone() {
		for _, name := range d.Config.HooksAt(p.stage) {
			if r := d.RunOf(name, p.stage, p.step, p.undo); r == nil || r.Open() {
				return false
			}
		}
	}
	return true
}

// blueAlone says what is missing until all of blue serves and nothing else is left.
func (n *inputs) blueAlone() *wait {
	if left := n.left() + n.target.Total; left > 0 {
		return waits(codeTasks, "%s is rolled back: %d tasks of %s stop", n.deployment.ID, left, n.target.id)
	}
	if n.blue.Serving < n.service.Desired {
		return n.waitsForTasks(n.blue, n.service.Desired, " after the rollback")
	}
	return nil
}
