package invariant

import (
	"fmt"
	"slices"

	"skein/raftfsm/fleet"
)

// deployment is a deployment as its commands have it. Which revision it may go back to is
// read from its row when it is made, and judged then.
type deployment struct {
	id           fleet.DeploymentID
	made         uint64 // index of the log
	service      *service
	target, blue fleet.RevisionID
	config       fleet.DeploymentConfig
	stage        fleet.LifecycleStage
	step         int
	production   int // basis points of the target
	test         int
	back         bool // it goes back
	ended        bool
	calls        map[string]*hookCall // by the id of the run
	called       map[hookPlace]string // id of the run
	fires        map[string]bool      // alarms that are known to fire, by name
}

// stagesOf are the stages of a strategy, in order. Source: ECS guide, deployment life-cycle
// stages.
func stagesOf(s fleet.Strategy) []fleet.LifecycleStage {
	stages := []fleet.LifecycleStage{fleet.StageReconcileService, fleet.StagePreScaleUp, fleet.StageScaleUp,
		fleet.StagePostScaleUp}
	if s.Shifts() {
		stages = append(stages, fleet.StageTestTrafficShift, fleet.StagePostTestTrafficShift,
			fleet.StagePreProductionTrafficShift, fleet.StageProductionTrafficShift, fleet.StagePostProductionTrafficShift)
	}
	return append(stages, fleet.StageBakeTime, fleet.StageCleanUp)
}

// deploys takes in a deployment that a change of a service made.
func (c *Checker) deploys(s *service, id fleet.DeploymentID, config fleet.DeploymentConfig, after *fleet.State) {
	row := after.Deployment(id)
	if row == nil {
		return
	}
	before := s.deployment
	if config.Strategy == 0 {
		config.Strategy = fleet.Rolling
	}
	d := &deployment{id: id, made: c.log.index, service: s, target: s.revision, blue: row.Blue, config: config,
		calls: map[string]*hookCall{}, called: map[hookPlace]string{}, fires: map[string]bool{}}
	if before != nil && !before.ended {
		if before.stage == fleet.StageCleanUp && !before.back {
			s.good = before.target
		}
		before.ended = true
	}
	live := 0
	for other := range after.Deployments(s.name) {
		live += one(other.Live())
	}
	c.hold(oneLiveDeployment, live == 1, func() string {
		return fmt.Sprintf("%s: %d deployments are live once %s was made", s.name, live, id)
	})
	c.hold(backToGood, s.good == "" || d.blue == s.good, func() string {
		return fmt.Sprintf("%s would go back to %q, and the last that succeeded is of %s", id, d.blue, s.good)
	})
	if config.Strategy.Shifts() && d.blue != "" {
		green, blue := s.groups[d.target], s.groups[d.blue]
		c.hold(
			groupsApart,
			!slices.ContainsFunc(green, func(g fleet.TargetGroupName) bool { return slices.Contains(blue, g) }),
			func() string {
				return fmt.Sprintf("%s: tasks of %s are in %v, and blue's in %v", id, d.target, green, blue)
			},
		)
	}
	s.deployment = d
}

// deployment is the live one that a command is about; one that has ended takes none.
func (c *Checker) liveDeployment(id fleet.DeploymentID, what string) *deployment {
	name, _ := id.Split()
	s := c.model.services[name]
	if s == nil || s.deployment == nil || s.deployment.id != id || s.deployment.ended {
		c.hold(endIsFinal, c.log.cut, func() string {
			return fmt.Sprintf("a command that is not refused %s deployment %s, which is not live", what, id)
		})
		return nil
	}
	return s.deployment
}

// next is the stage and step that must follow.
func (d *deployment) next() (fleet.LifecycleStage, int) {
	if d.stage == fleet.StageProductionTrafficShift && d.production < fleet.TotalWeight {
		return fleet.StagePreProductionTrafficShift, d.step + 1
	}
	stages := stagesOf(d.config.Strategy)
	at := slices.Index(stages, d.stage) + 1
	if at == len(stages) {
		return 0, 0
	}
	if stages[at] == fleet.StagePreProductionTrafficShift {
		return stages[at], 1
	}
	return stages[at], d.step
}

// advances judges a deployment that goes on.
//
// I8: each stage follows the one before it, and no stage ends before each of its hooks has
// let it. I7: weights never fall, test traffic asks for all tasks, and production for as
// many healthy ones as its share is of those desired, all of them before the first.
// Source: ../../../raftfsm/fleet/DESIGN.md "Deployments".
func (c *Checker) advances(cmd fleet.AdvanceDeployment, planned uint64) {
	d := c.liveDeployment(cmd.ID, "advances")
	if d == nil {
		return
	}
	c.hold(stagesFollow, !d.back, func() string { return fmt.Sprintf("%s goes back, and is advanced", d.id) })
	if cmd.Stage != d.stage || cmd.Step != d.step {
		stage, step := d.next()
		c.hold(stagesFollow, cmd.Stage == stage && cmd.Step == step, func() string {
			return fmt.Sprintf(
				"%s goes from %s, step %d, to %s, step %d; %s, step %d, follows",
				d.id,
				d.stage,
				d.step,
				cmd.Stage,
				cmd.Step,
				stage,
				step,
			)
		})
		c.hooksLet(d)
		c.hold(alarmsFirst, d.stage <= fleet.StageReconcileService || d.stage > fleet.StageBakeTime || len(d.fires) == 0,
			func() string { return fmt.Sprintf("%s leaves %s while %v fire", d.id, d.stage, sorted(d.fires)) })
		d.stage, d.step = cmd.Stage, cmd.Step
	}
	c.raises(d, cmd, planned)
	d.production, d.test = cmd.Production, cmd.Test
}

// healthyOf counts the healthy tasks of a revision.
func (c *Checker) healthyOf(s *service, revision fleet.RevisionID) (healthy int) {
	for _, t := range s.live {
		healthy += one(t.revision == revision && t.isHealthy(c.model.now))
	}
	return healthy
}

func (c *Checker) raises(d *deployment, cmd fleet.AdvanceDeployment, planned uint64) {
	s, desired := d.service, d.service.newest().desired
	healthy := c.healthyOf(s, d.target)
	c.hold(weightsRise, cmd.Production >= d.production && cmd.Test >= d.test, func() string {
		return fmt.Sprintf(
			"%s: weights fall from %d and %d to %d and %d",
			d.id,
			d.production,
			d.test,
			cmd.Production,
			cmd.Test,
		)
	})
	need := 0
	if cmd.Production > d.production {
		need = (desired*cmd.Production + fleet.TotalWeight - 1) / fleet.TotalWeight
	}
	if cmd.Test > d.test {
		need = desired
	}
	c.hold(weightIsBorne, healthy >= need, func() string {
		return fmt.Sprintf(
			"%s: %s gets %d basis points of production and %d of test traffic with %d of %d tasks healthy",
			d.id,
			d.target,
			cmd.Production,
			cmd.Test,
			healthy,
			desired,
		)
	})
	if cmd.Production > 0 && d.production == 0 {
		fell, _ := s.fellSince(planned, c.model.now)
		want := min(desired, s.at(planned).desired)
		c.hold(weightIsBorne, healthy+fell >= want, func() string {
			return fmt.Sprintf("%s: %s gets its first production traffic with %d of %d tasks healthy", d.id, d.target, healthy,
				want)
		})
	}
}

// noted judges what was seen of a deployment: a shift is done where every host that the
// fleet takes for ready has served it at some time.
func (c *Checker) noted(cmd fleet.NoteDeployment) {
	d := c.liveDeployment(cmd.ID, "notes what was seen of")
	if d == nil {
		return
	}
	for _, a := range cmd.Alarms {
		delete(d.fires, a.Name)
		if a.Status == fleet.AlarmFires && !a.Ignored {
			d.fires[a.Name] = true
		}
	}
	if !cmd.Shifted {
		return
	}
	for _, id := range sorted(c.model.hosts) {
		h := c.model.hosts[id]
		c.hold(shiftIsServed, h.state != fleet.HostReady || c.routes[id] >= cmd.WeightsIndex || c.log.cut, func() string {
			return fmt.Sprintf("%s: the shift of index %d is said to be done, and %s has served routes up to %d", d.id,
				cmd.WeightsIndex, h.name, c.routes[id])
		})
	}
}

// ordered takes in what a person asked.
func (c *Checker) ordered(cmd fleet.OrderDeployment) {
	d := c.liveDeployment(cmd.ID, "orders")
	if d == nil {
		return
	}
	switch cmd.Order {
	case fleet.OrderRollback:
		c.goesBack(d)
	case fleet.OrderStop:
		c.ends(d, fleet.DeploymentStopped)
	case fleet.OrderContinue:
		if cmd.Run == "" {
			return
		}
		if !cmd.GoBack {
			c.verdict(d, cmd.Run, fleet.HookSucceeded)
			return
		}
		c.verdict(d, cmd.Run, fleet.HookFailed)
		c.goesBack(d)
	case fleet.OrderPause, fleet.OrderPromote:
	}
}

// goesBack begins a rollback: once, and from clean-up on only to a blue that is whole.
// Without blue it is an end.
func (c *Checker) goesBack(d *deployment) {
	whole := d.config.Strategy.Shifts() && d.blue != "" && c.healthyOf(d.service, d.blue) >= d.service.newest().desired
	c.hold(stagesFollow, !d.back && (d.stage != fleet.StageCleanUp || whole), func() string {
		return fmt.Sprintf("%s goes back at %s, going back: %v, blue is whole: %v", d.id, d.stage, d.back, whole)
	})
	d.back, d.production, d.test = true, 0, 0
	for _, call := range d.calls {
		if call.status == 0 {
			call.status = fleet.HookFailed // nobody waits for it
		}
	}
	if d.blue == "" {
		c.ends(d, fleet.DeploymentRollbackFailed)
	}
}

// ends takes in the end of a deployment.
func (c *Checker) ends(d *deployment, status fleet.DeploymentStatus) {
	d.ended = true
	if d.config.Strategy.Shifts() && (status == fleet.DeploymentSuccessful || d.blue != "") {
		d.service.goals = nil // they were for two revisions
	}
	if status != fleet.DeploymentSuccessful {
		return
	}
	c.hold(stagesFollow, d.stage == fleet.StageCleanUp && !d.back, func() string {
		return fmt.Sprintf("%s is %s at %s, going back: %v", d.id, status, d.stage, d.back)
	})
	d.service.good = d.target
}

// shifting is the live deployment of a service that shifts traffic from blue, or nil.
func (s *service) shifting() *deployment {
	if d := s.deployment; d != nil && !d.ended && d.blue != "" && d.config.Strategy.Shifts() {
		return d
	}
	return nil
}

// blueStays says that until clean-up a planner stops a healthy task of blue only where as
// many healthy ones as are desired stay, also of one that others are to replace: they are of
// blue. What was planned before the deployment was made knows nothing of it.
func (c *Checker) blueStays(t *task, planned uint64) {
	if t.service == nil {
		return
	}
	d := t.service.shifting()
	if d == nil || planned > 0 && d.made > planned || t.revision != d.blue || d.stage == fleet.StageCleanUp ||
		!t.isHealthy(c.model.now-planAge) ||
		planned > 0 && t.healthyAt > planned {
		return
	}
	s := t.service
	left := -1
	for _, other := range s.live {
		left += one(other.revision == d.blue && other.isHealthy(c.model.now))
	}
	fell, _ := s.fellSince(planned, c.model.now)
	want := min(s.newest().desired, s.at(planned).desired)
	c.hold(blueIsWhole, left+fell >= want, func() string {
		return fmt.Sprintf(
			"%s at %s: a planner stops task %s of blue, and %d healthy ones of %d are left",
			d.id,
			d.stage,
			t.id,
			left,
			want,
		)
	})
}

// wantsBlue says that goals keep all of blue until clean-up.
func (c *Checker) wantsBlue(s *service, by string) {
	d := s.shifting()
	if d == nil || by != "deploy" || d.stage == fleet.StageCleanUp {
		return
	}
	want := s.newest().desired
	c.hold(blueIsWhole, s.goals.of[d.blue].Desired >= want, func() string {
		return fmt.Sprintf("%s at %s: goals want %d of blue, the service %d", d.id, d.stage, s.goals.of[d.blue].Desired, want)
	})
}

// startsOf says that a rollback starts no task of what it takes back.
func (c *Checker) startsOf(s *service, revision fleet.RevisionID) {
	d := s.deployment
	if d == nil || d.ended || !d.config.Strategy.Shifts() {
		return
	}
	c.hold(rollbackStartsNone, !d.back || revision != d.target, func() string {
		return fmt.Sprintf("%s goes back, and a task of %s starts", d.id, revision)
	})
}

// deploymentDiffers says how the newest deployment of a service is not what its commands
// make it; empty when it is.
func (s *service) deploymentDiffers(row *fleet.Deployment) string {
	d := s.deployment
	if d == nil || row == nil {
		if d == nil && row == nil {
			return ""
		}
		return fmt.Sprintf("its newest deployment is %+v, want %+v", row, d)
	}
	if row.ID != d.id || row.Live() == d.ended || row.Live() && (row.Stage != d.stage || row.Step != d.step ||
		row.Production != d.production || row.Test != d.test || (row.Status == fleet.DeploymentRollingBack) != d.back) {
		return fmt.Sprintf(
			"deployment %s is %s at %s, step %d, with %d and %d; want %+v",
			row.ID,
			row.Status,
			row.Stage,
			row.Step,
			row.Production,
			row.Test,
			d,
		)
	}
	return ""
}

// deploymentFrom is a deployment as its row has it; nil where there is none.
func deploymentFrom(v *service, row *fleet.Deployment) *deployment {
	if row == nil {
		return nil
	}
	d := &deployment{id: row.ID, service: v, target: row.Target, blue: row.Blue, config: row.Config, stage: row.Stage,
		step: row.Step, production: row.Production, test: row.Test, back: row.Status == fleet.DeploymentRollingBack,
		ended: !row.Live(), calls: map[string]*hookCall{}, called: map[hookPlace]string{}, fires: map[string]bool{}}
	for i := range row.Hooks {
		r := &row.Hooks[i]
		call := &hookCall{place: hookPlace{r.Hook, r.Stage, r.Step, r.Undo}, effect: r.Effect, task: r.Task}
		if !r.Open() {
			call.status = r.Status
		}
		d.calls[r.ID], d.called[call.place] = call, r.ID
	}
	return d
}
