package fleet

import (
	"fmt"
)

// LoseHost turns silent into lost; refused before Settings.LostAfterMs.
type LoseHost struct {
	Host    HostID `cbor:"1,keyasint"`
	Session uint64 `cbor:"2,keyasint"`
}

// Kind is the command's number in the log.
func (LoseHost) Kind() Kind { return KindLoseHost }

func (c LoseHost) apply(s *State, x *applyContext) ([]string, error) {
	old, err := s.sessionHost(c.Host, c.Session, "lose host")
	if err != nil {
		return nil, err
	}
	if old.State == HostLost {
		return nil, nil
	}
	if old.State != HostSilent {
		return nil, refuse(ErrConflict, "lose host: %s is %s, not silent", old.Name, old.State)
	}
	after := Time(s.fleet.Settings.LostAfterMs)
	if x.now < old.StateSince+after {
		return nil, refuse(ErrTooEarly, "lose host: %s is silent since %s, lost from %s on", old.Name, old.StateSince,
			old.StateSince+after)
	}
	host := *old
	host.become(HostLost, x.now)
	s.putHost(x, host)
	s.recordEvent(x, Event{By: "hosts", Code: "host-lost", Subject: subjectOf(&host),
		Message: fmt.Sprintf("%s is lost: silent for %s", host.Name, x.now.Sub(old.StateSince))})
	return nil, nil
}
