package invariant

import (
	"fmt"
	"maps"
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

// hookPlace is where a hook is called, once.
type hookPlace struct {
	hook  string
	stage fleet.LifecycleStage
	step  int
	undo  bool
}

// hookCall is a call of a hook; status is its verdict, 0 while there is none.
type hookCall struct {
	place  hookPlace
	status fleet.HookStatus
	effect fleet.EffectID // the newest that carries it out
	task   fleet.TaskID
}

// shareAt is what a rule gave to target groups from an index of the log on.
type shareAt struct {
	index  uint64
	groups []fleet.GroupWeight
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

// hooksLet says that each hook of the stage that ends has let it.
func (c *Checker) hooksLet(d *deployment) {
	for _, name := range d.hooksAt(d.stage) {
		call := d.calls[d.called[hookPlace{name, d.stage, d.stepAt(d.stage), false}]]
		config := d.hook(name)
		let := call != nil && (call.status == fleet.HookSucceeded ||
			call.status == fleet.HookTimedOut && config != nil && config.ContinueOnTimeout)
		c.hold(hooksFirst, let, func() string {
			return fmt.Sprintf("%s leaves %s, step %d, and hook %s has not let it: %+v", d.id, d.stage, d.step, name, call)
		})
	}
}

func (d *deployment) hook(name string) *fleet.Hook {
	for i := range d.config.Hooks {
		if d.config.Hooks[i].Name == name {
			return &d.config.Hooks[i]
		}
	}
	return nil
}

func (d *deployment) hooksAt(stage fleet.LifecycleStage) (names []string) {
	for i := range d.config.Hooks {
		if slices.Contains(d.config.Hooks[i].Stages, stage) {
			names = append(names, d.config.Hooks[i].Name)
		}
	}
	if d.config.Probe != nil && stage == fleet.StagePostTestTrafficShift {
		names = append(names, fleet.ProbeHook)
	}
	return names
}

// stepAt is the step that calls of hooks at a stage have.
func (d *deployment) stepAt(stage fleet.LifecycleStage) int {
	if stage == fleet.StagePreProductionTrafficShift || stage == fleet.StageProductionTrafficShift {
		return d.step
	}
	return 0
}

// callsHook judges a call of a hook: at one stage and step a hook is called under one id, and
// not at all once it has a verdict, under any leader.
func (c *Checker) callsHook(cmd fleet.BeginHook) {
	d := c.liveDeployment(cmd.ID, "calls a hook of")
	if d == nil {
		return
	}
	place := hookPlace{cmd.Hook, cmd.Stage, d.stepAt(cmd.Stage), cmd.Undo}
	known, was := d.called[place]
	call := d.calls[cmd.Run]
	c.hold(
		hooksOnce,
		(!was || known == cmd.Run) && (call == nil || call.status == 0 && call.place == place),
		func() string {
			return fmt.Sprintf(
				"%s calls hook %s at %s as %s; it was called as %q: %+v",
				d.id,
				cmd.Hook,
				cmd.Stage,
				cmd.Run,
				known,
				call,
			)
		},
	)
	if call == nil {
		call = &hookCall{place: place}
		d.calls[cmd.Run], d.called[place] = call, cmd.Run
	}
	if cmd.Effect != nil {
		call.effect = cmd.Effect.ID
	}
	if cmd.Task != nil {
		call.task, call.effect = cmd.Task.Tasks[0], ""
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

// answered says that a hook succeeds by what carries it out, not before that has ended.
func (c *Checker) answered(d *deployment, cmd fleet.FinishHook) {
	call := d.calls[cmd.Run]
	if call == nil || cmd.Status != fleet.HookSucceeded {
		return
	}
	e, t := c.model.effects[call.effect], c.model.tasks[call.task]
	over := call.task == "" && e != nil && e.ended || t != nil && t.last == fleet.TaskStopped
	c.hold(verdictsAreAnswers, over, func() string {
		return fmt.Sprintf("call %s of %s is said to have succeeded: effect %+v, task %+v", cmd.Run, d.id, e, t)
	})
}

// verdict takes in what a call came to; a second verdict is none.
func (c *Checker) verdict(d *deployment, run string, status fleet.HookStatus) {
	call := d.calls[run]
	c.hold(hooksOnce, call != nil && call.status == 0, func() string {
		return fmt.Sprintf("call %s of %s is %s, and was %+v", run, d.id, status, call)
	})
	if call != nil && status > fleet.HookAwaitingAction {
		call.status = status
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

// rollouts judges, after an entry about traffic or deployments, the shares that rules give:
// those of people, but for what a live deployment divides between blue and green, and those
// of people again once a deployment has ended with one revision alone.
func (c *Checker) rollouts(e *Entry) {
	if !c.model.traffic {
		return
	}
	c.model.traffic = false
	for row := range e.After.Rules() {
		if row.Action.Forward == nil {
			continue
		}
		history := c.shares[row.ID]
		if n := len(history); n == 0 || !slices.Equal(history[n-1].groups, row.Action.Forward.Groups) {
			c.shares[row.ID] = append(history, shareAt{c.log.index, slices.Clone(row.Action.Forward.Groups)})
		}
	}
	for id, history := range c.shares {
		if e.After.Rule(id) == nil && history[len(history)-1].groups != nil {
			c.shares[id] = append(history, shareAt{c.log.index, nil})
		}
	}
	for _, name := range sorted(c.model.services) {
		c.divided(c.model.services[name], e.After)
	}
}

// unwanted reports whether a revision is one that a deployment which shifts traffic wants
// gone, and no rule gave traffic to its groups at an index of the log, 0 for now. Tasks that
// are in no group are found in other ways.
func (c *Checker) unwanted(s *service, revision fleet.RevisionID, at uint64) bool {
	d, groups := s.deployment, s.groups[revision]
	if d == nil || d.ended || d.blue == "" || !d.config.Strategy.Shifts() || revision == d.blue ||
		!d.back && (revision == d.target || d.stage >= fleet.StageScaleUp) {
		return false
	}
	for _, history := range c.shares {
		i := len(history) - 1
		for i > 0 && at > 0 && history[i].index > at {
			i--
		}
		for _, group := range groups {
			if weightOf(history[i].groups, group) > 0 {
				return false
			}
		}
	}
	return len(groups) > 0
}

// written notes what people wrote into rules. They cannot where a live deployment holds them.
func (c *Checker) written(after *fleet.State, ids ...fleet.RuleID) {
	c.model.traffic = true
	for _, id := range ids {
		delete(c.model.wrote, id)
		if row := after.Rule(id); row != nil && row.Action.Forward != nil {
			c.model.wrote[id] = slices.Clone(row.Action.Forward.Groups)
		}
	}
}

func (c *Checker) divided(s *service, after *fleet.State) {
	v := after.Service(s.name)
	if v == nil || s.deployment == nil {
		return
	}
	d := s.deployment
	for i := range v.LoadBalancers {
		lb := &v.LoadBalancers[i]
		if lb.AlternateGroup == "" || lb.ProductionRule != "" {
			continue
		}
		for row := range after.Rules() {
			wrote := c.model.wrote[row.ID]
			if row.Action.Forward == nil || wrote == nil || weightOf(wrote, lb.Group)+weightOf(wrote, lb.AlternateGroup) == 0 {
				continue
			}
			c.dividedRule(d, lb, row, wrote, after)
		}
	}
}

func (c *Checker) dividedRule(
	d *deployment, lb *fleet.LoadBalancer, row *fleet.Rule, wrote []fleet.GroupWeight, after *fleet.State,
) {
	s, groups := d.service, row.Action.Forward.Groups
	both := weightOf(groups, lb.Group) + weightOf(groups, lb.AlternateGroup)
	c.hold(weightsAddUp, both == weightOf(wrote, lb.Group)+weightOf(wrote, lb.AlternateGroup), func() string {
		return fmt.Sprintf("%s: rule %s gives %v, and people wrote %v", d.id, row.ID, groups, wrote)
	})
	if s.shifting() == d {
		points := d.production
		if row.ID == lb.TestRule {
			points = d.test
		}
		green := 0
		for _, group := range s.groups[d.target] {
			green += weightOf(groups, group)
		}
		c.hold(weightsAddUp, green == both*points/fleet.TotalWeight, func() string {
			return fmt.Sprintf("%s: rule %s gives %d of %d to %s, by the deployment it has %d basis points", d.id, row.ID, green,
				both, d.target, points)
		})
		return
	}
	if !d.ended || len(s.live) == 0 || !s.alone() {
		return
	}
	if last := after.Deployment(d.id); last == nil ||
		last.Status != fleet.DeploymentSuccessful && last.Status != fleet.DeploymentRolledBack {
		return
	}
	in := s.groups[s.revision] // none of one that was made before people gave the service groups
	c.hold(asWritten, slices.Equal(groups, wrote) && (len(in) == 0 || slices.Contains(in, lb.Group)), func() string {
		return fmt.Sprintf("%s has ended: rule %s gives %v, people wrote %v; %s is in %v", d.id, row.ID, groups, wrote,
			s.revision, in)
	})
}

// alone reports whether all tasks of a service are of its present revision.
func (s *service) alone() bool {
	for _, t := range s.live {
		if t.revision != s.revision {
			return false
		}
	}
	return true
}

func weightOf(groups []fleet.GroupWeight, name fleet.TargetGroupName) int {
	for _, w := range groups {
		if w.Group == name {
			return w.Weight
		}
	}
	return 0
}

// RoutesServed says what a host serves from now on: the shares of each rule are those that
// were committed at the index that it serves, or of a rule that has gone since.
func (c *Checker) RoutesServed(host fleet.HostID, index uint64, rules []fleet.Rule) {
	c.routes[host] = max(c.routes[host], index)
	for i := range rules {
		r := &rules[i]
		if r.Action.Forward == nil {
			continue
		}
		history := c.shares[r.ID]
		at := len(history) - 1
		for at >= 0 && history[at].index > index {
			at--
		}
		c.hold(servesShares, at >= 0 && slices.Equal(history[at].groups, r.Action.Forward.Groups), func() string {
			return fmt.Sprintf(
				"%s serves %v by rule %s at index %d, and committed were %+v",
				host,
				r.Action.Forward.Groups,
				r.ID,
				index,
				history,
			)
		})
	}
}

// forgetShares begins the history of shares anew: the log was cut.
func (c *Checker) forgetShares(s *fleet.State) {
	maps.DeleteFunc(c.shares, func(fleet.RuleID, []shareAt) bool { return true })
	for row := range s.Rules() {
		if row.Action.Forward != nil {
			c.shares[row.ID] = []shareAt{{0, slices.Clone(row.Action.Forward.Groups)}}
		}
	}
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
