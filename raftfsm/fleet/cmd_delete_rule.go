package fleet

// DeleteRule deletes a rule; refused for a listener's default rule, and while a service
// names it. ExpectedModifyIndex, 0 for any, refuses it once the row has moved.
type DeleteRule struct {
	ID                  RuleID `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64 `cbor:"2,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (DeleteRule) Kind() Kind { return KindDeleteRule }

func (c DeleteRule) apply(s *State, x *applyContext) ([]string, error) {
	old := s.Rule(c.ID)
	if err := checkDelete("rule", string(c.ID), c.ExpectedModifyIndex, modifyIndexOf(old)); err != nil {
		return nil, err
	}
	if c.ID.Default() {
		return nil, refuse(ErrConflict, "delete rule %s: each listener has its default rule; delete the listener", c.ID)
	}
	if user, used := s.ruleUsers.Get(c.ID); used {
		return nil, refuse(ErrConflict, "delete rule %s: service %s names it", c.ID, user)
	}
	s.removeRule(x, old)
	s.recordEvent(x, Event{Code: "rule-deleted", Subject: Subject{SubjectRule, string(c.ID)},
		Message: string(c.ID) + ": deleted"})
	return nil, nil
}
