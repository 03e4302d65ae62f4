package fleet

import (
	"fmt"
)

// CreateTasks creates a run of tasks of one service revision. Refused as a
// whole when the service is gone or draining, the revision is not its current
// one, or the upper bound floor(desired x max / 100) would be passed:
// present are tasks that are to run and reachable. IDs are the tasks.
type CreateTasks struct {
	Revision RevisionID `cbor:"1,keyasint"`
	Tasks    []TaskID   `cbor:"2,keyasint"`
}

// Kind is the command's number in the log.
func (CreateTasks) Kind() Kind { return KindCreateTasks }

func (c CreateTasks) apply(s *State, x *applyContext) ([]string, error) {
	name := serviceOf(c.Revision)
	v := s.Service(name)
	if v == nil {
		return nil, refuse(ErrNotFound, "create tasks: service %s", quoted(name))
	}
	if v.Status != ServiceActive {
		return nil, refuse(ErrConflict, "create tasks of %s: it is %s", name, v.Status)
	}
	if v.Revision != c.Revision {
		return nil, refuse(ErrMoved, "create tasks of %s: the revision is %s, not %s", name, v.Revision, quoted(string(c.Revision)))
	}
	if err := s.checkNewTasks(c.Tasks, MaxRun); err != nil {
		return nil, err
	}
	n := s.Counts(name, "")
	if present, upper := n.Pending+n.Running, v.MaxRunning(); present+len(c.Tasks) > upper {
		return nil, refuse(ErrBound, "create %s of %s: %d are present, at most %d may be", plural(len(c.Tasks), "task"), name, present, upper)
	}
	r := s.Revision(v.Revision)
	group := ServiceSubject(v.Name)
	for _, id := range c.Tasks {
		s.putTask(x, Task{
			ID: id, Service: v.Name, Revision: r.ID, TaskDef: r.TaskDef, Group: group,
			Desired: TaskRunning, Last: TaskProvisioning, Health: HealthUnknown, CreatedAt: x.now,
		})
	}
	s.recordEvent(x, Event{By: "service", Code: "tasks-created", Subject: group,
		Message: fmt.Sprintf("%s: started %s (%s)", name, plural(len(c.Tasks), "task"), r.ID), Counts: []Count{{"tasks", len(c.Tasks)}}})
	return texts(c.Tasks), nil
}

// MaxRunning is how many tasks of a service may be pending and running at once.
// Source: ECS API, DeploymentConfiguration.
func (v *Service) MaxRunning() int { return v.Desired * v.MaxPercent / 100 }

// MinHealthy is how many healthy running tasks of a service our own actions must
// leave. Source: ECS API, DeploymentConfiguration.
func (v *Service) MinHealthy() int { return (v.Desired*v.MinPercent + 99) / 100 }
