package fleet

import (
	"fmt"
)

// StopTasks asks tasks to stop. One already asked is left alone; one that has
// no host is STOPPED at once. ExpectedModifyIndex, one a task or nil, refuses the whole
// command when a row moved. IDs are the tasks asked by this command.
type StopTasks struct {
	Tasks               []TaskID `cbor:"1,keyasint"`
	Code                StopCode `cbor:"2,keyasint"`
	Reason              string   `cbor:"3,keyasint"`
	ExpectedModifyIndex []uint64 `cbor:"4,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (StopTasks) Kind() Kind { return KindStopTasks }

func (c StopTasks) apply(s *State, x *applyContext) ([]string, error) {
	if err := c.check(s); err != nil {
		return nil, err
	}
	var asked []string
	var last Task
	for _, id := range c.Tasks {
		t := *s.Task(id)
		if t.Desired == TaskStopped {
			continue
		}
		t.Desired, t.StoppingAt, t.StopCode, t.Reason = TaskStopped, x.now, c.Code, c.Reason
		if t.Host == "" {
			t.Last, t.StoppedAt = TaskStopped, x.now
		}
		s.putTask(x, t)
		asked, last = append(asked, string(id)), t
	}
	if len(asked) > 0 {
		s.recordEvent(x, Event{Code: "tasks-stopping", Subject: last.subject(),
			Message: fmt.Sprintf("%s: stopping %s: %s", last.of(), plural(len(asked), "task"), c.Reason),
			Counts:  []Count{{"tasks", len(asked)}}})
	}
	return asked, nil
}

func (c StopTasks) check(s *State) error {
	if err := first(
		checkRange("tasks", len(c.Tasks), 1, MaxRun),
		checkText("reason", c.Reason, MaxReason),
	); err != nil {
		return err
	}
	if c.Code < StopUserInitiated || c.Code > StopInfrastructureHealth {
		return field("stopCode", "is %s: only a host says that of a task", c.Code)
	}
	if c.ExpectedModifyIndex != nil && len(c.ExpectedModifyIndex) != len(c.Tasks) {
		return field("expectMod", "has %d entries for %d tasks", len(c.ExpectedModifyIndex), len(c.Tasks))
	}
	for i, id := range c.Tasks {
		t := s.Task(id)
		if t == nil {
			return refuse(ErrNotFound, "stop task %s", quoted(string(id)))
		}
		if c.ExpectedModifyIndex != nil && t.ModifyIndex != c.ExpectedModifyIndex[i] {
			return refuse(ErrMoved, "stop task %s: it is at %d, not %d", id, t.ModifyIndex, c.ExpectedModifyIndex[i])
		}
	}
	return nil
}
