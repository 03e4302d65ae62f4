package fleet

import (
	"cmp"
	"fmt"
)

// RollBackDeployment begins to take a deployment back to blue: blue has all traffic and
// is the service's revision again, and no task need start. Calls of hooks without a
// verdict are given up. Without a revision to go back to, the deployment ends as
// ROLLBACK_FAILED. Refused once it goes back, and where State.MayRollBack says no.
type RollBackDeployment struct {
	ID                  DeploymentID `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64       `cbor:"2,keyasint"`
	Reason              string       `cbor:"3,keyasint"`
}

// Kind is the command's number in the log.
func (RollBackDeployment) Kind() Kind { return KindRollBackDeployment }

func (c RollBackDeployment) apply(s *State, x *applyContext) ([]string, error) {
	d, err := s.expectedDeployment(c.ID, c.ExpectedModifyIndex, "roll back")
	if err != nil {
		return nil, err
	}
	return nil, s.rollBack(x, d, c.Reason)
}

// rollBack refuses what cannot go back, and begins it.
func (s *State) rollBack(x *applyContext, d *Deployment, reason string) error {
	reason = tidy(reason, MaxReason)
	if d.Status == DeploymentRollingBack {
		return refuse(ErrConflict, "roll back deployment %s: it goes back already", d.ID)
	}
	if !s.MayRollBack(d) {
		return refuse(ErrConflict, "roll back deployment %s: it is cleaning up, and %s has not all its tasks any more; "+
			"deploy that again", d.ID, cmp.Or(string(d.Blue), "what was before"))
	}
	n := *d
	s.goBack(x, &n, reason)
	e := Event{Code: "deployment-rolling-back", Subject: ServiceSubject(n.Service),
		Message: fmt.Sprintf("%s: back to %s: %s", n.ID, n.Blue, reason)}
	if !n.Live() {
		e = endEvent(&n)
	}
	s.recordEvent(x, e)
	return nil
}
