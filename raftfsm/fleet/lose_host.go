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

func (c LoseHost) apply(s *State, x *context) ([]string, error) {
	old, err := s.sessionHost(c.Host, c.Session, "lose host")
	if err != nil {
		return nil, err
	}
	if old.Life == HostLost {
		return nil, nil
	}
	if old.Life != HostSilent {
		return nil, refuse(ErrConflict, "lose host: %s is %s, not silent", old.Name, old.Life)
	}
	after := Time(s.fleet.Settings.LostAfterMs)
	if x.now < old.LifeSince+after {
		return nil, refuse(ErrTooEarly, "lose host: %s is silent since %s, lost from %s on", old.Name, old.LifeSince, old.LifeSince+after)
	}
	host := *old
	host.become(HostLost, x.now)
	s.putHost(x, host)
	s.decide(x, Decision{By: "hosts", Code: "host-lost", About: aboutHost(&host),
		Message: fmt.Sprintf("%s is lost: silent for %s", host.Name, x.now.Sub(old.LifeSince))})
	return nil, nil
}
