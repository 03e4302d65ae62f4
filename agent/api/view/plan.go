package view

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/ecs"
	"skein/raftfsm/fleet"
)

func planEndpoints() []Endpoint {
	return []Endpoint{{
		Spec: endpoint.Get("/v1/services/{name}/plan",
			"What a deployment of the service would need, and how long it would take",
			types.DeploymentPlan{}, endpoint.Strategy, endpoint.TaskDefinition),
		Read: (*View).plan,
	}}
}

func (v *View) plan() (any, error) {
	s, err := FindService(v.State, v.PathValue("name"))
	if err != nil {
		return nil, err
	}
	given := &ecs.Deployment{}
	if name := v.param(endpoint.Strategy.Name); name != "" {
		if given.Strategy, err = fleet.ParseStrategy(name); err != nil {
			return nil, err
		}
	}
	config, _ := given.Over(&s.Deployment, false)
	ref := v.param(endpoint.TaskDefinition.Name)
	if r := v.State.Revision(s.Revision); ref == "" && r != nil {
		ref = string(r.TaskDef)
	}
	def, err := FindTaskDef(v.State, ref)
	if err != nil {
		return nil, err
	}
	p := PlanDeployment(v.State, s, &config, def)
	p.Meta = v.Meta
	return p, nil
}

// PlanDeployment says what a deployment of a service would need of the fleet as it is, and
// how long it would take. It estimates: what placement decides later may differ.
func PlanDeployment(
	st *fleet.State, s *fleet.Service, config *fleet.DeploymentConfig, def *fleet.TaskDef,
) *types.DeploymentPlan {
	p := &types.DeploymentPlan{Service: s.Name, Strategy: strategyOf(config).String(), TaskDef: string(def.ID),
		Hosts: []types.PlannedHost{}}
	for t := range st.LiveTasksOfService(s.Name) {
		if d := st.TaskDef(t.TaskDef); d != nil && !t.Stopped() {
			p.Now.Tasks++
			p.Now.CPU += d.Reservation().CPU
			p.Now.Memory += d.Reservation().Memory
		}
	}
	added := s.Desired
	if !config.Strategy.Shifts() {
		added = max(0, s.Desired*s.MaxPercent/100-s.Desired)
	}
	need := def.Reservation()
	p.Most = types.Reservation{Tasks: p.Now.Tasks + added, Resources: types.Resources{
		CPU: p.Now.CPU + int64(added)*need.CPU, Memory: p.Now.Memory + int64(added)*need.Memory}}
	p.Hosts, p.Missing = roomFor(st, def, added)
	if p.Missing > 0 {
		p.Why = whyMissing(p, config, def)
	}
	p.Stages = plannedStages(st, s, config)
	for _, stage := range p.Stages {
		p.Seconds += stage.Seconds
	}
	return p
}

func whyMissing(p *types.DeploymentPlan, config *fleet.DeploymentConfig, def *fleet.TaskDef) string {
	need := def.Reservation()
	why := fmt.Sprintf("%d of %d tasks of %s find no host with cpu %d, memory %d MiB", p.Missing, p.Most.Tasks-p.Now.Tasks,
		def.ID, need.CPU, need.Memory)
	if ports := fixedPorts(def); len(ports) > 0 {
		why += fmt.Sprintf(" and host port %d free", ports[0].HostPort)
	}
	if config.Strategy.Shifts() {
		return fmt.Sprintf("%s: %s keeps both versions at full size; add hosts, have fewer tasks, or deploy with ROLLING, "+
			"which replaces them a few at a time", why, config.Strategy)
	}
	return why + ": fewer are started at a time, and the deployment takes longer"
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

// roomFor spreads so many tasks over the hosts that have room for them now. Missing is how
// many find none.
func roomFor(st *fleet.State, def *fleet.TaskDef, tasks int) (hosts []types.PlannedHost, missing int) {
	type place struct {
		types.PlannedHost
		room int
	}
	var places []*place
	for h := range st.Hosts() {
		if room := roomOn(st, h, def, tasks); room > 0 {
			places = append(places, &place{types.PlannedHost{Host: types.Clean(h.Name), Zone: types.Clean(h.Zone)}, room})
		}
	}
	slices.SortStableFunc(places, func(a, b *place) int { return cmp.Compare(b.room, a.room) })
	for missing = tasks; missing > 0; {
		before := missing
		for _, at := range places {
			if at.Tasks < at.room && missing > 0 {
				at.Tasks++
				missing--
			}
		}
		if missing == before {
			break
		}
	}
	hosts = []types.PlannedHost{}
	for _, at := range places {
		if at.Tasks > 0 {
			hosts = append(hosts, at.PlannedHost)
		}
	}
	slices.SortFunc(hosts, func(a, b types.PlannedHost) int { return cmp.Compare(a.Host, b.Host) })
	return hosts, missing
}

// roomOn is how many more tasks of a definition a host takes, at most so many.
func roomOn(st *fleet.State, h *fleet.Host, def *fleet.TaskDef, most int) int {
	if !h.Placeable() {
		return 0
	}
	need, held := def.Reservation(), st.Reserved(h.ID)
	room := int64(most)
	if need.CPU > 0 {
		room = min(room, (h.Capacity.CPU-held.CPU)/need.CPU)
	}
	if need.Memory > 0 {
		room = min(room, (h.Capacity.Memory-held.Memory)/need.Memory)
	}
	fixed := fixedPorts(def)
	if len(fixed) == 0 || room <= 0 {
		return int(max(0, room))
	}
	for t := range st.TasksOfHost(h.ID) {
		for _, b := range t.Ports {
			if t.Held() && slices.ContainsFunc(fixed, func(m fleet.PortMapping) bool {
				return m.HostPort == b.HostPort && m.Protocol == b.Protocol
			}) {
				return 0
			}
		}
	}
	return 1
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
