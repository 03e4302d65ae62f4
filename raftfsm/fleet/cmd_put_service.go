package fleet

import (
	"fmt"
	"slices"
)

// PutService creates or updates a service. Zero ExpectedModifyIndex creates and is
// refused when the name exists; otherwise the row's ModifyIndex must equal it. A
// changed TaskDef or LoadBalancers, or Force, makes a new revision with Images, and a
// deployment of it, which takes over from one that is live; without one, Images are not
// looked at. IDs[0] is the RevisionID, IDs[1] the DeploymentID where one was made.
type PutService struct {
	Name                string            `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64            `cbor:"2,keyasint,omitempty"`
	TaskDef             TaskDefID         `cbor:"3,keyasint"`
	Images              []ImagePin        `cbor:"4,keyasint,omitempty"`
	Desired             int               `cbor:"5,keyasint,omitempty"`
	MinPercent          int               `cbor:"6,keyasint"`
	MaxPercent          int               `cbor:"7,keyasint"`
	GraceS              int               `cbor:"8,keyasint,omitempty"`
	OnDisconnect        OnDisconnect      `cbor:"9,keyasint,omitempty"`
	Force               bool              `cbor:"10,keyasint,omitempty"`
	Tags                map[string]string `cbor:"11,keyasint,omitempty"`
	LoadBalancers       []LoadBalancer    `cbor:"12,keyasint,omitempty" since:"2"`
	Deployment          DeploymentConfig  `cbor:"13,keyasint,omitempty" since:"2"`
}

// Kind is the command's number in the log.
func (PutService) Kind() Kind { return KindPutService }

func (c PutService) apply(s *State, x *applyContext) ([]string, error) {
	old := s.Service(c.Name)
	if err := c.checkPresent(old); err != nil {
		return nil, err
	}
	if err := c.check(s); err != nil {
		return nil, err
	}
	if old == nil && s.services.Len() >= MaxServices {
		return nil, refuse(ErrLimit, "create service %s: the fleet has %d services", c.Name, MaxServices)
	}
	v := c.row(s, x, old)
	remade := old == nil || c.Force || s.Revision(old.Revision).TaskDef != c.TaskDef ||
		!slices.Equal(old.LoadBalancers, c.LoadBalancers)
	if !remade {
		s.replaceService(x, old, v)
		s.recordEvent(x, c.event(old, &v, false))
		return []string{string(v.Revision)}, nil
	}
	return s.remake(x, old, v, c), nil
}

// remake makes a service's next revision, and the deployment that rolls it out.
func (s *State) remake(x *applyContext, old *Service, v Service, c PutService) []string {
	if s.format() < formatOfRoutes {
		s.addRevisionTo(x, &v, c.TaskDef, c.Images, v.bindGroups(nil))
		s.replaceService(x, old, v)
		s.recordEvent(x, c.event(old, &v, true))
		return []string{string(v.Revision)}
	}
	blue, sources := s.beforeDeployment(x, &v)
	s.addRevisionTo(x, &v, c.TaskDef, c.Images, v.bindGroups(s.Revision(blue)))
	s.replaceService(x, old, v)
	s.beginDeployment(x, &v, blue, sources)
	s.recordEvent(x, c.event(old, &v, true))
	return []string{string(v.Revision), string(MakeDeploymentID(v.Name, v.LastDeployment))}
}

// checkPresent refuses by what is there under the name.
func (c PutService) checkPresent(old *Service) error {
	switch {
	case c.ExpectedModifyIndex == 0 && old != nil:
		return refuse(ErrExists, "create service %s: it is %s", c.Name, old.Status)
	case c.ExpectedModifyIndex == 0:
		return nil
	case old == nil:
		return refuse(ErrNotFound, "update service %s", quoted(c.Name))
	case old.ModifyIndex != c.ExpectedModifyIndex:
		return refuse(ErrMoved, "update service %s: it is at %d, not %d; read it again", c.Name, old.ModifyIndex,
			c.ExpectedModifyIndex)
	case old.Status != ServiceActive:
		return refuse(ErrConflict, "update service %s: it is %s", c.Name, old.Status)
	}
	return nil
}

func (c PutService) check(s *State) error {
	def := s.TaskDef(c.TaskDef)
	if err := checkName("serviceName", c.Name, MaxName); err != nil {
		return err
	}
	if def == nil {
		return refuse(ErrNotFound, "service %s: task definition %s", c.Name, quoted(string(c.TaskDef)))
	}
	return first(
		checkPins("images", c.Images, def),
		checkRange("desiredCount", c.Desired, 0, MaxDesired),
		checkRange("minimumHealthyPercent", c.MinPercent, 0, 100),
		checkRange("maximumPercent", c.MaxPercent, 100, maxPercent),
		checkRange("healthCheckGracePeriodSeconds", c.GraceS, 0, maxGraceS),
		checkRange("onDisconnect.stopAfterMs", c.OnDisconnect.StopAfterMs, 0, maxStopAfterMs),
		checkTags("tags", c.Tags),
		s.checkLoadBalancers(c.Name, c.LoadBalancers, def),
		s.checkDeploymentConfig(&c),
	)
}

// Limits on a service's numbers.
const (
	maxPercent     = 1_000          // ten times desired; more is a slip of the pen
	maxGraceS      = 1<<31 - 1      // ECS API, CreateService
	maxStopAfterMs = 7 * 86_400_000 // a week cut off
)

// row is the service as the command leaves it, but for a new revision.
func (c PutService) row(s *State, x *applyContext, old *Service) Service {
	v := Service{Name: c.Name, Status: ServiceActive, CreatedAt: x.now}
	if former := get(s.former, c.Name); former != nil {
		v.LastRevision, v.LastDeployment = former.LastRevision, former.LastDeployment
	}
	if old != nil {
		v = *old
	}
	v.Desired, v.MinPercent, v.MaxPercent = c.Desired, c.MinPercent, c.MaxPercent
	v.GraceS, v.OnDisconnect, v.Tags, v.UpdatedAt = c.GraceS, c.OnDisconnect, c.Tags, x.now
	v.LoadBalancers, v.Deployment = c.LoadBalancers, c.Deployment
	return v
}

func (c PutService) event(old, v *Service, remade bool) Event {
	e := Event{Code: "service-updated", Subject: ServiceSubject(c.Name), Counts: []Count{{"desired", v.Desired}}}
	e.Message = fmt.Sprintf("%s: updated, desired %d", c.Name, v.Desired)
	if remade {
		e.Message = fmt.Sprintf("%s: new revision %s of %s, desired %d", c.Name, v.Revision, c.TaskDef, v.Desired)
		if v.LastDeployment > 0 {
			e.Message += fmt.Sprintf(", deployment %s", MakeDeploymentID(v.Name, v.LastDeployment))
		}
	}
	if old == nil {
		e.Code = "service-created"
		e.Message = fmt.Sprintf("%s: created, desired %d of %s (%s)", c.Name, v.Desired, c.TaskDef, v.Revision)
	}
	return e
}
