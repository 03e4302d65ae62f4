package view

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/ecs"
	"skein/agent/plan"
	"skein/agent/plan/placement"
	"skein/raftfsm/fleet"
)

func planEndpoints() []Endpoint {
	return []Endpoint{{
		Spec: endpoint.Get("/v1/services/{name}/plan",
			"What a deployment of the service would need, and how long it would take",
			types.DeploymentPlan{}, endpoint.With),
		Read: (*View).plan,
	}}
}

// plan reads what would be given to an update, and changes nothing.
func (v *View) plan() (any, error) {
	s, err := FindService(v.State, v.PathValue("name"))
	if err != nil {
		return nil, err
	}
	in := ecs.Service{}
	if with := v.param(endpoint.With.Name); with != "" {
		if in, err = ecs.ReadUpdate([]byte(with), ecs.Options{}); err != nil {
			return nil, err
		}
	}
	wanted := *s
	given(&wanted.Desired, in.Desired)
	given(&wanted.MinPercent, in.MinPercent)
	given(&wanted.MaxPercent, in.MaxPercent)
	config, _ := in.Deployment.Over(&s.Deployment, false)
	ref := in.TaskDef
	if r := v.State.Revision(s.Revision); ref == "" && r != nil {
		ref = string(r.TaskDef)
	}
	def, err := FindTaskDef(v.State, ref)
	if err != nil {
		return nil, err
	}
	p := PlanDeployment(v.State, &wanted, &config, def)
	p.Meta = v.Meta
	return p, nil
}

func given(field, value *int) {
	if value != nil {
		*field = *value
	}
}

// PlanDeployment says what a deployment of a service would need of the fleet as it is, and
// how long it would take. It estimates: what placement decides later may differ.
func PlanDeployment(
	st *fleet.State, s *fleet.Service, config *fleet.DeploymentConfig, def *fleet.TaskDef,
) *types.DeploymentPlan {
	p := &types.DeploymentPlan{Service: s.Name, Strategy: strategyOf(config).String(), TaskDef: string(def.ID),
		Hosts: []types.PlannedHost{}}
	held := map[fleet.HostID]int{}
	for t := range st.LiveTasksOfService(s.Name) {
		if d := st.TaskDef(t.TaskDef); d != nil && !t.Stopped() {
			p.Now.Tasks++
			p.Now.CPU += d.Reservation().CPU
			p.Now.Memory += d.Reservation().Memory
			held[t.Host]++
		}
	}
	added := s.Desired
	if !config.Strategy.Shifts() {
		added = max(0, s.Desired*s.MaxPercent/100-s.Desired)
	}
	p.New = reservations(def, added)
	p.Most = types.Reservation{Tasks: p.Now.Tasks + added, Resources: types.Resources{
		CPU: p.Now.CPU + p.New.CPU, Memory: p.Now.Memory + p.New.Memory}}
	taken, why := placed(st, def, added)
	for h := range st.Hosts() {
		if n := taken[h.ID]; n+held[h.ID] > 0 {
			p.Hosts = append(p.Hosts, types.PlannedHost{Host: types.Clean(h.Name), Zone: types.Clean(h.Zone), Now: held[h.ID],
				Tasks: n})
			added -= n
		}
	}
	slices.SortFunc(p.Hosts, func(a, b types.PlannedHost) int { return cmp.Compare(a.Host, b.Host) })
	if p.Missing = added; p.Missing > 0 {
		p.Why = whyMissing(p, config, def, why)
	}
	p.Stages = plannedStages(st, s, config)
	for _, stage := range p.Stages {
		p.Seconds += stage.Seconds
	}
	return p
}

// reservations are those of so many tasks of a definition.
func reservations(def *fleet.TaskDef, tasks int) types.Reservation {
	need := def.Reservation()
	return types.Reservation{Tasks: tasks,
		Resources: types.Resources{CPU: int64(tasks) * need.CPU, Memory: int64(tasks) * need.Memory}}
}

func whyMissing(p *types.DeploymentPlan, config *fleet.DeploymentConfig, def *fleet.TaskDef, why string) string {
	need := def.Reservation()
	text := fmt.Sprintf("%d of %d tasks of %s find no host with cpu %d, memory %d MiB", p.Missing, p.New.Tasks, def.ID,
		need.CPU, need.Memory)
	if ports := fixedPorts(def); len(ports) > 0 {
		text += fmt.Sprintf(" and host port %d free", ports[0].HostPort)
	}
	if why != "" {
		text += " (" + types.Clean(why) + ")"
	}
	if config.Strategy.Shifts() {
		return fmt.Sprintf("%s: %s keeps both versions at full size; add hosts, have fewer tasks, or deploy with ROLLING, "+
			"which replaces them a few at a time", text, config.Strategy)
	}
	return text + ": fewer are started at a time, and the deployment takes longer"
}

func fixedPorts(def *fleet.TaskDef) (fixed []fleet.PortMapping) {
	for i := range def.Containers {
		for _, m := range def.Containers[i].PortMappings {
			if m.HostPort != 0 {
				fixed = append(fixed, m)
			}
		}
	}
	return fixed
}

// placed asks placement where so many more tasks of a definition would go now: how many each
// host takes, and why the rest find none. Nothing else that waits for a host is in the way.
func placed(st *fleet.State, def *fleet.TaskDef, tasks int) (taken map[fleet.HostID]int, why string) {
	trial := st.Clone()
	taken = map[fleet.HostID]int{}
	mine := map[fleet.TaskID]bool{}
	var items []fleet.Item
	for len(mine) < tasks {
		run := fleet.RunTasks{TaskDef: def.ID}
		for len(run.Tasks) < fleet.MaxRunTasks && len(mine) < tasks {
			id := fleet.TaskID(fmt.Sprintf("plan-%010d", len(mine)))
			mine[id] = true
			run.Tasks = append(run.Tasks, id)
		}
		items = append(items, fleet.Item{By: "plan", Command: run})
	}
	alive := plan.FleetLiveness{Hosts: map[fleet.HostID]plan.HostLiveness{}}
	for h := range st.Hosts() {
		alive.Hosts[h.ID] = plan.HostLiveness{Liveness: plan.LivenessAlive}
	}
	for len(items) > 0 {
		trial.Apply(trial.Index()+1, fleet.Entry{At: trial.Now(), Items: items})
		next := placement.Next(plan.Input{State: trial, Liveness: alive, Now: trial.Now(), Scope: plan.Scope{Full: true},
			NewID: func() fleet.TaskID { return "" }})
		items = nil
		for _, item := range next.Items {
			switch c := item.Command.(type) {
			case fleet.PlaceTasks:
				items = append(items, item)
			case fleet.PutCondition:
				if mine[fleet.TaskID(c.Subject.Name)] {
					why = c.Message
				}
			}
		}
	}
	for t := range trial.Tasks() {
		if mine[t.ID] && t.Host != "" {
			taken[t.Host]++
		}
	}
	return taken, why
}

// Estimates of what nobody has measured yet, in seconds.
const (
	guessedStart = 15 // a task from its place to healthy
	settling     = 40 // a task without checks counts as healthy after. Source: ECS guide, service scheduler
	shiftTakes   = 1
	stopTakes    = 5
)

func plannedStages(st *fleet.State, s *fleet.Service, config *fleet.DeploymentConfig) []types.PlannedStage {
	start, drain := startTakes(st, s), drainTakes(st, s)
	var all []types.PlannedStage
	d := fleet.Deployment{Config: *config}
	d.Config.Strategy = strategyOf(config)
	for {
		stage, step, ok := d.Next()
		if !ok {
			return all
		}
		d.Stage, d.Step = stage, step
		row := types.PlannedStage{Stage: stage.String(), Phase: stage.Phase(), Hooks: config.HooksAt(stage)}
		switch stage {
		case fleet.StageScaleUp:
			row.Seconds, row.Note = scaleUpTakes(s, &d.Config, start, drain)
		case fleet.StageTestTrafficShift:
			row.Seconds = shiftTakes
		case fleet.StageProductionTrafficShift:
			d.Production = d.Goal()
			row.Seconds = shiftTakes
			if d.Production < fleet.TotalWeight {
				row.Seconds += config.StepBakeS
			}
		case fleet.StageBakeTime:
			row.Seconds = config.BakeS
		case fleet.StageCleanUp:
			if config.Strategy.Shifts() {
				row.Seconds = drain + stopTakes
			}
		default:
		}
		if config.Strategy.Shifts() && stage >= fleet.StagePreProductionTrafficShift {
			row.Step = step
		}
		row.Percent = percent(d.Production)
		if !config.Strategy.Shifts() && stage >= fleet.StagePostScaleUp {
			row.Percent = 100
		}
		all = append(all, row)
	}
}

// scaleUpTakes is how long the new revision needs to be whole.
func scaleUpTakes(s *fleet.Service, config *fleet.DeploymentConfig, start, drain int) (seconds int, note string) {
	if config.Strategy.Shifts() {
		return start, fmt.Sprintf("%d tasks start beside the old ones", s.Desired)
	}
	upper, lower := s.Desired*s.MaxPercent/100, (s.Desired*s.MinPercent+99)/100
	batch := max(upper-s.Desired, s.Desired-lower, 1)
	rounds := (s.Desired + batch - 1) / batch
	return rounds * (start + drain), fmt.Sprintf("%d tasks, %d at a time", s.Desired, min(batch, s.Desired))
}

// startTakes is how long the service's tasks took to be healthy, as a median of those that
// run.
func startTakes(st *fleet.State, s *fleet.Service) int {
	var took []time.Duration
	for t := range st.LiveTasksOfService(s.Name) {
		if t.AssignedAt == 0 || t.StartedAt < t.AssignedAt || len(took) == maxSampled {
			continue
		}
		healthy := t.HealthyAt
		if healthy < t.StartedAt {
			healthy = t.StartedAt.Add(settling * time.Second)
		}
		took = append(took, healthy.Sub(t.AssignedAt))
	}
	if len(took) == 0 {
		return guessedStart
	}
	slices.Sort(took)
	return max(1, int(took[len(took)/2].Seconds()))
}

// maxSampled bounds the tasks that an estimate is made of.
const maxSampled = 200

func drainTakes(st *fleet.State, s *fleet.Service) int {
	most := 0
	for i := range s.LoadBalancers {
		if g := st.TargetGroup(s.LoadBalancers[i].Group); g != nil {
			most = max(most, g.DeregistrationDelayS)
		}
	}
	return most
}
