package fleet_test

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// deploymentConfig is one that fits, most of the time.
func (g *scenario) deploymentConfig() fleet.DeploymentConfig {
	c := fleet.DeploymentConfig{Strategy: fleet.Strategy(g.IntN(5)), BakeS: g.IntN(2)}
	switch c.Strategy {
	case fleet.Canary:
		c.CanaryShare = 1000
	case fleet.Linear:
		c.StepShare = 3000
	default:
	}
	if g.IntN(3) == 0 {
		c.Hooks = append(c.Hooks, fleet.Hook{Name: "look", Stages: []fleet.LifecycleStage{fleet.StagePreScaleUp},
			Pause: true})
	}
	if g.IntN(3) == 0 {
		c.Hooks = append(c.Hooks, fleet.Hook{Name: "ask", Stages: []fleet.LifecycleStage{fleet.StagePostScaleUp,
			fleet.PointRollbackStarted}, Webhook: &fleet.WebhookTarget{URL: "https://hooks.example/x"}})
	}
	if g.IntN(3) == 0 {
		c.Alarms.Names = []string{"errors"}
	}
	return c
}

// settingsOfHooks is a command about what hooks and alarms may name.
func (g *scenario) settingsOfHooks() fleet.Command {
	const target = "https://hooks.example/"
	switch g.IntN(12) {
	case 0:
		return fleet.DeleteHookTarget{Target: target}
	case 1:
		return fleet.DeleteHookTarget{Target: "task:smoke"}
	case 2:
		return fleet.PutHookTarget{Target: "task:smoke"}
	case 3:
		return fleet.DeleteAlarm{Name: "errors"}
	case 4, 5, 6:
		return fleet.PutHookTarget{Target: target}
	}
	c := fleet.PutAlarm{Name: "errors", URL: target + "prometheus", Query: "up", IntervalS: 10, Times: 1 + g.IntN(3)}
	if a := g.Alarm("errors"); a != nil {
		c.ExpectedModifyIndex = a.ModifyIndex
	}
	return c
}

// deploymentCommand is one about a deployment, most of the time a live one that goes on.
func (g *scenario) deploymentCommand() fleet.Command {
	var live []*fleet.Deployment
	for d := range g.LiveDeployments() {
		live = append(live, d)
	}
	if len(live) == 0 {
		return fleet.FinishDeployment{ID: "web.1", Status: fleet.DeploymentStopped}
	}
	d := live[g.IntN(len(live))]
	at := d.ModifyIndex - uint64(g.IntN(30)/29)
	if d.Status == fleet.DeploymentRollingBack && g.IntN(2) == 0 {
		return fleet.FinishDeployment{ID: d.ID, ExpectedModifyIndex: at,
			Status: fleet.DeploymentStatus(4 + g.IntN(4)), Reason: "game"}
	}
	for i := range d.Hooks {
		if r := &d.Hooks[i]; r.Open() && g.IntN(2) == 0 {
			return g.answer(d, at, r)
		}
	}
	switch g.IntN(20) {
	case 0:
		return fleet.OrderDeployment{ID: d.ID, Order: fleet.DeploymentOrder(g.IntN(7)), GoBack: g.IntN(9) == 0}
	case 1:
		return fleet.RollBackDeployment{ID: d.ID, ExpectedModifyIndex: at, Reason: "game"}
	case 2, 3, 4:
		return fleet.NoteDeployment{ID: d.ID, ExpectedModifyIndex: at, Shifted: true, WeightsIndex: d.WeightsIndex,
			Tripped: g.IntN(9) == 0}
	case 5:
		effect := g.intend().(fleet.IntendEffect)
		return fleet.AskAlarm{ID: d.ID, ExpectedModifyIndex: at, Alarm: "errors", Effect: effect}
	}
	if d.Stage == fleet.StageCleanUp {
		return fleet.FinishDeployment{ID: d.ID, ExpectedModifyIndex: at, Status: fleet.DeploymentStatus(4 + g.IntN(2))}
	}
	if waits := d.WaitsFor(); len(waits) > 0 && g.IntN(9) > 0 {
		return g.callHook(d, at, waits[0], d.Stage)
	}
	if d.Status == fleet.DeploymentRollingBack {
		return g.callHook(d, at, "ask", fleet.PointRollbackStarted)
	}
	return g.advance(d, at)
}

func (g *scenario) callHook(d *fleet.Deployment, at uint64, hook string, stage fleet.LifecycleStage) fleet.Command {
	c := fleet.BeginHook{ID: d.ID, ExpectedModifyIndex: at, Run: d.NextRun(), Hook: hook, Stage: stage}
	if hook == "ask" {
		effect := g.intend().(fleet.IntendEffect)
		c.Effect = &effect
	}
	return c
}

func (g *scenario) answer(d *fleet.Deployment, at uint64, r *fleet.HookRun) fleet.Command {
	if r.Status == fleet.HookAwaitingAction {
		return fleet.OrderDeployment{ID: d.ID, Order: fleet.OrderContinue, Run: r.ID, GoBack: g.IntN(5) == 0}
	}
	if g.IntN(5) == 0 {
		effect := g.intend().(fleet.IntendEffect)
		return fleet.BeginHook{ID: d.ID, ExpectedModifyIndex: at, Run: r.ID, Hook: r.Hook, Stage: r.Stage, Effect: &effect}
	}
	return fleet.FinishHook{ID: d.ID, ExpectedModifyIndex: at, Run: r.ID, Status: fleet.HookStatus(1 + g.IntN(5)),
		NextCall: g.at + fleet.Time(g.IntN(2000)), Answer: fmt.Sprint("game ", g.IntN(9))}
}

// advance takes a deployment on, or raises a weight where it is.
func (g *scenario) advance(d *fleet.Deployment, at uint64) fleet.Command {
	c := fleet.AdvanceDeployment{ID: d.ID, ExpectedModifyIndex: at, Stage: d.Stage, Step: d.Step, Production: d.Production,
		Test: d.Test}
	if next, step, ok := d.Next(); ok && g.IntN(4) > 0 {
		c.Stage, c.Step = next, step
	}
	switch c.Stage {
	case fleet.StageTestTrafficShift:
		c.Test = fleet.TotalWeight
	case fleet.StageProductionTrafficShift:
		c.Production = max(c.Production, d.Config.StepTo(c.Step))
	default:
	}
	return c
}
