package fleet

// ForgetHost ends an identity for ever: its certificate is refused, its tasks
// are STOPPED, confirmed. Refused while the host is ready, unless Force. A voter
// that is silent or lost retires with its host, provided that the other voters
// are a majority without it; one that is heard must stop being a voter first.
// Forgetting twice is a no-op.
type ForgetHost struct {
	Host  HostID `cbor:"1,keyasint"`
	Force bool   `cbor:"2,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (ForgetHost) Kind() Kind { return KindForgetHost }

func (c ForgetHost) apply(s *State, x *applyContext) ([]string, error) {
	old := s.Host(c.Host)
	if old == nil {
		return nil, refuse(ErrNotFound, "forget host: %s", quoted(string(c.Host)))
	}
	if old.State == HostForgotten {
		return nil, nil
	}
	if old.State == HostReady && !c.Force {
		return nil, refuse(ErrConflict, "forget host: %s is ready; stop its agent first, or force", old.Name)
	}
	if err := s.retireVotersOf(x, old); err != nil {
		return nil, err
	}
	n := s.endTasks(x, old.ID, false, "host "+old.Name+" was forgotten")
	host := *s.Host(old.ID) // ending its tasks moved WantedModifyIndex
	host.become(HostForgotten, x.now)
	s.putHost(x, host)
	s.removeConditions(x, HostSubject(host.ID))
	s.recordEvent(x, Event{Code: "host-forgotten", Subject: subjectOf(&host),
		Message: host.Name + " forgotten with " + plural(n, "task"), Counts: []Count{{"tasks", n}}})
	return nil, nil
}

// retireVotersOf begins the retirement of a host's voters, all or none. The
// keeper takes them out of the Raft configuration.
func (s *State) retireVotersOf(x *applyContext, host *Host) error {
	var rows []Voter
	for v := range s.Voters() {
		if v.Host != host.ID || v.Phase == VoterRetiring {
			continue
		}
		if host.Reachable() {
			return refuse(ErrConflict, "forget host: %s is a voter (%s) and is heard; stop its machine first", host.Name,
				v.Phase)
		}
		if v.Phase == VoterVoting {
			if heard, others := s.votersHeardWithout(host.ID); heard <= others/2 {
				return refuse(ErrConflict, "forget host: %s is a voter, and of the other %d only %d are heard: "+
					"they are no majority; bring one back first", host.Name, others, heard)
			}
		}
		rows = append(rows, *v)
	}
	for _, v := range rows {
		v.Phase, v.Since = VoterRetiring, x.now
		s.putVoter(x, v)
	}
	return nil
}

// votersHeardWithout counts the voting voters of other hosts, and those of them
// whose hosts the fleet hears.
func (s *State) votersHeardWithout(host HostID) (heard, all int) {
	for v := range s.Voters() {
		if v.Host == host || v.Phase != VoterVoting {
			continue
		}
		all++
		if h := s.Host(v.Host); h != nil && h.Reachable() {
			heard++
		}
	}
	return heard, all
}
