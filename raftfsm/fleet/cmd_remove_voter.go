package fleet

// RemoveVoter drops a retiring voter's row once it is out of the Raft
// configuration.
type RemoveVoter struct {
	ID RaftID `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (RemoveVoter) Kind() Kind { return KindRemoveVoter }

func (c RemoveVoter) apply(s *State, x *applyContext) ([]string, error) {
	v := s.Voter(c.ID)
	if v == nil {
		return nil, refuse(ErrNotFound, "remove voter %s", quoted(string(c.ID)))
	}
	if v.Phase != VoterRetiring {
		return nil, refuse(ErrConflict, "remove voter %s: it is %s, not retiring", c.ID, v.Phase)
	}
	s.removeVoter(x, v)
	if host := s.Host(v.Host); host != nil {
		s.recordEvent(x, Event{By: "keeper", Code: "voter-removed", Subject: subjectOf(host),
			Message: host.Name + " is no voter any more"})
	}
	return nil, nil
}
