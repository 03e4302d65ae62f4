package view

import (
	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func voterEndpoints() []Endpoint {
	return []Endpoint{{
		Spec:   endpoint.Get("/v1/voters", "Holders of the log, and who leads", types.Voters{}),
		Cached: true, Read: (*View).voters,
	}}
}

func (v *View) voters() (any, error) {
	answer := &types.Voters{Meta: v.Meta, Leader: v.hostRef(v.Leader), Voters: []types.VoterRow{}}
	answer.Counts = v.VoterCounts(v.HostCounts())
	answer.Target = answer.Counts.Target
	for row := range v.State.Voters() {
		life := "unknown"
		if h := v.State.Host(row.Host); h != nil {
			life = h.State.String()
		}
		answer.Voters = append(answer.Voters, types.VoterRow{ID: string(row.ID), Host: *v.hostRef(row.Host),
			Phase: row.Phase.String(), Since: types.Stamp(row.Since), Alive: v.alive(row.Host), State: life})
	}
	return answer, nil
}

// VoterCounts counts voters, those alive among them, and what they tolerate.
func (v *View) VoterCounts(hosts types.HostCounts) types.VoterCounts {
	voting, changing, alive := 0, 0, 0
	for row := range v.State.Voters() {
		switch {
		case row.Phase != fleet.VoterVoting:
			changing++
		case v.alive(row.Host):
			alive++
			fallthrough
		default:
			voting++
		}
	}
	return types.CountVoters(v.voterTarget(hosts.Total), voting, changing, alive)
}

// alive is whether a voter's host is believed to be alive, and to hold its log: one
// whose log cannot be opened runs on as a worker, and says so by gossip. Gossip notices
// first, and goes on when nobody leads; what State says of a host's life is the word of
// a leader, and stands still with it.
func (v *View) alive(id fleet.HostID) bool {
	if string(id) == v.Self.ID || id == v.Leader {
		return true
	}
	if v.Heard(id) == HeardFailed || v.RunsAsWorker(id) {
		return false
	}
	h := v.State.Host(id)
	if h == nil {
		return false
	}
	dead := h.State == fleet.HostSilent || h.State == fleet.HostLost || h.State == fleet.HostForgotten
	return !dead || v.Leader == "" && v.Heard(id) == HeardAlive
}

// voterTarget is 1 below three hosts, then the setting. Source: cmd/skein/DESIGN.md "Voters".
func (v *View) voterTarget(hosts int) int {
	f := v.State.Fleet()
	if f == nil || hosts < 3 {
		return 1
	}
	target := f.Settings.Voters
	for target > hosts {
		target -= 2
	}
	return target
}
