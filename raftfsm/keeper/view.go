package keeper

import "skein/raftfsm/fleet"

// Target is how many voters a fleet should have: 1 for one or two hosts, 3 from
// three on, 5 or 7 by setting where there are as many. Silent and lost hosts
// count, so that silence never shrinks it; those that drain or may not return
// do not.
func Target(st *fleet.State) int {
	hosts := 0
	for h := range st.Hosts() {
		if h.ReadyAt != 0 && !out(h) {
			hosts++
		}
	}
	target := st.Fleet().Settings.Voters
	for target > hosts && target > 1 {
		target -= 2
	}
	return max(target, 1)
}

// out reports whether a host is to leave by somebody's word.
func out(h *fleet.Host) bool {
	return h == nil || h.State == fleet.HostForgotten || h.Draining() || h.Cert.Revoked
}

func (s *step) host(v *fleet.Voter) *fleet.Host { return s.State.Host(v.Host) }

func (s *step) name(v *fleet.Voter) string {
	if h := s.host(v); h != nil {
		return h.Name
	}
	return string(v.ID)
}

// answers reports whether the node of a RaftID itself answers now, and can take
// entries.
func (s *step) answers(id fleet.RaftID) bool {
	return id == s.Self || s.Answers[id].Now && !s.Answers[id].Stalled
}

// diskInTrouble reports whether a voter has said for long, or again and again, that its disk
// is in trouble. It is replaced as a dead one is. This node hands over instead.
func (s *step) diskInTrouble(v *fleet.Voter) bool {
	answer := s.Answers[v.ID]
	if v.ID == s.Self || !answer.Now {
		return false
	}
	return answer.Trouble != "" && answer.For >= TroubleFor || s.memory.Troubles[v.ID].Share >= TroubleShare
}

// dead reports whether a voter must be replaced: the fleet has lost its host, or
// it has been silent to this leader long enough. This node is never dead.
func (s *step) dead(v *fleet.Voter) bool {
	h, answer := s.host(v), s.Answers[v.ID]
	if v.ID == s.Self || answer.Now || answer.NotOne {
		return false
	}
	if h == nil || h.State == fleet.HostLost || h.State == fleet.HostForgotten {
		return true
	}
	return answer.For >= MuteAfter || answer.For >= DeadAfter && !h.Reachable()
}

// leaves reports whether a voter's host is to leave by somebody's word.
func (s *step) leaves(v *fleet.Voter) bool { return out(s.host(v)) }

// lasts reports whether a voter is to stay.
func (s *step) lasts(v *fleet.Voter) bool {
	return v.Phase != fleet.VoterRetiring && !s.dead(v) && !s.diskInTrouble(v) && !s.leaves(v)
}

func (s *step) inPhase(phase fleet.VoterPhase) (rows []*fleet.Voter) {
	for _, v := range s.rows {
		if v.Phase == phase {
			rows = append(rows, v)
		}
	}
	return rows
}

// lasting counts voting rows that are to stay.
func (s *step) lasting() (n int) {
	for _, v := range s.inPhase(fleet.VoterVoting) {
		if s.lasts(v) {
			n++
		}
	}
	return n
}

// zones counts voters that are to stay or are on their way in, by zone.
func (s *step) zones() map[string]int {
	counts := map[string]int{}
	for _, v := range s.rows {
		if s.lasts(v) {
			counts[s.zone(v)]++
		}
	}
	return counts
}

func (s *step) zone(v *fleet.Voter) string {
	if h := s.host(v); h != nil {
		return h.Zone
	}
	return ""
}

// quorate reports whether a majority of the voters answers now, once one is
// added and one is taken out; either may be empty.
func (s *step) quorate(added, removed fleet.RaftID) bool {
	voters, answering := 0, 0
	count := func(id fleet.RaftID) {
		voters++
		if s.answers(id) {
			answering++
		}
	}
	for id, voting := range s.members {
		if voting && id != removed && id != added {
			count(id)
		}
	}
	if added != "" {
		count(added)
	}
	return voters > 0 && answering > voters/2
}
