package fleet

// ForgetHost ends an identity for ever: its certificate is refused, its tasks
// are STOPPED, confirmed. Refused while the host is ready, unless Force, and
// while it is a voter. Forgetting twice is a no-op.
type ForgetHost struct {
	Host  HostID `cbor:"1,keyasint"`
	Force bool   `cbor:"2,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (ForgetHost) Kind() Kind { return KindForgetHost }

func (c ForgetHost) apply(s *State, x *context) ([]string, error) {
	old := s.Host(c.Host)
	if old == nil {
		return nil, refuse(ErrNotFound, "forget host: %s", quoted(string(c.Host)))
	}
	if old.Life == HostForgotten {
		return nil, nil
	}
	if old.Life == HostReady && !c.Force {
		return nil, refuse(ErrConflict, "forget host: %s is ready; stop its agent first, or force", old.Name)
	}
	for v := range s.Voters() {
		if v.Host == old.ID {
			return nil, refuse(ErrConflict, "forget host: %s is a voter (%s); it must be replaced first", old.Name, v.Phase)
		}
	}
	n := s.endTasks(x, old.ID, false, "host "+old.Name+" was forgotten")
	host := *s.Host(old.ID) // ending its tasks moved WantedMod
	host.become(HostForgotten, x.now)
	s.putHost(x, host)
	s.decide(x, Decision{Code: "host-forgotten", About: aboutHost(&host),
		Message: host.Name + " forgotten with " + some(n, "task"), Counts: []Count{{"tasks", n}}})
	return nil, nil
}
