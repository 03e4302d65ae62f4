package fleet

import (
	"fmt"
)

// StopTasks asks tasks to stop, for a Cause that their rows keep with the item's
// By. One already asked is left alone; one that has no host is STOPPED at once.
// ExpectedModifyIndex, one a task or nil, refuses the whole command when a row moved. IDs
// are the tasks asked by this command. A task that is stopped since it failed counts in
// the circuit breaker of its deployment.
//
// Code is for entries made before causes were: zero where Cause is set, whose
// stop code counts then.
type StopTasks struct {
	Tasks               []TaskID `cbor:"1,keyasint"`
	Code                StopCode `cbor:"2,keyasint"` // see above
	Reason              string   `cbor:"3,keyasint"`
	ExpectedModifyIndex []uint64 `cbor:"4,keyasint,omitempty"`
	Cause               Cause    `cbor:"5,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (StopTasks) Kind() Kind { return KindStopTasks }

func (c StopTasks) apply(s *State, x *applyContext) ([]string, error) {
	if err := c.check(s); err != nil {
		return nil, err
	}
	code, request := c.why(x)
	var asked []string
	var last Task
	for _, id := range c.Tasks {
		t := *s.Task(id)
		if t.Desired == TaskStopped {
			continue
		}
		t.stopFor(code, request, x.now)
		t.Reason = c.Reason
		if t.Host == "" {
			t.Last, t.StoppedAt = TaskStopped, x.now
		}
		s.noteLasting(x, s.Task(id))
		s.putTask(x, t)
		if c.Cause == CauseTaskFailed {
			s.noteFailure(x, &t, c.Reason)
		}
		asked, last = append(asked, string(id)), t
	}
	if len(asked) > 0 {
		s.recordEvent(x, Event{Code: "tasks-stopping", Subject: last.subject(),
			Message: fmt.Sprintf("%s: stopping %s: %s", last.of(), plural(len(asked), "task"), c.Reason),
			Counts:  []Count{{"tasks", len(asked)}}, Cause: last.StopCause()})
	}
	return asked, nil
}

// why is the stop code of the tasks and the request that their rows keep; nil
// where nobody said a cause.
func (c StopTasks) why(x *applyContext) (StopCode, *Request) {
	cause, code := c.Cause, c.Code
	if cause == 0 {
		cause = causeOf(code)
	} else {
		code = cause.StopCode()
	}
	if cause == 0 {
		return code, nil
	}
	return code, &Request{Cause: cause, By: clip(x.item.By, MaxID), At: x.now}
}

func (c StopTasks) check(s *State) error {
	if err := first(
		checkRange("tasks", len(c.Tasks), 1, MaxRun),
		checkText("reason", c.Reason, MaxReason),
	); err != nil {
		return err
	}
	switch {
	case c.Cause != 0 && !c.Cause.Known():
		return field("cause", "is %s, which this fleet does not know", c.Cause)
	case c.Cause != 0 && c.Code != 0:
		return field("stopCode", "is %s: it follows from the cause, %s", c.Code, c.Cause)
	case c.Cause == 0 && (c.Code < StopUserInitiated || c.Code > StopInfrastructureHealth):
		return field("cause", "is not given")
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
