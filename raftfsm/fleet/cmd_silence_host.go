package fleet

// SilenceHost records that nobody hears the host. One command: its tasks
// become unreachable by derivation, never by a write per task.
type SilenceHost struct {
	Host    HostID `cbor:"1,keyasint"`
	Session uint64 `cbor:"2,keyasint"`           // refused when the session moved
	Flaps   int    `cbor:"3,keyasint,omitempty"` // see Host.Flaps
}

// Kind is the command's number in the log.
func (SilenceHost) Kind() Kind { return KindSilenceHost }

func (c SilenceHost) apply(s *State, x *applyContext) ([]string, error) {
	old, err := s.sessionHost(c.Host, c.Session, "silence host")
	if err != nil {
		return nil, err
	}
	if old.State == HostSilent || old.State == HostLost {
		return nil, nil
	}
	if err := checkRange("flaps", c.Flaps, 0, MaxFlaps); err != nil {
		return nil, err
	}
	host := *old
	host.become(HostSilent, x.now)
	host.SilentSince, host.Flaps = x.now, c.Flaps
	s.putHost(x, host)
	s.recordEvent(x, Event{By: "hosts", Code: "host-silent", Subject: subjectOf(&host),
		Message: host.Name + " went silent"})
	return nil, nil
}
