package sim

import (
	"slices"

	"skein/agent/plan"
	"skein/agent/plan/deploy"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

// deployMutations change what the planner of deployments says.
var deployMutations = map[Mutation]func(plan.Input, plan.Plan) plan.Plan{
	MutationBlueShrinks:    lessOfBlue(fleet.StageScaleUp),
	MutationCleanUpEarly:   lessOfBlue(fleet.StageBakeTime),
	MutationShiftUnseen:    shiftAtOnce,
	MutationRollbackStarts: keepGreen,
	MutationHookMadeUp:     succeedAtOnce,
	MutationHookIgnored: dropping(func(c fleet.Command) bool {
		back, is := c.(fleet.RollBackDeployment)
		return is && len(back.Reason) > 4 && back.Reason[:4] == "hook"
	}),
	MutationStageSkipped: skipStages,
	MutationNeverFinished: dropping(func(c fleet.Command) bool {
		_, is := c.(fleet.FinishDeployment)
		return is
	}),
	MutationGoalsLinger: putGoalsAgain,
}

// dropping leaves out commands.
func dropping(drop func(fleet.Command) bool) func(plan.Input, plan.Plan) plan.Plan {
	return func(_ plan.Input, p plan.Plan) plan.Plan {
		p.Items = slices.DeleteFunc(p.Items, func(i fleet.Item) bool { return drop(i.Command) })
		return p
	}
}

// shifting is the live deployment of a service that shifts traffic from blue, or nil.
func shifting(s *fleet.State, name string) *fleet.Deployment {
	if d := s.LiveDeployment(name); d != nil && d.Holds() && d.Status == fleet.DeploymentInProgress {
		return d
	}
	return nil
}

// lessOfBlue has goals want one task less of blue in a stage.
func lessOfBlue(at fleet.LifecycleStage) func(plan.Input, plan.Plan) plan.Plan {
	return func(in plan.Input, p plan.Plan) plan.Plan {
		for d := range in.State.LiveDeployments() {
			goals := in.State.Goals(d.Service)
			if shifting(in.State, d.Service) == nil || d.Stage != at || goals == nil {
				continue
			}
			put := fleet.PutGoals{Service: d.Service, ServiceModifyIndex: in.State.Service(d.Service).ModifyIndex,
				Max: goals.Max, Revisions: slices.Clone(goals.Revisions)}
			for i := range put.Revisions {
				if r := &put.Revisions[i]; r.Revision == d.Blue && r.Desired > 0 {
					r.Desired--
				}
			}
			p.Add(fleet.Item{By: deploy.By, Command: put})
		}
		return p
	}
}

// shiftAtOnce says of each shift that it is done.
func shiftAtOnce(in plan.Input, p plan.Plan) plan.Plan {
	for d := range in.State.LiveDeployments() {
		if d.WeightsIndex != 0 && d.ShiftedAt == 0 {
			p.Items = []fleet.Item{{By: deploy.By, Command: fleet.NoteDeployment{ID: d.ID,
				ExpectedModifyIndex: d.ModifyIndex, Shifted: true, WeightsIndex: d.WeightsIndex}}}
		}
	}
	return p
}

// keepGreen has goals of a rollback want all of green.
func keepGreen(in plan.Input, p plan.Plan) plan.Plan {
	for i, item := range p.Items {
		put, is := item.Command.(fleet.PutGoals)
		if !is {
			continue
		}
		d := in.State.LiveDeployment(put.Service)
		if d == nil || d.Status != fleet.DeploymentRollingBack {
			continue
		}
		desired := in.State.Service(put.Service).Desired
		put.Max = 2 * desired
		put.Revisions = []fleet.RevisionGoal{{Revision: d.Blue, Desired: desired, Max: desired},
			{Revision: d.Target, Desired: desired, Max: desired}}
		p.Items[i].Command = put
	}
	return p
}

// succeedAtOnce makes up the verdict of each hook that is under way.
func succeedAtOnce(in plan.Input, p plan.Plan) plan.Plan {
	for d := range in.State.LiveDeployments() {
		for _, r := range d.Hooks {
			if r.Status == fleet.HookInProgress {
				p.Items = []fleet.Item{{By: deploy.By, Command: fleet.FinishHook{ID: d.ID,
					ExpectedModifyIndex: d.ModifyIndex, Run: r.ID, Status: fleet.HookSucceeded, Answer: "made up"}}}
				return p
			}
		}
	}
	return p
}

// skipStages passes over the stage that follows the scaling up.
func skipStages(_ plan.Input, p plan.Plan) plan.Plan {
	for i, item := range p.Items {
		if c, is := item.Command.(fleet.AdvanceDeployment); is && c.Stage == fleet.StagePostScaleUp {
			c.Stage++
			p.Items[i].Command = c
		}
	}
	return p
}

// putGoalsAgain puts goals of a deployment that has ended.
func putGoalsAgain(in plan.Input, p plan.Plan) plan.Plan {
	for _, name := range in.Scope.Services() {
		v, d := in.State.Service(name), in.State.LastDeployment(name)
		if v == nil || v.Status != fleet.ServiceActive || d == nil || d.Status != fleet.DeploymentSuccessful {
			continue
		}
		if goals := in.State.Goals(name); goals == nil || goals.By != deploy.By {
			put := v.DefaultGoals()
			put.Max++
			p.Add(fleet.Item{By: deploy.By, Command: put})
		}
	}
	return p
}

// stopBlue stops a healthy task of blue once green has traffic.
func stopBlue(in plan.Input, p plan.Plan) plan.Plan {
	for _, name := range in.Scope.Services() {
		d := shifting(in.State, name)
		if d == nil || d.Stage < fleet.StagePostTestTrafficShift || d.Stage == fleet.StageCleanUp || len(p.Items) > 0 {
			continue
		}
		for t := range in.State.LiveTasksOfService(name) {
			if t.Revision == d.Blue && in.State.Healthy(t, in.Now) {
				p.Add(fleet.Item{By: service.By, Command: fleet.StopTasks{Tasks: []fleet.TaskID{t.ID},
					Cause: fleet.CauseRollout, Reason: "green has traffic"}})
				return p
			}
		}
	}
	return p
}

// withOtherWeights turns the shares that hosts are sent around where a rule has two groups.
func withOtherWeights(routes *fleet.WantedRoutes) *fleet.WantedRoutes {
	if routes == nil || routes.Rules == nil {
		return routes
	}
	changed, table := *routes, *routes.Rules
	changed.Rules, table.Rules = &table, slices.Clone(table.Rules)
	for i := range table.Rules {
		to := table.Rules[i].Action.Forward
		if to == nil || len(to.Groups) != 2 || to.Groups[0].Weight == to.Groups[1].Weight {
			continue
		}
		turned := *to
		turned.Groups = slices.Clone(to.Groups)
		turned.Groups[0].Weight, turned.Groups[1].Weight = to.Groups[1].Weight, to.Groups[0].Weight
		table.Rules[i].Action.Forward = &turned
	}
	return &changed
}
