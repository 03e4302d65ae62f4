package view

import (
	"cmp"
	"slices"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func statusEndpoints() []Endpoint {
	return []Endpoint{{
		Spec:   endpoint.Get("/v1/status", "The fleet at a glance", types.Status{}),
		Cached: true, Read: (*View).status,
	}}
}

func (v *View) status() (any, error) {
	s := &types.Status{Meta: v.Meta, Now: types.Stamp(v.State.Now()), AnsweredBy: v.Self, Notes: []string{}}
	s.Fleet = v.FleetInfo()
	s.Agents = v.agents()
	s.Leader = v.hostRef(v.Leader)
	s.Hosts = v.HostCounts()
	s.Voters = v.VoterCounts(s.Hosts)
	s.Services, s.Tasks = v.Totals.of(v)
	v.notes(s)
	s.Notes = append(append(s.Notes, v.alarms()...), v.trafficAlarms()...)
	return s, nil
}

// HostCounts counts hosts by state; forgotten ones do not count.
func (v *View) HostCounts() types.HostCounts {
	var c types.HostCounts
	for h := range v.State.Hosts() {
		switch h.State {
		case fleet.HostForgotten:
			continue
		case fleet.HostReady:
			c.Ready++
		case fleet.HostJoining:
			c.Joining++
		case fleet.HostSilent:
			c.Silent++
		case fleet.HostLost:
			c.Lost++
		}
		c.Total++
		if h.Cordon != nil {
			c.Cordoned++
		}
	}
	return c
}

// AddCounts adds the tasks of one service.
func AddCounts(c *types.TaskCounts, n fleet.Counts) {
	c.Running += n.Running
	c.Pending += n.Pending
	c.Stopping += n.Stopping
	c.Unreachable += n.Unreachable
}

// FleetInfo is what is said of the fleet itself.
func (v *View) FleetInfo() types.FleetInfo {
	f := v.State.Fleet()
	if f == nil {
		return types.FleetInfo{}
	}
	return types.FleetInfo{
		ID: string(f.ID), Name: types.Clean(f.Name), Epoch: f.Epoch, Format: f.Format, CreatedAt: types.Stamp(f.CreatedAt),
		NextFormat: f.NextFormat, NextFormatAt: types.Stamp(f.NextFormatAt),
	}
}

// maxVersions bounds how many versions of the agent an answer lists.
const maxVersions = 16

func (v *View) agents() []types.AgentVersion {
	type version struct {
		name   string
		format int
	}
	hosts := map[version]int{}
	for h := range v.State.Hosts() {
		if h.Session.N > 0 && h.State != fleet.HostLost && h.State != fleet.HostForgotten {
			name, reads := h.Agent()
			hosts[version{types.Clean(name), reads}]++
		}
	}
	list := make([]types.AgentVersion, 0, len(hosts))
	for is, n := range hosts {
		list = append(list, types.AgentVersion{Version: is.name, Format: is.format, Hosts: n})
	}
	slices.SortFunc(list, func(a, b types.AgentVersion) int {
		return cmp.Or(cmp.Compare(b.Hosts, a.Hosts), cmp.Compare(b.Format, a.Format), cmp.Compare(b.Version, a.Version))
	})
	return list[:min(len(list), maxVersions)]
}
