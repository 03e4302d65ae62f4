package view

import (
	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

func serviceEndpoints() []Endpoint {
	return []Endpoint{
		{
			Spec: endpoint.Get("/v1/services", "Services by name", types.Services{}, endpoint.Limit,
				endpoint.Next("services")),
			Cached: true, Read: (*View).services,
		},
		{Spec: endpoint.Get("/v1/services/{name}", "One service", types.Service{}), Read: (*View).service},
	}
}

func (v *View) services() (any, error) {
	limit, next := v.limit(endpoint.MaxPage), v.after("services")
	answer := &types.Services{Meta: v.Meta, Services: []types.Service{}}
	for s := range v.State.Services() {
		if s.Name <= next {
			continue
		}
		if len(answer.Services) == limit {
			answer.Next = endpoint.NewCursor("services", answer.Services[limit-1].Name)
			break
		}
		answer.Services = append(answer.Services, v.ServiceRow(s))
	}
	return answer, nil
}

func (v *View) service() (any, error) {
	s, err := FindService(v.State, v.PathValue("name"))
	if err != nil {
		return nil, err
	}
	row := v.ServiceRow(s)
	return &row, nil
}

// ServiceRow is the row of a service.
func (v *View) ServiceRow(s *fleet.Service) types.Service {
	all, newest := v.counts(s.Name, ""), v.State.Counts(s.Name, s.Revision)
	row := types.Service{
		Name: s.Name, ModifyIndex: s.ModifyIndex, Status: s.Status.String(), Desired: s.Desired, Revision: string(s.Revision),
		Running: all.Running, Pending: all.Pending, Stopping: all.Stopping, Unreachable: all.Unreachable,
		Healthy: all.Serving,
		Old:     all.Total - newest.Total, Goals: v.goals(s.Name), Steady: service.Steady(v.State, s),
		Deployment: v.deploymentConfig(s), GraceS: s.GraceS,
		OnDisconnect: types.OnDisconnect{StopAfterS: s.OnDisconnect.StopAfterMs / 1000}, Zones: v.State.TasksByZone(s.Name),
		Conditions: v.conditions(fleet.ServiceSubject(s.Name)),
		CreatedAt:  types.Stamp(s.CreatedAt), UpdatedAt: types.Stamp(s.UpdatedAt), Tags: types.CleanMap(s.Tags),
	}
	for i := range s.LoadBalancers {
		if lb := &s.LoadBalancers[i]; !Aliased(v.State, s.Name, lb) {
			row.LoadBalancers = append(row.LoadBalancers, loadBalancer(lb))
		}
	}
	if d := v.State.LiveDeployment(s.Name); d != nil {
		live := v.DeploymentRow(d)
		row.LiveDeployment = &live
	}
	row.Connect = serviceConnect(v.State, s)
	if failed, _ := v.State.FailedStarts(s, v.Now); failed > 0 {
		row.Failures, row.LastFailure = failed, types.Clean(s.LastFailure)
	}
	if s.NotBefore > v.Now {
		row.NotBefore = types.Stamp(s.NotBefore)
	}
	if row.Zones == nil {
		row.Zones = map[string]int{}
	}
	if r := v.State.Revision(s.Revision); r != nil {
		row.TaskDef = string(r.TaskDef)
		row.Images = images(v.State.TaskDef(r.TaskDef), r.Images)
	}
	return row
}

// counts are tasks as they count now: time alone makes some healthy.
func (v *View) counts(service string, revision fleet.RevisionID) fleet.Counts {
	return v.State.CountsAt(service, revision, max(v.Now, v.State.Now()))
}

func loadBalancer(lb *fleet.LoadBalancer) types.LoadBalancer {
	row := types.LoadBalancer{Group: string(lb.Group), Container: lb.Container, ContainerPort: lb.ContainerPort}
	if lb.AlternateGroup != "" || lb.ProductionRule != "" || lb.TestRule != "" {
		row.Advanced = &types.AdvancedLoadBalancer{AlternateGroup: string(lb.AlternateGroup),
			ProductionRule: string(lb.ProductionRule), TestRule: string(lb.TestRule)}
	}
	return row
}

// goals is what planners want of a service; nil while none stand.
func (v *View) goals(service string) *types.Goals {
	g := v.State.Goals(service)
	if g == nil {
		return nil
	}
	out := &types.Goals{PlannedBy: types.Clean(g.By), Maximum: g.Max,
		Revisions: make([]types.RevisionGoal, 0, len(g.Revisions))}
	for _, r := range g.Revisions {
		n := v.State.Counts(service, r.Revision)
		row := types.RevisionGoal{Revision: string(r.Revision), Desired: r.Desired, Maximum: r.Max, Running: n.Running,
			Pending: n.Pending}
		if revision := v.State.Revision(r.Revision); revision != nil {
			row.TaskDef = string(revision.TaskDef)
		}
		out.Revisions = append(out.Revisions, row)
	}
	return out
}

func images(def *fleet.TaskDef, pins []fleet.ImagePin) []types.Image {
	if def == nil {
		return nil
	}
	out := make([]types.Image, 0, len(def.Containers))
	for i := range def.Containers {
		c := &def.Containers[i]
		image := types.Image{Container: c.Name, Image: c.Image}
		for _, pin := range pins {
			if pin.Container == c.Name {
				image.Digest = pin.Digest
			}
		}
		out = append(out, image)
	}
	return out
}
