package fleet

import "fmt"

// PutGoals says how many tasks of which revision a service is to have, and how many at
// most. It takes the place of what a planner said before; the same again changes
// nothing. Refused when the service is gone, is draining, or is not at
// ServiceModifyIndex any more; when a revision is not one of the service's, or is
// named out of order; when more are desired than may be; and when they want fewer tasks of
// the revision that a live deployment may go back to than the service is to have.
type PutGoals struct {
	Service            string         `cbor:"1,keyasint"`
	ServiceModifyIndex uint64         `cbor:"2,keyasint"`           // of the service that they are made for
	Max                int            `cbor:"3,keyasint,omitempty"` // as in Goals
	Revisions          []RevisionGoal `cbor:"4,keyasint"`
}

// Kind is the command's number in the log.
func (PutGoals) Kind() Kind { return KindPutGoals }

func (c PutGoals) apply(s *State, x *applyContext) ([]string, error) {
	v := s.Service(c.Service)
	switch {
	case v == nil:
		return nil, refuse(ErrNotFound, "goals of service %s", quoted(c.Service))
	case v.Status != ServiceActive:
		return nil, refuse(ErrConflict, "goals of service %s: it is %s", c.Service, v.Status)
	case v.ModifyIndex != c.ServiceModifyIndex:
		return nil, refuse(ErrMoved, "goals of service %s: it is at %d, not %d",
			c.Service, v.ModifyIndex, c.ServiceModifyIndex)
	}
	if err := first(c.check(s), c.checkBlue(s, v)); err != nil {
		return nil, err
	}
	by := clip(x.item.By, MaxID)
	if old := s.Goals(c.Service); old != nil && old.By == by && old.Say(c) {
		return nil, nil
	}
	s.putGoals(x, Goals{Service: v.Name, By: by, Max: c.Max, Revisions: c.Revisions})
	return nil, nil
}

func (c PutGoals) check(s *State) error {
	if err := first(
		checkRange("max", c.Max, 0, maxGoal),
		checkRange("revisions", len(c.Revisions), 1, MaxRevisions),
	); err != nil {
		return err
	}
	desired, last := 0, 0
	for i, r := range c.Revisions {
		name, n := r.Revision.Split()
		if name != c.Service || s.Revision(r.Revision) == nil {
			return refuse(ErrNotFound, "goals of service %s: revision %s", c.Service, quoted(string(r.Revision)))
		}
		if n <= last {
			return field(fmt.Sprintf("revisions[%d]", i), "is %s, which comes before the one above", r.Revision)
		}
		if r.Idle && !r.Held {
			return field(fmt.Sprintf("revisions[%d].idle", i), "is set of %s, which is not held", r.Revision)
		}
		if err := first(
			checkRange(fmt.Sprintf("revisions[%d].max", i), r.Max, 0, c.Max),
			checkRange(fmt.Sprintf("revisions[%d].desired", i), r.Desired, 0, r.Max),
		); err != nil {
			return err
		}
		desired, last = desired+r.Desired, n
	}
	return checkRange("revisions: the sum of desired", desired, 0, c.Max)
}

// checkBlue refuses fewer tasks of the revision that a live deployment may go back to than
// the service is to have: a rollback starts none.
func (c PutGoals) checkBlue(s *State, v *Service) error {
	d := s.LiveDeployment(v.Name)
	if d == nil || !d.keepsBlue() {
		return nil
	}
	goals := Goals{Revisions: c.Revisions}
	if goal, _ := goals.Of(d.Blue); goal.Desired < v.Desired {
		return refuse(ErrConflict, "goals of service %s: %d of %s, which deployment %s may go back to with %d", v.Name,
			goal.Desired, d.Blue, d.ID, v.Desired)
	}
	return nil
}

// maxGoal is the most tasks that a service's own numbers can ask for.
const maxGoal = MaxDesired * maxPercent / 100
