package fleet

import (
	"fmt"
)

// RunTasks creates standalone tasks, 1 to 10 at once. IDs are the tasks.
type RunTasks struct {
	TaskDef   TaskDefID  `cbor:"1,keyasint"`
	Tasks     []TaskID   `cbor:"2,keyasint"`
	StartedBy string     `cbor:"3,keyasint,omitempty"`
	Group     string     `cbor:"4,keyasint,omitempty"`
	Images    []ImagePin `cbor:"5,keyasint,omitempty"`
	// Overrides are of all of them; see MaxOverrides.
	Overrides *TaskOverrides `cbor:"6,keyasint,omitempty" since:"2"`
}

// Kind is the command's number in the log.
func (RunTasks) Kind() Kind { return KindRunTasks }

func (c RunTasks) apply(s *State, x *applyContext) ([]string, error) {
	if err := c.run(s, x); err != nil {
		return nil, err
	}
	family, _ := c.TaskDef.Split()
	s.recordEvent(x, Event{Code: "tasks-run", Subject: Subject{SubjectTaskDef, family},
		Message: "run " + plural(len(c.Tasks), "standalone task") + " of " + string(c.TaskDef),
		Counts:  []Count{{"tasks", len(c.Tasks)}}})
	return texts(c.Tasks), nil
}

// run creates the tasks.
func (c RunTasks) run(s *State, x *applyContext) error {
	def := s.TaskDef(c.TaskDef)
	if def == nil {
		return refuse(ErrNotFound, "run: task definition %s", quoted(string(c.TaskDef)))
	}
	if err := first(
		s.checkNewTasks(c.Tasks, MaxRunTasks),
		checkText("startedBy", c.StartedBy, 128), // ECS guide, task lifecycle
		checkText("group", c.Group, MaxName),
		checkPins("images", c.Images, def),
		c.Overrides.check(),
	); err != nil {
		return err
	}
	family, _ := def.ID.Split()
	group := c.Group
	if group == "" {
		group = "family:" + family
	}
	s.addRun(x, c.Tasks, Task{
		TaskDef: def.ID, StartedBy: c.StartedBy, Group: group, Images: c.Images,
		Desired: TaskRunning, Last: TaskProvisioning, Health: HealthUnknown, CreatedAt: x.now, Overrides: c.Overrides,
	})
	return nil
}

// check refuses what no host could set, or what is more than a row should hold.
func (o *TaskOverrides) check() error {
	if o == nil {
		return nil
	}
	size := 0
	for _, e := range o.Environment {
		size += len(e.Name) + len(e.Value)
	}
	if size > MaxOverrides {
		return field("overrides.environment", "has %d bytes of names and values: at most %d are allowed", size, MaxOverrides)
	}
	return checkEnvironment("overrides.environment", o.Environment)
}

// checkNewTasks refuses ids that are malformed, used already or too many.
func (s *State) checkNewTasks(ids []TaskID, most int) error {
	if err := checkRange("tasks", len(ids), 1, most); err != nil {
		return err
	}
	if s.tasks.Len()+len(ids) > MaxTasks {
		return refuse(ErrLimit, "create tasks: the fleet holds %d", s.tasks.Len())
	}
	for i, id := range ids {
		if err := checkID("", string(id)); err != nil {
			return checkID(fmt.Sprintf("tasks[%d]", i), string(id)) // the path is made up only for who reads it
		}
		if s.Task(id) != nil {
			return refuse(ErrExists, "create task %s", id)
		}
	}
	if id := repeated(ids); id != "" {
		return refuse(ErrExists, "create task %s: it is named twice", id)
	}
	return nil
}

// rise reports whether each id is above the one before, as those of a run are that its
// proposer made: then none is there twice.
func rise(ids []TaskID) bool {
	for i := 1; i < len(ids); i++ {
		if ids[i] <= ids[i-1] {
			return false
		}
	}
	return true
}

func texts(ids []TaskID) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = string(id)
	}
	return all
}
