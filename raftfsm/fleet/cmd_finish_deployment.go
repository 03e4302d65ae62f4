package fleet

import "fmt"

// FinishDeployment ends a deployment.
//
//   - SUCCESSFUL from CLEAN_UP, once the target alone has tasks (or old ones may outlive
//     success): the target is the service's good revision, and has the groups and
//     weights that people wrote.
//   - ROLLBACK_SUCCESSFUL of one that goes back, once the target has no tasks.
//   - ROLLBACK_FAILED of one that goes back.
//   - STOPPED at any time before CLEAN_UP. Where traffic is shifted, it is blue's again,
//     as is the service; a rolling one stays as it is: see State.StalledDeployment.
//
// Before its time it is refused with ErrTooEarly; SUCCESSFUL also while it is paused.
type FinishDeployment struct {
	ID                  DeploymentID     `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64           `cbor:"2,keyasint"`
	Status              DeploymentStatus `cbor:"3,keyasint"`
	Reason              string           `cbor:"4,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (FinishDeployment) Kind() Kind { return KindFinishDeployment }

func (c FinishDeployment) apply(s *State, x *applyContext) ([]string, error) {
	d, err := s.expectedDeployment(c.ID, c.ExpectedModifyIndex, "finish")
	if err != nil {
		return nil, err
	}
	if err := c.timely(s, d); err != nil {
		return nil, err
	}
	c.Reason = tidy(c.Reason, MaxReason)
	n := *d
	switch c.Status {
	case DeploymentSuccessful:
		s.succeed(x, &n, c.Reason)
	case DeploymentStopped:
		s.stopDeployment(x, &n, c.Reason)
	default:
		s.endDeployment(x, &n, c.Status, c.Reason)
	}
	s.recordEvent(x, endEvent(&n))
	return nil, nil
}

// timely refuses an end that the deployment has not come to.
func (c FinishDeployment) timely(s *State, d *Deployment) error {
	back := d.Status == DeploymentRollingBack
	target := s.Counts(d.Service, d.Target).Total
	switch c.Status {
	case DeploymentSuccessful:
		others := s.Counts(d.Service, "").Total - target
		deferred := d.Config.EarlySuccess != nil && d.Config.EarlySuccess.Deferred
		switch {
		case back || d.Stage != StageCleanUp:
			return refuse(ErrConflict, "finish deployment %s as %s: it is %s at %s", d.ID, c.Status, d.Status, d.Stage)
		case d.Pause != nil:
			return refuse(ErrConflict, "finish deployment %s: %s paused it", d.ID, d.Pause.By)
		case others > 0 && !deferred:
			return refuse(ErrTooEarly, "finish deployment %s: %s of other revisions", d.ID, plural(others, "task"))
		}
	case DeploymentRolledBack:
		if back && target > 0 {
			return refuse(ErrTooEarly, "finish deployment %s: %s of %s", d.ID, plural(target, "task"), d.Target)
		}
		fallthrough
	case DeploymentRollbackFailed:
		if !back {
			return refuse(ErrConflict, "finish deployment %s as %s: it is %s", d.ID, c.Status, d.Status)
		}
	case DeploymentStopped:
		if !back && d.Stage == StageCleanUp {
			return refuse(ErrConflict, "finish deployment %s as %s: it is cleaning up, %s has all traffic", d.ID, c.Status,
				d.Target)
		}
	default:
		return field("status", "is %s, which is no end", c.Status)
	}
	return nil
}

// succeed makes the target the service's good revision.
func (s *State) succeed(x *applyContext, d *Deployment, reason string) {
	s.endDeployment(x, d, DeploymentSuccessful, reason)
	v := *s.Service(d.Service)
	v.Good = d.Target
	s.noteStarts(x, v)
}

// stopDeployment ends a deployment before its time.
func (s *State) stopDeployment(x *applyContext, d *Deployment, reason string) {
	s.endDeployment(x, d, DeploymentStopped, reason)
	if d.Config.Strategy.Shifts() && d.Blue != "" {
		s.returnTo(x, d.Service, d.Blue)
	}
}

// StalledDeployment returns the deployment that ended without success and left its
// target the service's revision, or nil: no task of the target should start until
// another deployment is made.
func (s *State) StalledDeployment(v *Service) *Deployment {
	d := s.LastDeployment(v.Name)
	if d == nil || d.Live() || d.Status == DeploymentSuccessful || d.Target != v.Revision || v.Good == v.Revision {
		return nil
	}
	return d
}

func endEvent(d *Deployment) Event {
	codes := map[DeploymentStatus]string{
		DeploymentSuccessful: "deployment-succeeded", DeploymentStopped: "deployment-stopped",
		DeploymentRolledBack: "deployment-rolled-back", DeploymentRollbackFailed: "deployment-rollback-failed",
	}
	message := fmt.Sprintf("%s: %s", d.ID, d.Status)
	if d.Reason != "" {
		message += ": " + d.Reason
	}
	return Event{Code: codes[d.Status], Subject: ServiceSubject(d.Service), Message: message}
}
