package keeper

import (
	"cmp"
	"slices"

	"skein/raftfsm/fleet"
)

// leave hands leadership over where this node should not lead: its agent stops,
// its disk is in trouble, its host drains, or it retires.
func (s *step) leave() bool {
	self := s.State.Voter(s.Self)
	if !s.Leaving && (self == nil || self.Phase != fleet.VoterRetiring && !s.leaves(self)) {
		return false
	}
	for id, voting := range s.members {
		v := s.State.Voter(id)
		if voting && id != s.Self && s.answers(id) && v != nil && v.Phase == fleet.VoterVoting && s.lasts(v) {
			return s.do(Transfer{})
		}
	}
	s.wait("this host should not lead, but no other voter can")
	return false
}

// retire takes retiring rows out of the configuration, and then out of State.
// So it does with members that have no row, which no fleet has unless somebody
// restored an older State.
func (s *step) retire() bool {
	for _, m := range s.Members {
		if v := s.State.Voter(m.ID); m.ID == s.Self || v != nil && v.Phase != fleet.VoterRetiring {
			continue
		}
		if !s.quorate("", m.ID) {
			s.wait("%s retires when a majority of the other voters answers", m.ID)
			continue
		}
		return s.do(RemoveServer{m.ID})
	}
	for _, v := range s.inPhase(fleet.VoterRetiring) {
		if _, member := s.members[v.ID]; !member {
			s.do(DeleteLog{v.ID})
			return s.intend(fleet.RemoveVoter{ID: v.ID}, "%s is out of the raft configuration", v.ID)
		}
	}
	return false
}

// carryOut brings rows that are on their way in to where State says they are.
func (s *step) carryOut() bool {
	for _, v := range s.inPhase(fleet.VoterVoting) {
		voting, member := s.members[v.ID]
		switch {
		case voting:
		case s.answers(v.ID) && s.quorate(v.ID, ""):
			return s.do(AddVoter{v.ID})
		case !member && s.dead(v):
			// Retired as any dead voter.
		default:
			s.wait("%s votes when it and a majority of the voters answer", s.name(v))
		}
	}
	for _, v := range s.inPhase(fleet.VoterLearning) {
		if _, member := s.members[v.ID]; !member && s.quorate("", "") {
			return s.do(AddNonvoter{v.ID})
		}
	}
	for _, v := range s.inPhase(fleet.VoterPreparing) {
		if s.answers(v.ID) {
			return s.intend(fleet.SetVoter{ID: v.ID, Phase: fleet.VoterLearning}, "%s has the keys and an empty log", s.name(v))
		}
	}
	return false
}

// handOver asks every host that is being prepared to take the keys, again and
// again until it answers.
func (s *step) handOver() {
	for _, v := range s.inPhase(fleet.VoterPreparing) {
		if h := s.host(v); h != nil && h.Reachable() {
			s.do(HandOverKeys{v.ID})
		}
		s.wait("%s is being prepared to vote", s.name(v))
	}
}

// giveUp retires learners that died or are to leave, and hosts that never got
// ready. None of them has a vote, so no majority is at stake.
func (s *step) giveUp() bool {
	for _, v := range s.rows {
		if v.Phase != fleet.VoterPreparing && v.Phase != fleet.VoterLearning {
			continue
		}
		if !s.lasts(v) {
			return s.intend(s.retiring(v), "%s went before it voted", s.name(v))
		}
		if v.Phase == fleet.VoterPreparing && s.now.Sub(v.Since) >= PrepareFor {
			s.memory.Avoid[v.Host] = s.now.Add(AvoidFor)
			return s.intend(s.retiring(v), "%s did not get ready to vote within %v", s.name(v), PrepareFor)
		}
	}
	return false
}

func (s *step) retiring(v *fleet.Voter) fleet.Command {
	return fleet.SetVoter{ID: v.ID, Phase: fleet.VoterRetiring}
}

// restart retires voters and learners whose hosts say themselves that the log is
// gone, or that are stuck. That is a positive word, no silence: they are worth
// nothing to any majority, and their hosts are picked again with a new number: at
// once, but for one that lost its log while it learned.
func (s *step) restart() bool {
	for _, v := range s.rows {
		if v.Phase != fleet.VoterLearning && v.Phase != fleet.VoterVoting || v.ID == s.Self {
			continue
		}
		answer, installs := s.Answers[v.ID], s.Installs[v.ID]
		gone := answer.NotOne && answer.For >= GoneAfter
		stuck := answer.Now && installs >= MaxInstalls
		switch {
		case !gone && !stuck:
		case s.members[v.ID] && !s.quorate("", v.ID):
			s.wait("%s begins anew when a majority of the other voters answers", s.name(v))
		case gone:
			if v.Phase == fleet.VoterLearning {
				s.memory.Avoid[v.Host] = s.now.Add(AvoidFor) // perhaps its agent cannot read what it learns
			}
			return s.intend(s.retiring(v), "%s does not hold the log of %s any more", s.name(v), v.ID)
		default:
			return s.intend(s.retiring(v), "%s was sent %d snapshots within 10 minutes and is stuck", s.name(v), installs)
		}
	}
	return false
}

// promote gives learners a vote. As many as lead to an odd number of voters that last must have caught up first, so
// that an even number exists only in transit: two to grow, one to complete an even number, one to replace. It waits for
// no more than that: where fewer hosts can vote than are wanted, the next odd number votes.
func (s *step) promote() bool {
	voting := s.inPhase(fleet.VoterVoting)
	ready := slices.DeleteFunc(s.inPhase(fleet.VoterLearning), func(v *fleet.Voter) bool {
		near, ok := s.memory.Near[v.ID]
		_, member := s.members[v.ID]
		return !ok || !member || s.now.Sub(near) < CaughtUpApart
	})
	needed := 1
	switch {
	case len(voting) > s.target, s.lasting() >= s.target:
		return false // first the one that was replaced goes
	case len(voting) < s.target && odd(len(voting)) && s.lasting() == len(voting):
		needed = 2
	}
	if len(ready) < needed {
		if len(s.inPhase(fleet.VoterLearning)) > 0 {
			s.wait("%d of %d learners have caught up", len(ready), needed)
		}
		return false
	}
	for _, v := range ready {
		if s.quorate(v.ID, "") {
			return s.intend(fleet.SetVoter{ID: v.ID, Phase: fleet.VoterVoting}, "%s has caught up", s.name(v))
		}
		s.wait("%s votes when a majority of the voters answers", s.name(v))
	}
	return false
}

func odd(n int) bool { return n%2 == 1 }

// replaced retires voters that are more than the target: first those that are
// dead or leave, then those in trouble, in the zone with most, the youngest. Below
// the target it retires only the one that does not last of an even number, in whose
// stead another was promoted; so silence alone never shrinks an odd number.
func (s *step) replaced() bool {
	voting := s.inPhase(fleet.VoterVoting)
	if len(voting) <= s.target && (odd(len(voting)) || s.lasting() == len(voting)) {
		for _, v := range voting {
			if !s.lasts(v) {
				s.wait("%s waits for a replacement", s.name(v))
			}
		}
		return false
	}
	zones := s.zones()
	slices.SortStableFunc(voting, func(a, b *fleet.Voter) int {
		return cmp.Or(
			-compareBool(!s.lasts(a), !s.lasts(b)),
			-compareBool(s.troubled(a), s.troubled(b)),
			-cmp.Compare(zones[s.zone(a)], zones[s.zone(b)]),
			-cmp.Compare(a.Since, b.Since),
		)
	})
	for _, v := range voting {
		switch {
		case v.ID == s.Self: // leadership is handed over first, where it must go
		case s.members[v.ID] && !s.quorate("", v.ID):
			s.wait("%s retires when a majority of the other voters answers", s.name(v))
		case s.leaves(v):
			return s.intend(s.retiring(v), "%s leaves", s.name(v))
		case s.dead(v):
			return s.intend(s.retiring(v), "%s is gone and has been replaced", s.name(v))
		case s.diskInTrouble(v):
			s.memory.Avoid[v.Host] = s.now.Add(AvoidFor)
			return s.intend(s.retiring(v), "the disk of %s is in trouble (%s) and it has been replaced", s.name(v),
				s.memory.Troubles[v.ID].Reason)
		case s.lasting() > s.target:
			return s.intend(s.retiring(v), "%d voters are enough", s.target)
		}
	}
	return false
}

// troubled voters are the first to go where there are too many.
func (s *step) troubled(v *fleet.Voter) bool {
	h := s.host(v)
	return s.Starved(v.Host) || s.Answers[v.ID].Trouble != "" || h != nil && h.Cordon != nil
}

// pick prepares a host where voters are missing and none is on its way.
func (s *step) pick() bool {
	lasting := s.lasting()
	coming := len(s.inPhase(fleet.VoterPreparing)) + len(s.inPhase(fleet.VoterLearning))
	if lasting+coming >= s.target {
		return false
	}
	h := s.candidate()
	if h == nil {
		s.wait("%d of %d voters: no other host can become one", lasting, s.target)
		return false
	}
	id := fleet.MakeRaftID(h.ID, s.nextNumber(h))
	return s.intend(fleet.SetVoter{ID: id, Phase: fleet.VoterPreparing}, "%d of %d voters, %s is to be one", lasting,
		s.target, h.Name)
}

// raise follows the agents with the fleet's format: it plans to raise it when all
// of them read a higher one, and raises it when that has lasted. The moment is in
// State, and an older agent ends the plan.
func (s *step) raise() bool {
	f, read := s.State.Fleet(), s.State.ReadFormat()
	switch {
	case read <= f.Format:
		return false
	case f.NextFormat != read:
		at := s.now + fleet.Time(f.Settings.FormatSoak())
		return s.intend(fleet.RaiseFormat{Format: read, At: at},
			"every agent reads format %d: the fleet is raised to it at %s, until then agents may go back", read, at)
	case f.NextFormatAt <= s.now:
		return s.intend(fleet.RaiseFormat{Format: read},
			"every agent has read format %d for long enough: older agents are refused from now on", read)
	}
	s.plan.At = f.NextFormatAt
	return false
}

// note has State record that this node leads, once a term, where there is news in it.
func (s *step) note() bool {
	self, last := s.State.Voter(s.Self), s.State.LastLeader()
	switch {
	case self == nil || self.Phase != fleet.VoterVoting || self.LeadsSince != *s.memory.Led:
		return false // it may not, or has been noted in this term
	case last == self && s.Leaderless < fleet.QuorumLostAfter:
		return false
	}
	return s.intend(fleet.NoteLeader{ID: s.Self, LeaderlessMs: s.Leaderless.Milliseconds()}, "")
}

// candidate is the host to become a voter next, or nil: in the zone with fewest
// voters, then the longest in its present life, then by id.
func (s *step) candidate() (best *fleet.Host) {
	taken := map[fleet.HostID]bool{}
	for _, v := range s.rows {
		taken[v.Host] = true
	}
	for id := range s.members {
		taken[id.Host()] = true
	}
	zones := s.zones()
	for h := range s.State.Hosts() {
		if taken[h.ID] || !s.fit(h) {
			continue
		}
		if best == nil ||
			cmp.Or(cmp.Compare(zones[h.Zone], zones[best.Zone]), cmp.Compare(h.StateSince, best.StateSince)) < 0 {
			best = h
		}
	}
	return best
}

func (s *step) fit(h *fleet.Host) bool {
	_, avoided := s.memory.Avoid[h.ID]
	return h.Placeable() && !h.Cert.Revoked && h.Runs(s.State.Fleet().Format) && !s.Starved(h.ID) && !avoided
}

// nextNumber is above every number that a log of the host was ever given.
func (s *step) nextNumber(h *fleet.Host) int {
	n := max(h.LastRaft, h.RaftID.Number())
	for id := range s.members {
		if id.Host() == h.ID {
			n = max(n, id.Number())
		}
	}
	return n + 1
}

// compareBool sorts false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
