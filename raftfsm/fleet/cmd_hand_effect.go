package fleet

// HandEffect hands the next attempt of a pending effect to a host. It is the intent of
// that attempt: the host is told once it has committed. Refused when the effect is not
// pending, the attempt is not the next, it is too early or past the deadline, the host
// may not run it (State.MayRun), or its session is another.
type HandEffect struct {
	ID      EffectID `cbor:"1,keyasint"`
	Attempt int      `cbor:"2,keyasint"`
	Host    HostID   `cbor:"3,keyasint"`
	Session uint64   `cbor:"4,keyasint"`
}

// Kind is the command's number in the log.
func (HandEffect) Kind() Kind { return KindHandEffect }

func (c HandEffect) apply(s *State, x *applyContext) ([]string, error) {
	old, err := s.openEffect(c.ID, "hand")
	if err != nil {
		return nil, err
	}
	host := s.Host(c.Host)
	switch {
	case old.Status != EffectPending:
		return nil, refuse(ErrConflict, "hand effect %s: it is %s", c.ID, old.Status)
	case c.Attempt != old.Attempt+1:
		return nil, refuse(ErrMoved, "hand effect %s: attempt %d after %d", c.ID, c.Attempt, old.Attempt)
	case x.now < old.NotBefore:
		return nil, refuse(ErrTooEarly, "hand effect %s before %s", c.ID, old.NotBefore)
	case x.now >= old.Deadline:
		return nil, refuse(ErrConflict, "hand effect %s: its deadline was %s", c.ID, old.Deadline)
	case host == nil:
		return nil, refuse(ErrNotFound, "hand effect %s to host %s", c.ID, quoted(string(c.Host)))
	case !s.MayRun(host, old.Role):
		return nil, refuse(ErrConflict, "hand effect %s to %s: it is %s and may not run what is for %s",
			c.ID, host.Name, host.State, old.Role)
	case host.Session.N != c.Session:
		return nil, refuse(ErrOldSession, "hand effect %s to %s: session %d is not %d",
			c.ID, host.Name, c.Session, host.Session.N)
	}
	e := *old
	e.Status, e.Attempt, e.Runner, e.Session, e.HandedAt = EffectHanded, c.Attempt, c.Host, c.Session, x.now
	s.putEffect(x, e)
	s.handedCall(x, &e)
	return nil, nil
}
