package fleet

import (
	"fmt"
)

// ScaleService changes only the desired count. ExpectedModifyIndex, 0 for any, refuses it
// once the row has moved: who scales by what it saw must not undo another's word.
type ScaleService struct {
	Name                string `cbor:"1,keyasint"`
	Desired             int    `cbor:"2,keyasint,omitempty"`
	ExpectedModifyIndex uint64 `cbor:"3,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (ScaleService) Kind() Kind { return KindScaleService }

func (c ScaleService) apply(s *State, x *applyContext) ([]string, error) {
	old := s.Service(c.Name)
	if old == nil {
		return nil, refuse(ErrNotFound, "scale service %s", quoted(c.Name))
	}
	if c.ExpectedModifyIndex != 0 && old.ModifyIndex != c.ExpectedModifyIndex {
		return nil, refuse(ErrMoved, "scale service %s: it is at %d, not %d; read it again", c.Name, old.ModifyIndex,
			c.ExpectedModifyIndex)
	}
	if old.Status != ServiceActive {
		return nil, refuse(ErrConflict, "scale service %s: it is %s", c.Name, old.Status)
	}
	if err := checkRange("desiredCount", c.Desired, 0, MaxDesired); err != nil {
		return nil, err
	}
	if old.Desired == c.Desired {
		return nil, nil
	}
	v := *old
	v.Desired, v.UpdatedAt = c.Desired, x.now
	s.putService(x, v)
	s.recordEvent(x, Event{Code: "service-scaled", Subject: ServiceSubject(c.Name),
		Message: fmt.Sprintf("%s: desired %d -> %d", c.Name, old.Desired, c.Desired),
		Counts:  []Count{{"desired", c.Desired}}})
	return nil, nil
}
