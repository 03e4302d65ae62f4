package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"skein/agent/api/types"
	"skein/agent/lead"
	"skein/raftfsm/fleet"
)

func (v *view) status() (any, error) {
	s := &types.Status{Meta: v.meta, Now: types.Stamp(v.st.Now()), AnsweredBy: v.answerer(), Notes: []string{}}
	s.Fleet = v.fleetInfo()
	s.Agents = v.agents()
	s.Leader = v.hostRef(v.leader)
	s.Hosts = v.hostCounts()
	s.Voters = v.voterCounts(s.Hosts)
	s.Services, s.Tasks = v.api.totals.of(v)
	v.notes(s)
	s.Notes = append(s.Notes, v.alarms()...)
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

// maxAlarms bounds what a status says of single hosts; lists of hosts say the rest.
const maxAlarms = 3

// alarms are what people must hear of single hosts at once.
func (v *view) alarms() (notes []string) {
	more := 0
	for h := range v.st.Hosts() {
		switch {
		case h.State == fleet.HostForgotten || h.ClonedNow(v.st.Now()) == nil:
		case len(notes) == maxAlarms:
			more++
		default:
			row := v.hostRow(h)
			notes = append(notes, row.Alarm())
		}
	}
	if more > 0 {
		notes = append(notes, fmt.Sprintf("cloned disk? so it seems of %d more hosts", more))
	}
	return notes
}

func (v *view) voterCounts(hosts types.HostCounts) types.VoterCounts {
	voting, changing, alive := 0, 0, 0
	for row := range v.st.Voters() {
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

// alive is whether a voter's host is believed to be alive. Gossip notices first,
// and goes on when nobody leads; what State says of a host's life is the word of
// a leader, and stands still with it.
func (v *view) alive(id fleet.HostID) bool {
	if id == v.api.Host || id == v.leader {
		return true
	}
	if v.heard(id) == heardFailed {
		return false
	}
	h := v.st.Host(id)
	if h == nil {
		return false
	}
	dead := h.State == fleet.HostSilent || h.State == fleet.HostLost || h.State == fleet.HostForgotten
	return !dead || v.leader == "" && v.heard(id) == heardAlive
}

// voterTarget is 1 below three hosts, then the setting. Source: cmd/skein/DESIGN.md "Voters".
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

func (v *view) fleetInfo() types.FleetInfo {
	f := v.st.Fleet()
	if f == nil {
		return types.FleetInfo{}
	}
	return types.FleetInfo{
		ID: string(f.ID), Name: clean(f.Name), Epoch: f.Epoch, Format: f.Format, CreatedAt: types.Stamp(f.CreatedAt),
		NextFormat: f.NextFormat, NextFormatAt: types.Stamp(f.NextFormatAt),
	}
}

// maxVersions bounds how many versions of the agent an answer lists.
const maxVersions = 16

func (v *view) agents() []types.AgentVersion {
	type version struct {
		name   string
		format int
	}
	hosts := map[version]int{}
	for h := range v.st.Hosts() {
		if h.Session.N > 0 && h.State != fleet.HostLost && h.State != fleet.HostForgotten {
			hosts[version{clean(h.Version), h.ReadsFormat()}]++
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

// formatNotes say that agents differ, and what becomes of the fleet's format.
func formatNotes(s *types.Status) (notes []string) {
	if len(s.Agents) > 1 {
		texts := make([]string, len(s.Agents))
		for i, a := range s.Agents {
			texts[i] = fmt.Sprintf("%d of %s (reads format %d)", a.Hosts, a.Version, a.Format)
		}
		notes = append(notes, fmt.Sprintf("agents differ: %s; the fleet is at format %d", strings.Join(texts, ", "),
			s.Fleet.Format))
	}
	if s.Fleet.NextFormat > 0 {
		notes = append(notes,
			fmt.Sprintf("every agent reads format %d: the fleet is raised to it at %s, until then agents may go back; skein "+
				"fleet finalize raises it now",
				s.Fleet.NextFormat, fleet.Time(s.Fleet.NextFormatAt)))
	}
	return notes
}

func (v *view) notes(s *types.Status) {
	note := func(format string, args ...any) { s.Notes = append(s.Notes, fmt.Sprintf(format, args...)) }
	if s.CutOff {
		if s.Voters.QuorumLost {
			note("QUORUM LOST: of %d voters this host hears %d, and %d are needed", s.Voters.Voting, s.Voters.Alive,
				s.Voters.Needed)
		}
		note("this host hears no leader: it shows what it last knew, and keeps its tasks running")
		return
	}
	if s.Leader == nil {
		note("no leader at the moment: changes wait, tasks keep running")
	}
	for _, subject := range []fleet.Subject{fleet.PlannerSubject(lead.By), fleet.FleetSubject()} {
		for _, c := range v.conditions(subject) {
			note("%s", c.Message)
		}
	}
	if s.Hosts.Silent+s.Hosts.Lost > 0 {
		note("%d of %d hosts cannot be reached; their tasks are replaced elsewhere", s.Hosts.Silent+s.Hosts.Lost,
			s.Hosts.Total)
	}
	switch {
	case s.Voters.QuorumLost:
		note("QUORUM LOST: of %d voters this host hears %d, and %d are needed; nothing can be changed, tasks keep running; "+
			"start the agents of the others", s.Voters.Voting, s.Voters.Alive, s.Voters.Needed)
	case s.Voters.Alive < s.Voters.Voting && s.Voters.Tolerates == 0:
		note("%d of %d voters are alive: if another is lost, nothing can be changed until one is back", s.Voters.Alive,
			s.Voters.Voting)
	case s.Voters.Voting == 1 && s.Hosts.Total == 1:
		note("one host: what is lost with it is lost")
	case s.Voters.Voting == 1:
		note("one voter: while its host is away nothing can be changed, tasks keep running; from three hosts on there " +
			"are three")
	case s.Voters.Voting < s.Voters.Target:
		note("%d of %d voters: the next ones are on their way as hosts are ready", s.Voters.Voting, s.Voters.Target)
	}
	s.Notes = append(s.Notes, formatNotes(s)...)
}

func (v *view) voters() (any, error) {
	answer := &types.Voters{Meta: v.meta, Leader: v.hostRef(v.leader), Voters: []types.VoterRow{}}
	answer.Counts = v.voterCounts(v.hostCounts())
	answer.Target = answer.Counts.Target
	for row := range v.st.Voters() {
		life := "unknown"
		if h := v.st.Host(row.Host); h != nil {
			life = h.State.String()
		}
		answer.Voters = append(answer.Voters, types.VoterRow{ID: string(row.ID), Host: *v.hostRef(row.Host),
			Phase: row.Phase.String(), Since: types.Stamp(row.Since), Alive: v.alive(row.Host), State: life})
	}
	return answer, nil
}
