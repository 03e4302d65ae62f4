package fleet

import (
	"fmt"
)

// SetVoter moves a voter to a phase: the successor of its present one, or
// retiring from any. Preparing makes the row (its RaftID must be new for ever);
// its host must read the fleet's entry format;
// retiring twice is a no-op. The only voting voter cannot retire.
type SetVoter struct {
	ID    RaftID     `cbor:"1,keyasint"`
	Phase VoterPhase `cbor:"2,keyasint"`
}

// Kind is the command's number in the log.
func (SetVoter) Kind() Kind { return KindSetVoter }

func (c SetVoter) apply(s *State, x *applyContext) ([]string, error) {
	host, err := s.voterHost(c.ID)
	if err != nil {
		return nil, err
	}
	old := s.Voter(c.ID)
	if old != nil && old.Phase == VoterRetiring && c.Phase == VoterRetiring {
		return nil, nil
	}
	if c.Phase == VoterPreparing {
		if err := s.checkNewVoter(c.ID, host); err != nil {
			return nil, err
		}
		h := *host
		h.LastRaft = c.ID.Number()
		s.putHost(x, h)
	} else if err := s.checkPhase(c, old); err != nil {
		return nil, err
	}
	next := Voter{ID: c.ID, Host: host.ID, Phase: c.Phase, Since: x.now}
	if old != nil {
		next.LeadsSince = old.LeadsSince
	}
	s.putVoter(x, next)
	s.recordEvent(x, Event{By: "keeper", Code: "voter-" + c.Phase.String(), Subject: subjectOf(host),
		Message: fmt.Sprintf("voter %s is %s", host.Name, c.Phase)})
	return nil, nil
}

func (s *State) voterHost(id RaftID) (*Host, error) {
	host, err := s.livingHost(id.Host(), "set voter")
	if err != nil {
		return nil, err
	}
	return host, checkRaftID("id", id, host.ID)
}

func (s *State) checkNewVoter(id RaftID, host *Host) error {
	if id.Number() <= host.LastRaft {
		return refuse(ErrExists, "set voter %s: raft ids of %s up to %d were used; a new log needs a new one", id, host.Name,
			host.LastRaft)
	}
	if other := s.VoterOf(host.ID); other != nil {
		return refuse(ErrConflict, "set voter %s: %s is a voter already as %s (%s)", id, host.Name, other.ID, other.Phase)
	}
	if host.ReadsFormat() < s.fleet.Format {
		return refuse(ErrAgentTooOld, "set voter %s: %s reads format %d, the fleet is at %d", id, host.Name,
			host.ReadsFormat(), s.fleet.Format)
	}
	return nil
}

// checkPhase allows the successor of a voter's phase, and retiring from any.
func (s *State) checkPhase(c SetVoter, old *Voter) error {
	if c.Phase < VoterPreparing || c.Phase > VoterRetiring {
		return field("phase", "is %s: allowed are %q", c.Phase, []string(voterPhaseNames[1:]))
	}
	if old == nil {
		return refuse(ErrNotFound, "set voter %s %s", c.ID, c.Phase)
	}
	if c.Phase != VoterRetiring {
		if c.Phase != old.Phase+1 {
			return refuse(ErrConflict, "set voter %s %s: it is %s", c.ID, c.Phase, old.Phase)
		}
		return nil
	}
	if old.Phase == VoterVoting && s.votingVoters() == 1 {
		return refuse(ErrConflict, "retire voter %s: it is the only one that votes", c.ID)
	}
	return nil
}

func (s *State) votingVoters() int {
	n := 0
	for v := range s.Voters() {
		if v.Phase == VoterVoting {
			n++
		}
	}
	return n
}
