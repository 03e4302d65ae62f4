package api

import (
	"skein/raftfsm/fleet"
)

func (v *view) hosts() (any, error) {
	limit, err := v.limit(maxPage)
	if err != nil {
		return nil, err
	}
	answer := &Hosts{Meta: v.meta, Hosts: []Host{}}
	next := fleet.HostID(v.param("next"))
	for h := range v.st.Hosts() {
		if h.ID <= next || h.Life == fleet.HostForgotten {
			continue
		}
		if len(answer.Hosts) == limit {
			answer.Next = answer.Hosts[limit-1].ID
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

func (v *view) hostRow(h *fleet.Host) Host {
	row := Host{
		ID: string(h.ID), Name: clean(h.Name), Zone: clean(h.Zone),
		Life: h.Life.String(), LifeSince: Stamp(h.LifeSince), Role: "worker", Leader: h.ID == v.leader,
		Placeable: h.Placeable(), Draining: h.Draining, Addr: h.Addr.String(), StatusURL: safeURL(h.Status),
		Capacity: resources(h.Capacity), Reserved: resources(v.st.Reserved(h.ID)), Free: resources(v.st.Free(h.ID)),
		Gossip: v.heard(h.ID), Attributes: cleanMap(h.Attributes), SelfCheck: checks(h.SelfCheck),
		Version: clean(h.Version), OSImage: clean(h.OSImage), Boot: clean(h.Session.Boot), Session: h.Session.N, JoinedAt: Stamp(h.JoinedAt),
	}
	if h.Cordon != nil {
		row.Cordon = &Cordon{By: clean(h.Cordon.By), At: Stamp(h.Cordon.At), Why: clean(h.Cordon.Why)}
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

func reportOf(r *fleet.CapacityReport) *HostReport {
	return &HostReport{
		At: Stamp(r.At), Used: resources(r.Used), Starved: r.Starved, Protected: clean(r.Protected),
		Pressure: Pressure{int(r.Pressure.CPU), int(r.Pressure.Memory), int(r.Pressure.IO)},
		Runtime:  clean(r.Runtime), DiskFreeMiB: r.DiskFreeMiB, PortsUsed: r.PortsUsed,
	}
}

func checks(given []fleet.Check) []Check {
	if len(given) == 0 {
		return nil
	}
	out := make([]Check, len(given))
	for i, c := range given {
		out[i] = Check{clean(c.Name), c.OK, c.Required, clean(c.Detail)}
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
