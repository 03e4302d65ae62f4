package fleet

import (
	"fmt"
)

// RaiseFormat raises the fleet's entry format. Refused when it is not higher, or
// when a voter's agent cannot read it.
type RaiseFormat struct {
	Format int `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (RaiseFormat) Kind() Kind { return KindRaiseFormat }

func (c RaiseFormat) apply(s *State, x *applyContext) ([]string, error) {
	if c.Format <= s.fleet.Format {
		return nil, refuse(ErrConflict, "raise format to %d: it is %d", c.Format, s.fleet.Format)
	}
	for v := range s.Voters() {
		if host := s.Host(v.Host); host != nil && host.format() < c.Format {
			return nil, refuse(ErrConflict, "raise format to %d: voter %s reads %d; upgrade it", c.Format, host.Name, host.format())
		}
	}
	f := *s.fleet
	f.Format = c.Format
	s.putFleet(x, f)
	s.recordEvent(x, Event{By: "keeper", Code: "format-raised", Subject: "fleet", Message: fmt.Sprintf("entry format raised to %d", c.Format)})
	return nil, nil
}
