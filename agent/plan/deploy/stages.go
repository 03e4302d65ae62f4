package deploy

import (
	"fmt"
	"strings"
	"time"

	"skein/raftfsm/fleet"
)

// stage is what a deployment does in a stage, beside the hooks: what must be so before they
// are called, and before it ends. Why is how it ended, for the history.
type stage struct {
	begin func(*inputs) *wait
	end   func(*inputs) (why string, w *wait)
}

// stages is the stage table of ../DESIGN.md.
var stages = map[fleet.LifecycleStage]stage{
	fleet.StageReconcileService:           {end: reconciled},
	fleet.StagePreScaleUp:                 {},
	fleet.StageScaleUp:                    {end: scaledUp},
	fleet.StagePostScaleUp:                {},
	fleet.StageTestTrafficShift:           {begin: shifted, end: tested},
	fleet.StagePostTestTrafficShift:       {},
	fleet.StagePreProductionTrafficShift:  {},
	fleet.StageProductionTrafficShift:     {begin: shifted, end: stepOver},
	fleet.StagePostProductionTrafficShift: {},
	fleet.StageBakeTime:                   {end: baked},
	fleet.StageCleanUp:                    {end: cleanedUp},
}

// reconciled: no alarm fires, and what an earlier deployment has left is gone where the
// target is to be bound to the groups that it is in.
func reconciled(n *inputs) (string, *wait) {
	if w := n.alarmsAtStart(); w != nil {
		return "", w
	}
	if !n.removesLeftovers() {
		return "nothing is left of earlier deployments", nil
	}
	if left := n.left(); left > 0 {
		w := waits(codeTasks, "%s: %d tasks of earlier deployments stop", n.deployment.ID, left)
		if whole := n.service.Desired; n.blue.Serving < whole {
			w.message += fmt.Sprintf(" as tasks of %s take their place, %d of %d are healthy; with strategy ROLLING a "+
				"deployment does not wait for them", n.blue.id, n.blue.Serving, whole)
			w.counts = true
		}
		return "", w
	}
	return "nothing is left of earlier deployments", nil
}

// removesLeftovers reports whether revisions that are neither target nor blue go before the
// target starts. Without blue they are what serves.
func (n *inputs) removesLeftovers() bool { return n.shifts() && n.deployment.Blue != "" }

// scaledUp: all of the target is healthy, and of a rolling deployment nothing else is left,
// or enough is healthy for its early success.
func scaledUp(n *inputs) (string, *wait) {
	if need := n.need(); n.target.Serving < need {
		return "", n.waitsForTasks(n.target, need, "")
	}
	why := fmt.Sprintf("%d of %d tasks of %s are healthy", n.target.Serving, n.service.Desired, n.target.id)
	if before := n.before(); before > 0 && !n.shifts() && n.deployment.Config.EarlySuccess == nil {
		return "", waits(codeTasks, "%s: %s, %d tasks of before stop", n.deployment.ID, why, before)
	}
	return why, nil
}

// need is how many healthy tasks the target needs.
func (n *inputs) need() int { return n.deployment.Needs(n.service.Desired) }

// routesFor is how long hosts usually take to serve new weights: a wait for them is said
// after that.
const routesFor = 5 * time.Second

// shifted: every host serves the weights.
func shifted(n *inputs) *wait {
	if n.deployment.ShiftedAt != 0 {
		return nil
	}
	return n.waitsForRoutes(n.deployment.StageSince)
}

func (n *inputs) waitsForRoutes(since fleet.Time) *wait {
	w := waits(codeRoutes, "%s: its weights are not served yet by %s", n.deployment.ID, hostList(n.missing))
	w.after = since.Add(routesFor)
	return w
}

func hostList(ids []fleet.HostID) string {
	const shown = 3
	names := make([]string, 0, shown)
	for _, id := range ids[:min(shown, len(ids))] {
		names = append(names, string(id))
	}
	text := strings.Join(names, ", ")
	if more := len(ids) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more hosts", more)
	}
	return text
}

func tested(n *inputs) (string, *wait) {
	if !n.testRules {
		return "no test rule", nil
	}
	return "all test traffic goes to " + string(n.deployment.Target), nil
}

// stepOver: the wait after a shift that is not the last is over.
func stepOver(n *inputs) (string, *wait) {
	d := n.deployment
	why := share(d.Production) + " of traffic goes to " + string(d.Target)
	if until := d.WaitsUntil(); n.now < until {
		return "", waits(codeTime, "%s: %s until %s", d.ID, why, until)
	}
	return why, nil
}

// baked: the bake is over, and the target may be left alone.
func baked(n *inputs) (string, *wait) {
	d := n.deployment
	if until := d.WaitsUntil(); n.now < until {
		return "", waits(codeTime, "%s: bakes until %s", d.ID, until)
	}
	if !n.stands() {
		return "", n.waitsForTasks(n.target, n.need(), ", all before those of before go")
	}
	if d.Promote {
		return "promoted", nil
	}
	return fmt.Sprintf("baked for %s", seconds(d.Config.BakeS)), nil
}

// cleanedUp: of other revisions nothing is left, or it may be for later.
func cleanedUp(n *inputs) (string, *wait) {
	if early := n.deployment.Config.EarlySuccess; early != nil && early.Deferred && !n.shifts() {
		return fmt.Sprintf("%d of %d tasks of %s are healthy", n.target.Serving, n.service.Desired, n.target.id), nil
	}
	if before := n.before(); before > 0 {
		return "", waits(codeTasks, "%s: %d tasks of before stop", n.deployment.ID, before)
	}
	return string(n.target.id) + " serves alone", nil
}

// share is basis points as people read them: "12.5 %".
func share(points int) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%02d", points/100, points%100), "0"), ".") + " %"
}
