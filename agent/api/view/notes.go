package view

import (
	"fmt"
	"strings"

	"skein/agent/api/types"
	"skein/agent/lead"
	"skein/raftfsm/fleet"
)

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

func (v *View) notes(s *types.Status) {
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

// maxAlarms bounds what a status says of single hosts; lists of hosts say the rest.
const maxAlarms = 3

// alarms are what people must hear of single hosts at once.
func (v *View) alarms() (notes []string) {
	more := 0
	for h := range v.State.Hosts() {
		switch {
		case h.State == fleet.HostForgotten || h.ClonedNow(v.Now) == nil && h.Refused == nil:
		case len(notes) == maxAlarms:
			more++
		default:
			row := v.HostRow(h)
			notes = append(notes, row.Alarm())
		}
	}
	if more > 0 {
		notes = append(notes, fmt.Sprintf("cloned disks or agents that are too old: so it is with %d more hosts", more))
	}
	return notes
}
