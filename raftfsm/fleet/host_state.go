package fleet

// livingHost finds a host that is not forgotten.
func (s *State) livingHost(id HostID, what string) (*Host, error) {
	host := s.Host(id)
	if host == nil {
		return nil, refuse(ErrNotFound, "%s: host %s", what, quoted(string(id)))
	}
	if host.State == HostForgotten {
		return nil, refuse(ErrForgotten, "%s: %s (%s)", what, host.Name, host.ID)
	}
	return host, nil
}

// sessionHost finds a living host in the session that was seen.
func (s *State) sessionHost(id HostID, session uint64, what string) (*Host, error) {
	host, err := s.livingHost(id, what)
	if err != nil {
		return nil, err
	}
	if host.Session.N != session {
		return nil, refuse(ErrOldSession, "%s: %s is in session %d, not %d", what, host.Name, host.Session.N, session)
	}
	return host, nil
}

// become changes the life of a host.
func (h *Host) become(state HostState, now Time) { h.State, h.StateSince = state, now }

// wake ends silence: back to ready, or to joining for one that never was.
func (h *Host) wake(now Time) {
	if h.ReadyAt == 0 {
		h.become(HostJoining, now)
		return
	}
	h.become(HostReady, now)
}

// boot records that a session is the first of another boot.
func (h *Host) boot(old *Host, now Time) {
	h.BootSession = h.Session.N
	if old.Session.N == 0 {
		return // it has just joined
	}
	h.BootedAt = now
	if old.Reachable() {
		h.SilentSince = 0 // it was down unnoticed
	}
}

// setCapacity remembers when capacity changed: a host that shrank may hold more
// than it has, but nothing assigned later.
func (h *Host) setCapacity(r Resources, now Time) {
	if h.Capacity != r {
		h.Capacity, h.CapacityAt = r, now
	}
}
