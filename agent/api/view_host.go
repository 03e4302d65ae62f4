package api

import (
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func (v *view) hosts() (any, error) {
	limit, next := v.limit(maxPage), fleet.HostID(v.after("hosts"))
	answer := &types.Hosts{Meta: v.meta, Hosts: []types.Host{}}
	for h := range v.st.Hosts() {
		if h.ID <= next || h.State == fleet.HostForgotten {
			continue
		}
		if len(answer.Hosts) == limit {
			answer.Next = newCursor("hosts", answer.Hosts[limit-1].ID)
			break
		}
		answer.Hosts = append(answer.Hosts, v.hostRow(h))
	}
	return answer, nil
}

func (v *view) host() (any, error) {
	h, err := findHost(v.st, v.PathValue("id"))
	if err != nil {
		return nil, err
	}
	row := v.hostRow(h)
	return &row, nil
}

func (v *view) hostRow(h *fleet.Host) types.Host {
	row := types.Host{
		ID: string(h.ID), Name: clean(h.Name), Zone: clean(h.Zone),
		State: h.State.String(), StateSince: types.Stamp(h.StateSince), Role: "worker", Leader: h.ID == v.leader,
		Conditions: v.conditions(fleet.HostSubject(h.ID)),
		Placeable:  h.Placeable(), Draining: h.Draining(), Addr: h.Addr.String(), StatusURL: safeURL(h.Status),
		Capacity: resources(h.Capacity), Reserved: resources(v.st.Reserved(h.ID)), Free: resources(v.st.Free(h.ID)),
		Gossip: v.heard(h.ID), Attributes: cleanMap(h.Attributes), SelfCheck: checks(h.SelfCheck),
		Version: clean(h.Version), OSImage: clean(h.OSImage), Boot: clean(h.Session.Boot), Session: h.Session.N,
		JoinedAt: types.Stamp(h.JoinedAt),
	}
	if h.Cordon != nil {
		row.Cordon = &types.Cordon{By: clean(h.Cordon.By), At: types.Stamp(h.Cordon.At), Why: clean(h.Cordon.Why)}
	}
	if d := h.Drain; d != nil {
		row.Drain = &types.Drain{Cause: d.Cause.String(), By: clean(d.By), Since: types.Stamp(d.Since),
			Deadline: types.Stamp(d.Deadline)}
	}
	if c := h.ClonedNow(v.st.Now()); c != nil {
		row.Clone = &types.Clone{Addr: c.Addr.String(), Boot: clean(c.Boot), Since: types.Stamp(c.Since),
			Last: types.Stamp(c.Last)}
	}
	if voter := v.st.VoterOf(h.ID); voter != nil {
		row.VoterPhase = voter.Phase.String()
		if voter.Phase == fleet.VoterVoting {
			row.Role = "voter"
		}
	}
	for t := range v.st.HeldBy(h.ID) {
		switch {
		case t.Stopped() || t.Desired == fleet.TaskStopped:
		case t.Last == fleet.TaskRunning:
			row.Running++
		default:
			row.Pending++
		}
	}
	if r := v.report(h.ID); r != nil {
		row.Report = reportOf(r)
	}
	return row
}

func reportOf(r *fleet.CapacityReport) *types.HostReport {
	return &types.HostReport{
		At: types.Stamp(r.At), Used: resources(r.Used), Starved: r.Starved, Protected: clean(r.Protected),
		Pressure: types.Pressure{CPU: int(r.Pressure.CPU), Memory: int(r.Pressure.Memory), IO: int(r.Pressure.IO)},
		Runtime:  clean(r.Runtime), DiskFreeMiB: r.DiskFreeMiB, PortsUsed: r.PortsUsed,
	}
}

func checks(given []fleet.Check) []types.Check {
	if len(given) == 0 {
		return nil
	}
	out := make([]types.Check, len(given))
	for i, c := range given {
		out[i] = types.Check{Name: clean(c.Name), OK: c.OK, Required: c.Required, Detail: clean(c.Detail)}
	}
	return out
}

func cleanMap(given map[string]string) map[string]string {
	if len(given) == 0 {
		return nil
	}
	out := make(map[string]string, len(given))
	for k, value := range given {
		out[clean(k)] = clean(value)
	}
	return out
}

func resources(r fleet.Resources) types.Resources {
	return types.Resources{CPU: r.CPU, Memory: r.Memory}
}
