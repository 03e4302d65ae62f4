package api

import (
	"fmt"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func (v *view) status() (any, error) {
	s := &types.Status{Meta: v.meta, Now: types.Stamp(v.st.Now()), AnsweredBy: v.answerer(), Notes: []string{}}
	if f := v.st.Fleet(); f != nil {
		s.Fleet = types.FleetInfo{ID: string(f.ID), Name: clean(f.Name), Epoch: f.Epoch, Format: f.Format, CreatedAt: types.Stamp(f.CreatedAt)}
	}
	s.Leader = v.hostRef(v.leader)
	s.Hosts = v.hostCounts()
	s.Voters = v.voterCounts(s.Hosts)
	s.Services, s.Tasks = v.api.sums.of(v)
	v.notes(s)
	return s, nil
}

func (v *view) answerer() types.Answerer {
	return v.api.answerer("voter")
}

func (a *API) answerer(role string) types.Answerer {
	return types.Answerer{ID: string(a.Host), Name: a.Name, Zone: a.Zone, Role: role, Version: a.Version}
}

func (v *view) hostCounts() types.HostCounts {
	var c types.HostCounts
	for h := range v.st.Hosts() {
		switch h.Life {
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

func (v *view) voterCounts(hosts types.HostCounts) types.VoterCounts {
	var c types.VoterCounts
	for row := range v.st.Voters() {
		if row.Phase == fleet.VoterVoting {
			c.Voting++
		} else {
			c.Changing++
		}
	}
	c.Target = v.voterTarget(hosts.Total)
	c.Tolerates = max(0, (c.Voting-1)/2)
	return c
}

// voterTarget is 1 below three hosts, then the setting. Source: MECHANICS 7.
func (v *view) voterTarget(hosts int) int {
	f := v.st.Fleet()
	if f == nil || hosts < 3 {
		return 1
	}
	target := f.Settings.Voters
	for target > hosts {
		target -= 2
	}
	return target
}

func addCounts(c *types.TaskCounts, n fleet.Counts) {
	c.Running += n.Running
	c.Pending += n.Pending
	c.Stopping += n.Stopping
	c.Unreachable += n.Unreachable
}

func (v *view) notes(s *types.Status) {
	note := func(format string, args ...any) { s.Notes = append(s.Notes, fmt.Sprintf(format, args...)) }
	if s.CutOff {
		note("this host hears no leader: it shows what it last knew, and keeps its tasks running")
		return
	}
	if s.Leader == nil {
		note("no leader at the moment: changes wait, tasks keep running")
	}
	if s.Hosts.Silent+s.Hosts.Lost > 0 {
		note("%d of %d hosts cannot be reached; their tasks are replaced elsewhere", s.Hosts.Silent+s.Hosts.Lost, s.Hosts.Total)
	}
	switch {
	case s.Voters.Voting == 1 && s.Hosts.Total == 1:
		note("one host: what is lost with it is lost")
	case s.Voters.Voting == 1:
		note("one voter: while its host is away nothing can be changed, tasks keep running; from three hosts on there are three")
	case s.Voters.Voting < s.Voters.Target:
		note("%d of %d voters: the next ones are on their way as hosts are ready", s.Voters.Voting, s.Voters.Target)
	}
}

func (v *view) voters() (any, error) {
	answer := &types.Voters{Meta: v.meta, Leader: v.hostRef(v.leader), Voters: []types.VoterRow{}}
	answer.Target = v.voterTarget(v.hostCounts().Total)
	for row := range v.st.Voters() {
		life := "unknown"
		if h := v.st.Host(row.Host); h != nil {
			life = h.Life.String()
		}
		answer.Voters = append(answer.Voters, types.VoterRow{ID: string(row.ID), Host: *v.hostRef(row.Host), Phase: row.Phase.String(), Since: types.Stamp(row.Since), Life: life})
	}
	return answer, nil
}
