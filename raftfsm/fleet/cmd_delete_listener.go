package fleet

// DeleteListener deletes a listener with its rules; refused while a service names one of
// them. ExpectedModifyIndex, 0 for any, refuses it once the row has moved.
type DeleteListener struct {
	Name                ListenerName `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64       `cbor:"2,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (DeleteListener) Kind() Kind { return KindDeleteListener }

func (c DeleteListener) apply(s *State, x *applyContext) ([]string, error) {
	old := s.Listener(c.Name)
	if err := checkDelete("listener", string(c.Name), c.ExpectedModifyIndex, modifyIndexOf(old)); err != nil {
		return nil, err
	}
	var rules []*Rule
	for r := range s.RulesOf(c.Name) {
		if user, used := s.ruleUsers.Get(r.ID); used {
			return nil, refuse(ErrConflict, "delete listener %s: service %s names its rule %s", c.Name, user, r.ID)
		}
		rules = append(rules, r)
	}
	for _, r := range rules {
		s.removeRule(x, r)
	}
	s.removeListener(x, old)
	s.recordEvent(x, Event{Code: "listener-deleted", Subject: Subject{SubjectListener, string(c.Name)},
		Message: string(c.Name) + ": deleted, with " + plural(len(rules), "rule")})
	return nil, nil
}
