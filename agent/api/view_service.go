package api

import (
	"skein/agent/api/types"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

func (v *view) services() (any, error) {
	limit, next := v.limit(maxPage), v.after("services")
	answer := &types.Services{Meta: v.meta, Services: []types.Service{}}
	for s := range v.st.Services() {
		if s.Name <= next {
			continue
		}
		if len(answer.Services) == limit {
			answer.Next = newCursor("services", answer.Services[limit-1].Name)
			break
		}
		answer.Services = append(answer.Services, v.serviceRow(s))
	}
	return answer, nil
}

func (v *view) service() (any, error) {
	s, err := findService(v.st, v.PathValue("name"))
	if err != nil {
		return nil, err
	}
	row := v.serviceRow(s)
	return &row, nil
}

func (v *view) serviceRow(s *fleet.Service) types.Service {
	all, newest := v.st.Counts(s.Name, ""), v.st.Counts(s.Name, s.Revision)
	row := types.Service{
		Name: s.Name, ModifyIndex: s.ModifyIndex, Status: s.Status.String(), Desired: s.Desired, Revision: string(s.Revision),
		Running: all.Running, Pending: all.Pending, Stopping: all.Stopping, Unreachable: all.Unreachable,
		Healthy: all.Healthy,
		Old:     all.Total - newest.Total, Steady: service.Steady(v.st, s),
		Deployment: types.DeploymentConfig{MinPercent: s.MinPercent, MaxPercent: s.MaxPercent}, GraceS: s.GraceS,
		OnDisconnect: types.OnDisconnect{StopAfterS: s.OnDisconnect.StopAfterMs / 1000}, Zones: v.st.TasksByZone(s.Name),
		Conditions: v.conditions(fleet.ServiceSubject(s.Name)),
		CreatedAt:  types.Stamp(s.CreatedAt), UpdatedAt: types.Stamp(s.UpdatedAt), Tags: cleanMap(s.Tags),
	}
	if failed, _ := v.st.FailedStarts(s, v.now); failed > 0 {
		row.Failures, row.LastFailure = failed, clean(s.LastFailure)
	}
	if s.NotBefore > v.now {
		row.NotBefore = types.Stamp(s.NotBefore)
	}
	if row.Zones == nil {
		row.Zones = map[string]int{}
	}
	if r := v.st.Revision(s.Revision); r != nil {
		row.TaskDef = string(r.TaskDef)
		row.Images = images(v.st.TaskDef(r.TaskDef), r.Images)
	}
	return row
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
