package view

import (
	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func hostEndpoints() []Endpoint {
	return []Endpoint{
		{
			Spec:   endpoint.Get("/v1/hosts", "Hosts by id", types.Hosts{}, endpoint.Limit, endpoint.Next("hosts")),
			Cached: true, Read: (*View).hosts,
		},
		{Spec: endpoint.Get("/v1/hosts/{id}", "One host, by id or name", types.Host{}), Read: (*View).host},
	}
}

func (v *View) hosts() (any, error) {
	limit, next := v.limit(endpoint.MaxPage), fleet.HostID(v.after("hosts"))
	answer := &types.Hosts{Meta: v.Meta, Hosts: []types.Host{}}
	for h := range v.State.Hosts() {
		if h.ID <= next || h.State == fleet.HostForgotten {
			continue
		}
		if len(answer.Hosts) == limit {
			answer.Next = endpoint.NewCursor("hosts", answer.Hosts[limit-1].ID)
			break
		}
		answer.Hosts = append(answer.Hosts, v.HostRow(h))
	}
	return answer, nil
}

func (v *View) host() (any, error) {
	h, err := FindHost(v.State, v.PathValue("id"))
	if err != nil {
		return nil, err
	}
	row := v.HostRow(h)
	return &row, nil
}

// HostRow is the row of a host.
func (v *View) HostRow(h *fleet.Host) types.Host {
	row := types.Host{
		ID: string(h.ID), Name: types.Clean(h.Name), Zone: types.Clean(h.Zone),
		State: h.State.String(), StateSince: types.Stamp(h.StateSince), Role: "worker", Leader: h.ID == v.Leader,
		Conditions: v.conditions(fleet.HostSubject(h.ID)),
		Placeable:  h.Placeable(), Draining: h.Draining(), Addr: h.Addr.String(), StatusURL: types.CleanURL(h.Status),
		Capacity: resources(h.Capacity), Reserved: resources(v.State.Reserved(h.ID)), Free: resources(v.State.Free(h.ID)),
		Gossip: v.Heard(h.ID), Attributes: types.CleanMap(h.Attributes), SelfCheck: checks(h.SelfCheck),
		Version: types.Clean(h.Version), OSImage: types.Clean(h.OSImage), Boot: types.Clean(h.Session.Boot),
		Session: h.Session.N, JoinedAt: types.Stamp(h.JoinedAt),
	}
	if h.Cordon != nil {
		row.Cordon = &types.Cordon{By: types.Clean(h.Cordon.By), At: types.Stamp(h.Cordon.At), Why: types.Clean(h.Cordon.Why)}
	}
	if d := h.Drain; d != nil {
		row.Drain = &types.Drain{Cause: d.Cause.String(), By: types.Clean(d.By), Since: types.Stamp(d.Since),
			Deadline: types.Stamp(d.Deadline)}
	}
	if c := h.ClonedNow(v.Now); c != nil {
		row.Clone = &types.Clone{Addr: c.Addr.String(), Boot: types.Clean(c.Boot), Since: types.Stamp(c.Since),
			Last: types.Stamp(c.Last)}
	}
	if r := h.Refused; r != nil {
		row.Version = types.Clean(r.Version)
		row.TooOld = &types.TooOld{Reads: r.Format, Format: v.State.Fleet().Format, Since: types.Stamp(r.Since)}
	}
	if voter := v.State.VoterOf(h.ID); voter != nil {
		row.VoterPhase = voter.Phase.String()
		if voter.Phase == fleet.VoterVoting {
			row.Role = "voter"
		}
	}
	for t := range v.State.HeldBy(h.ID) {
		switch {
		case t.Stopped() || t.Desired == fleet.TaskStopped:
		case t.Last == fleet.TaskRunning:
			row.Running++
		default:
			row.Pending++
		}
	}
	row.Report = v.Report(h.ID)
	return row
}

func checks(given []fleet.Check) []types.Check {
	if len(given) == 0 {
		return nil
	}
	out := make([]types.Check, len(given))
	for i, c := range given {
		out[i] = types.Check{Name: types.Clean(c.Name), OK: c.OK, Required: c.Required, Detail: types.Clean(c.Detail),
			Listener: types.Clean(string(c.Listener))}
	}
	return out
}

func resources(r fleet.Resources) types.Resources {
	return types.Resources{CPU: r.CPU, Memory: r.Memory}
}
