package fleet

// CordonHost keeps new work off a host. Cordoning twice keeps the first.
type CordonHost struct {
	Host HostID `cbor:"1,keyasint"`
	Why  string `cbor:"2,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (CordonHost) Kind() Kind { return KindCordonHost }

func (c CordonHost) apply(s *State, x *applyContext) ([]string, error) {
	old, err := s.livingHost(c.Host, "cordon host")
	if err != nil {
		return nil, err
	}
	if err := checkText("why", c.Why, MaxReason); err != nil {
		return nil, err
	}
	if old.Cordon != nil {
		return nil, nil
	}
	host := *old
	host.Cordon = &Cordon{By: clip(x.item.By, MaxID), At: x.now, Why: c.Why}
	s.putHost(x, host)
	s.recordEvent(x, Event{Code: "host-cordoned", Subject: subjectOf(&host), Message: cordonMessage(&host)})
	return nil, nil
}

func cordonMessage(h *Host) string {
	if h.Cordon.Why == "" {
		return h.Name + " cordoned"
	}
	return h.Name + " cordoned: " + h.Cordon.Why
}
