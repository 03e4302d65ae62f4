package fleet

import (
	"fmt"
)

// CreateTasks creates a run of tasks of one service revision, as the service's Goals
// let it. Refused as a whole when the service is gone or draining, when no goals stand
// (ErrNoGoals), when the revision is not among them (ErrNotInGoals), or when more
// tasks than their bounds allow would be present, of the revision or of the service
// (ErrBound): present are tasks that are to run and reachable. Refused too when a target
// group of the revision is gone. IDs are the tasks.
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
	if err := s.checkNewTasks(c.Tasks, MaxRun); err != nil {
		return nil, err
	}
	if err := c.checkGoals(s, name); err != nil {
		return nil, err
	}
	r := s.Revision(c.Revision)
	for _, b := range r.Groups {
		if s.TargetGroup(b.Group) == nil {
			return nil, refuse(ErrConflict, "create tasks of %s: its target group %s was deleted", r.ID, b.Group)
		}
	}
	about := ServiceSubject(v.Name)
	group := about.String()
	s.addRun(x, c.Tasks, Task{
		Service: v.Name, Revision: r.ID, TaskDef: r.TaskDef, Group: group,
		Desired: TaskRunning, Last: TaskProvisioning, Health: HealthUnknown, CreatedAt: x.now,
		Targets: r.newTargets(),
	})
	s.recordEvent(x, Event{By: "service", Code: "tasks-created", Subject: about,
		Message: fmt.Sprintf("%s: started %s (%s)", name, plural(len(c.Tasks), "task"), r.ID),
		Counts:  []Count{{"tasks", len(c.Tasks)}}})
	return texts(c.Tasks), nil
}

// checkGoals refuses what the service's goals do not let be created.
func (c CreateTasks) checkGoals(s *State, service string) error {
	goals := s.Goals(service)
	if goals == nil {
		return refuse(ErrNoGoals, "create tasks of %s: the service changed, or nobody has planned it yet", service)
	}
	goal, ok := goals.Of(c.Revision)
	if !ok {
		return refuse(ErrNotInGoals, "create tasks of %s: revision %s", service, quoted(string(c.Revision)))
	}
	bound := func(of string, revision RevisionID, most int) error {
		n := s.Counts(service, revision)
		if present := n.Pending + n.Running; present+len(c.Tasks) > most {
			return refuse(ErrBound, "create %s of %s: %d are present, at most %d may be",
				plural(len(c.Tasks), "task"), of, present, most)
		}
		return nil
	}
	return first(bound(string(c.Revision), c.Revision, goal.Max), bound(service, "", goals.Max))
}
