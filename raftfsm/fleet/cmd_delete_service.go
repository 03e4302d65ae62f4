package fleet

// DeleteService begins draining; refused with desired count above 0 unless
// Force. A live deployment ends as STOPPED. The row goes when its last task has stopped. Deleting
// twice is a no-op. ExpectedModifyIndex, 0 for any, refuses it once the row has moved.
type DeleteService struct {
	Name                string `cbor:"1,keyasint"`
	Force               bool   `cbor:"2,keyasint,omitempty"`
	ExpectedModifyIndex uint64 `cbor:"3,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (DeleteService) Kind() Kind { return KindDeleteService }

func (c DeleteService) apply(s *State, x *applyContext) ([]string, error) {
	old := s.Service(c.Name)
	if old == nil {
		return nil, refuse(ErrNotFound, "delete service %s", quoted(c.Name))
	}
	if old.Status == ServiceDraining {
		return nil, nil
	}
	if c.ExpectedModifyIndex != 0 && old.ModifyIndex != c.ExpectedModifyIndex {
		return nil, refuse(ErrMoved, "delete service %s: it is at %d, not %d; read it again", c.Name, old.ModifyIndex,
			c.ExpectedModifyIndex)
	}
	if old.Desired > 0 && !c.Force {
		return nil, refuse(ErrConflict, "delete service %s: desired count is %d; scale it to 0 first, or force", c.Name,
			old.Desired)
	}
	if d := s.LiveDeployment(c.Name); d != nil {
		n := *d
		s.endDeployment(x, &n, DeploymentStopped, "the service is deleted")
	}
	v := *old
	v.Status, v.Desired, v.UpdatedAt = ServiceDraining, 0, x.now
	v.Failures, v.NotBefore, v.LastFailure = 0, 0, ""
	s.putService(x, v)
	left := s.Counts(c.Name, "").Total
	s.recordEvent(x, Event{Code: "service-deleted", Subject: ServiceSubject(c.Name),
		Message: c.Name + ": deleted, " + plural(left, "task") + " to stop", Counts: []Count{{"tasks", left}}})
	s.removeDrained(x, v.Name)
	return nil, nil
}
