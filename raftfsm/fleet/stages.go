package fleet

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// What follows says how a deployment goes on, from its own row alone: the stages of its
// strategy, the steps of traffic, which hooks a stage waits for. Planners ask it for
// what comes next, and Apply for what is refused.

// MaxStage is how long a deployment may stay in one stage or step, the bake aside.
// Source: ECS guide, deployment life-cycle stages.
const MaxStage = 24 * time.Hour

// MaxDeployment is how long a deployment may take. Source: ECS guide, service deployments.
const MaxDeployment = 30 * 24 * time.Hour

// MakeDeploymentID is the id of a service's n-th deployment.
func MakeDeploymentID(service string, n int) DeploymentID {
	return DeploymentID(service + "." + strconv.Itoa(n))
}

// Split returns service and number; the number is 0 where the id has none.
func (id DeploymentID) Split() (service string, n int) { return splitNumbered(string(id), ".") }

var (
	rollingStages = []LifecycleStage{StageReconcileService, StagePreScaleUp, StageScaleUp, StagePostScaleUp, StageBakeTime,
		StageCleanUp}
	shiftingStages = []LifecycleStage{StageReconcileService, StagePreScaleUp, StageScaleUp, StagePostScaleUp,
		StageTestTrafficShift, StagePostTestTrafficShift, StagePreProductionTrafficShift, StageProductionTrafficShift,
		StagePostProductionTrafficShift, StageBakeTime, StageCleanUp}
)

// Stages are those that a deployment goes through, in order. Strategies that shift in
// steps go through the two of production traffic once for each step.
func (s Strategy) Stages() []LifecycleStage {
	if s.Shifts() {
		return slices.Clone(shiftingStages)
	}
	return slices.Clone(rollingStages)
}

// has reports whether the strategy goes through a stage.
func (s Strategy) has(stage LifecycleStage) bool {
	return slices.Contains(shiftingStages, stage) && (s.Shifts() || slices.Contains(rollingStages, stage))
}

// Steps is how many shifts of production traffic there are; 0 for Rolling.
func (c *DeploymentConfig) Steps() int {
	switch c.Strategy {
	case BlueGreen:
		return 1
	case Canary:
		if c.CanaryShare >= TotalWeight {
			return 1
		}
		return 2
	case Linear:
		return (TotalWeight + c.StepShare - 1) / max(1, c.StepShare)
	default:
		return 0
	}
}

// StepTo is the share of production traffic, in basis points, that the target has after
// a step, from 1.
func (c *DeploymentConfig) StepTo(step int) int {
	switch {
	case step >= c.Steps():
		return TotalWeight
	case step <= 0:
		return 0
	case c.Strategy == Canary:
		return c.CanaryShare
	default:
		return step * c.StepShare
	}
}

// Goal is the share of production traffic, in basis points, that the target is to have
// in the deployment's present step: more than Production while the shift waits.
func (d *Deployment) Goal() int {
	if d.Step > 0 && d.Promote {
		return TotalWeight
	}
	return d.Config.StepTo(d.Step)
}

// Next is the stage and step that follow; ok is false in the last stage.
func (d *Deployment) Next() (stage LifecycleStage, step int, ok bool) {
	if d.Stage == StageProductionTrafficShift && d.Production < TotalWeight {
		return StagePreProductionTrafficShift, d.Step + 1, true
	}
	stages := d.Config.Strategy.Stages()
	i := slices.Index(stages, d.Stage) // -1 before the first
	if i+1 == len(stages) {
		return 0, d.Step, false
	}
	if stages[i+1] == StagePreProductionTrafficShift {
		return stages[i+1], 1, true
	}
	return stages[i+1], d.Step, true
}

// NextRun is the id of the next HookRun.
func (d *Deployment) NextRun() string { return string(d.ID) + "-" + strconv.Itoa(len(d.Hooks)+1) }

// HookRun returns a call of a hook by its id, or nil.
func (d *Deployment) HookRun(id string) *HookRun {
	if i := d.hookRun(id); i >= 0 {
		return &d.Hooks[i]
	}
	return nil
}

func (d *Deployment) hookRun(id string) int {
	return slices.IndexFunc(d.Hooks, func(r HookRun) bool { return r.ID == id })
}

// RunOf returns the call of a hook at a stage and step, or nil where it was not called.
func (d *Deployment) RunOf(hook string, stage LifecycleStage, step int, undo bool) *HookRun {
	for i := range d.Hooks {
		if r := &d.Hooks[i]; r.Hook == hook && r.Stage == stage && r.Step == step && r.Undo == undo {
			return r
		}
	}
	return nil
}

// HookStep is the step that calls of hooks at a stage have: that of the deployment at
// the two stages of production traffic, and 0 at any other.
func (d *Deployment) HookStep(stage LifecycleStage) int {
	if stage == StagePreProductionTrafficShift || stage == StageProductionTrafficShift {
		return d.Step
	}
	return 0
}

// HooksAt are the names of the hooks that are called at a stage, the probe among them.
func (c *DeploymentConfig) HooksAt(stage LifecycleStage) []string {
	var names []string
	for i := range c.Hooks {
		if slices.Contains(c.Hooks[i].Stages, stage) {
			names = append(names, c.Hooks[i].Name)
		}
	}
	if c.Probe != nil && stage == StagePostTestTrafficShift {
		names = append(names, ProbeHook)
	}
	return names
}

// Hook returns a hook by its name, or nil.
func (c *DeploymentConfig) Hook(name string) *Hook {
	for i := range c.Hooks {
		if c.Hooks[i].Name == name {
			return &c.Hooks[i]
		}
	}
	return nil
}

// WaitsFor are the names of the hooks at the deployment's present stage and step that
// have not let it go on: not called, without a verdict, or failed.
func (d *Deployment) WaitsFor() []string {
	var waits []string
	for _, name := range d.Config.HooksAt(d.Stage) {
		if r := d.RunOf(name, d.Stage, d.HookStep(d.Stage), false); r == nil || !d.passed(r) {
			waits = append(waits, name)
		}
	}
	return waits
}

// passed reports whether a call lets the deployment go on.
func (d *Deployment) passed(r *HookRun) bool {
	hook := d.Config.Hook(r.Hook)
	return r.Status == HookSucceeded || r.Status == HookTimedOut && hook != nil && hook.ContinueOnTimeout
}

// MayRollBack reports whether a deployment can go back to blue, once: until clean-up
// begins, and from there while traffic is shifted back to all of blue's tasks.
func (s *State) MayRollBack(d *Deployment) bool {
	if d.Status >= DeploymentRollingBack || d.Stage != StageCleanUp {
		return d.Status < DeploymentRollingBack
	}
	return d.Config.Strategy.Shifts() && d.Blue != "" &&
		s.Counts(d.Service, d.Blue).Serving >= s.Service(d.Service).Desired
}

// Needs is how many healthy tasks the target of a service's deployment needs.
func (d *Deployment) Needs(desired int) int {
	if early := d.Config.EarlySuccess; early != nil && !d.Config.Strategy.Shifts() {
		return max(min(1, desired), (desired*early.HealthyPercent+99)/100)
	}
	return desired
}

// MayCleanUp reports whether a deployment's target may be left alone: it has the healthy
// tasks that it needs; or has some, and what is missing is not its fault: no fewer than
// blue has beside it, or none of them failed lately.
func (s *State) MayCleanUp(d *Deployment, now Time) bool {
	healthy := s.CountsAt(d.Service, d.Target, now).Serving
	switch {
	case healthy >= d.Needs(s.Service(d.Service).Desired):
		return true
	case healthy == 0:
		return false
	case d.Config.Strategy.Shifts() && d.Blue != "":
		return healthy >= s.CountsAt(d.Service, d.Blue, now).Serving
	default:
		return s.BreakerFailures(d) == 0
	}
}

// Deadline is when the present stage must have ended: see MaxStage, which counts from the
// end of the bake in BAKE_TIME. Zero before the first stage.
func (d *Deployment) Deadline() Time {
	switch d.Stage {
	case 0:
		return 0
	case StageBakeTime:
		return max(d.StageSince, d.ResumedAt, d.WaitsUntil()).Add(MaxStage)
	default:
		return max(d.StageSince, d.ResumedAt).Add(MaxStage)
	}
}

// Ends is when the deployment must be over: see MaxDeployment.
func (d *Deployment) Ends() Time { return d.CreatedAt.Add(MaxDeployment) }

// share is basis points as people read them: "10 %", "2.5 %".
func share(points int) string {
	text := strconv.Itoa(points / 100)
	if rest := points % 100; rest != 0 {
		text += "." + strings.TrimRight(string([]byte{'0' + byte(rest/10), '0' + byte(rest%10)}), "0")
	}
	return text + " %"
}
