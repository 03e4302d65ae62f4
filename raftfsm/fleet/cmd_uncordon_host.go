package fleet

// UncordonHost lets new work on a host again.
type UncordonHost struct {
	Host HostID `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (UncordonHost) Kind() Kind { return KindUncordonHost }

func (c UncordonHost) apply(s *State, x *applyContext) ([]string, error) {
	old, err := s.livingHost(c.Host, "uncordon host")
	if err != nil {
		return nil, err
	}
	if old.Cordon == nil {
		return nil, nil
	}
	host := *old
	host.Cordon = nil
	s.putHost(x, host)
	s.recordEvent(x,
		Event{Code: "host-uncordoned", Subject: subjectOf(&host), Message: host.Name + " takes new tasks again"})
	return nil, nil
}
