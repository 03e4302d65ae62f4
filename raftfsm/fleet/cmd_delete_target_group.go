package fleet

// DeleteTargetGroup deletes a target group; refused while a rule forwards to it, a
// service names it, or a task that has not stopped is in it. ExpectedModifyIndex, 0 for
// any, refuses it once the row has moved, its targets aside.
type DeleteTargetGroup struct {
	Name                TargetGroupName `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64          `cbor:"2,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (DeleteTargetGroup) Kind() Kind { return KindDeleteTargetGroup }

func (c DeleteTargetGroup) apply(s *State, x *applyContext) ([]string, error) {
	old := s.TargetGroup(c.Name)
	if err := checkDelete("target group", string(c.Name), c.ExpectedModifyIndex, modifyIndexOf(old)); err != nil {
		return nil, err
	}
	if user, used := s.groupUsers.Get(c.Name); used {
		return nil, refuse(ErrConflict, "delete target group %s: service %s names it", c.Name, user)
	}
	for r := range s.RulesTo(c.Name) {
		return nil, refuse(ErrConflict, "delete target group %s: rule %s forwards to it", c.Name, r.ID)
	}
	for t := range s.InGroup(c.Name) {
		return nil, refuse(ErrConflict, "delete target group %s: task %s of %s is in it until it has stopped", c.Name,
			t.ID.short(), t.Revision)
	}
	s.removeTargetGroup(x, old)
	s.recordEvent(x, Event{Code: "target-group-deleted", Subject: Subject{SubjectTargetGroup, string(c.Name)},
		Message: string(c.Name) + ": deleted"})
	return nil, nil
}
