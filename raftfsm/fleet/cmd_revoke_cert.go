package fleet

// RevokeCert refuses a host's certificate from now on, until it joins again.
type RevokeCert struct {
	Host HostID `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (RevokeCert) Kind() Kind { return KindRevokeCert }

func (c RevokeCert) apply(s *State, x *applyContext) ([]string, error) {
	old, err := s.livingHost(c.Host, "revoke certificate")
	if err != nil {
		return nil, err
	}
	if old.Cert.Revoked {
		return nil, nil
	}
	host := *old
	host.Cert.Revoked = true
	s.putHost(x, host)
	s.recordEvent(x, Event{Code: "cert-revoked", Subject: subjectOf(&host), Message: "certificate of " + host.Name +
		" revoked"})
	return nil, nil
}
