package fleet

import (
	"iter"
	"math"
)

// deploymentItem keys a deployment by service and number.
type deploymentItem struct {
	service string
	number  int
	row     *Deployment
}

func (i deploymentItem) rowOf() *Deployment { return i.row }

func itemOfDeployment(d *Deployment) deploymentItem {
	service, n := d.ID.Split()
	return deploymentItem{service, n, d}
}

func lessDeployment(a, b deploymentItem) bool {
	if a.service != b.service {
		return a.service < b.service
	}
	return a.number < b.number
}

// lessDeploymentEnd orders deployments that ended by when they did.
func lessDeploymentEnd(a, b *Deployment) bool {
	if a.EndedAt != b.EndedAt {
		return a.EndedAt < b.EndedAt
	}
	return a.ID < b.ID
}

// DeploymentSubject is a deployment. Conditions and events are of its service.
func DeploymentSubject(id DeploymentID) Subject { return Subject{SubjectDeployment, string(id)} }

// Deployment returns a deployment, or nil. "web.01" is not "web.1".
func (s *State) Deployment(id DeploymentID) *Deployment {
	service, n := id.Split()
	item, _ := s.deployments.Get(deploymentItem{service: service, number: n})
	if item.row == nil || item.row.ID != id {
		return nil
	}
	return item.row
}

// LiveDeployment returns the deployment of a service that has not ended, or nil.
func (s *State) LiveDeployment(service string) *Deployment {
	id, ok := s.liveDeployments.Get(service)
	if !ok {
		return nil
	}
	return s.Deployment(id)
}

// LiveDeployments yields the deployments that have not ended, by service. It costs
// nothing for the others.
func (s *State) LiveDeployments() iter.Seq[*Deployment] {
	return func(yield func(*Deployment) bool) {
		s.liveDeployments.Scan(func(_ string, id DeploymentID) bool { return yield(s.Deployment(id)) })
	}
}

// Deployments yields the kept deployments of a service, the newest first.
func (s *State) Deployments(service string) iter.Seq[*Deployment] {
	return func(yield func(*Deployment) bool) {
		s.deployments.Descend(deploymentItem{service: service, number: math.MaxInt}, func(i deploymentItem) bool {
			return i.service == service && yield(i.row)
		})
	}
}

// LastDeployment returns the newest deployment of a service, or nil.
func (s *State) LastDeployment(service string) *Deployment {
	for d := range s.Deployments(service) {
		return d
	}
	return nil
}

// AllDeployments yields the kept deployments of all services, by service and number.
func (s *State) AllDeployments() iter.Seq[*Deployment] {
	return func(yield func(*Deployment) bool) {
		s.deployments.Scan(func(i deploymentItem) bool { return yield(i.row) })
	}
}

// Alarm returns an alarm, or nil.
func (s *State) Alarm(name string) *Alarm { return get(s.alarms, name) }

// Alarms yields alarms by name.
func (s *State) Alarms() iter.Seq[*Alarm] { return values(s.alarms) }

// HookTargets yields what hooks and alarms may name, by text.
func (s *State) HookTargets() iter.Seq[*HookTarget] { return values(s.hookTargets) }

// putDeployment puts a deployment of which something changed that planners decide by.
func (s *State) putDeployment(x *applyContext, d Deployment) {
	d.ModifyIndex, d.UpdatedAt = x.index, x.now
	s.noteDeployment(x, d)
}

// noteDeployment puts a deployment of which only the count of its circuit breaker
// changed: commands that name its ModifyIndex are not refused for that.
func (s *State) noteDeployment(x *applyContext, d Deployment) {
	old := s.Deployment(d.ID)
	s.deployments.Set(itemOfDeployment(&d))
	s.indexDeployment(old, &d)
	x.touch(DeploymentSubject(d.ID))
	x.touch(ServiceSubject(d.Service))
}

func (s *State) removeDeployment(x *applyContext, old *Deployment) {
	s.deployments.Delete(itemOfDeployment(old))
	s.indexDeployment(old, nil)
	x.touch(DeploymentSubject(old.ID))
}

// indexDeployment moves a deployment from its old row to its new one; either may be nil.
func (s *State) indexDeployment(old, d *Deployment) {
	if old != nil {
		if live, _ := s.liveDeployments.Get(old.Service); live == old.ID {
			s.liveDeployments.Delete(old.Service)
		}
		s.endedDeployments.Delete(old)
		for at := range old.deadlines() {
			s.due.Delete(old.deadline(at))
		}
	}
	switch {
	case d == nil:
	case d.Live():
		s.liveDeployments.Set(d.Service, d.ID)
		for at := range d.deadlines() {
			s.addDue(d.deadline(at))
		}
	default:
		s.endedDeployments.Set(d)
	}
}

// deadline is a moment at which planners should look at the deployment's service.
func (d *Deployment) deadline(at Time) deadline {
	return deadline{at: at, subject: ServiceSubject(d.Service), task: TaskID("deployment:" + string(d.ID))}
}

// deadlines yields when time alone decides something about the deployment.
func (d *Deployment) deadlines() iter.Seq[Time] {
	return func(yield func(Time) bool) {
		if !d.Live() {
			return
		}
		times := []Time{d.Ends(), d.Deadline(), d.WaitsUntil()}
		for i := range d.Hooks {
			if r := &d.Hooks[i]; r.Open() {
				times = append(times, r.ExpiresAt, r.NextCall)
			}
		}
		for _, at := range times {
			if at != 0 && !yield(at) {
				return
			}
		}
	}
}

// WaitsUntil is when the wait that follows a shift, or the bake, is over; zero where
// none has begun: see ShiftedAt.
func (d *Deployment) WaitsUntil() Time {
	switch {
	case d.Status != DeploymentInProgress || d.Promote:
		return 0
	case d.Stage == StageBakeTime:
		return max(d.StageSince, d.ShiftedAt) + Time(d.Config.BakeS)*1000
	case d.Stage == StageProductionTrafficShift && d.Production < TotalWeight && d.ShiftedAt != 0:
		return d.ShiftedAt + Time(d.Config.StepBakeS)*1000
	default:
		return 0
	}
}
