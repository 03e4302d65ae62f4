package fleet

import (
	"fmt"
)

// ReturnHost records that a silent host is heard again in the same session:
// it is ready (or joining) as before. A lost host opens a new session instead.
type ReturnHost struct {
	Host    HostID `cbor:"1,keyasint"`
	Session uint64 `cbor:"2,keyasint"`
}

// Kind is the command's number in the log.
func (ReturnHost) Kind() Kind { return KindReturnHost }

func (c ReturnHost) apply(s *State, x *applyContext) ([]string, error) {
	old, err := s.sessionHost(c.Host, c.Session, "return host")
	if err != nil {
		return nil, err
	}
	if old.Reachable() {
		return nil, nil
	}
	if old.State == HostLost {
		return nil, refuse(ErrConflict, "return host: %s is lost; it comes back with a new session", old.Name)
	}
	host := *old
	host.wake(x.now)
	s.putHost(x, host)
	s.recordEvent(x, Event{By: "hosts", Code: "host-returned", Subject: subjectOf(&host),
		Message: fmt.Sprintf("%s is back after %s", host.Name, x.now.Sub(old.StateSince))})
	return nil, nil
}
