package fleet

import "fmt"

// ReplaceTasks gives tasks of services the standing "to be replaced", for a Cause
// that their rows keep: their service starts others first, and stops them when
// those are healthy. Cause zero takes the standing back. A task that has it, or
// is to stop, is left as it is. Refused as a whole when a task is not there, is
// standalone, or a row moved (ExpectedModifyIndex, one a task or nil). IDs are
// the tasks that changed.
type ReplaceTasks struct {
	Tasks               []TaskID `cbor:"1,keyasint"`
	Cause               Cause    `cbor:"2,keyasint,omitempty"`
	ExpectedModifyIndex []uint64 `cbor:"3,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (ReplaceTasks) Kind() Kind { return KindReplaceTasks }

func (c ReplaceTasks) apply(s *State, x *applyContext) ([]string, error) {
	if err := c.check(s); err != nil {
		return nil, err
	}
	var request *Request
	if c.Cause != 0 {
		request = &Request{Cause: c.Cause, By: clip(x.item.By, MaxID), At: x.now}
	}
	var changed []string
	var last Task
	for _, id := range c.Tasks {
		t := *s.Task(id)
		if t.Desired == TaskStopped || (t.Replace != nil) == (request != nil) {
			continue
		}
		t.Replace = request
		s.putTask(x, t)
		changed, last = append(changed, string(id)), t
	}
	if len(changed) > 0 {
		s.recordEvent(x, c.event(&last, len(changed)))
	}
	return changed, nil
}

func (c ReplaceTasks) event(last *Task, n int) Event {
	e := Event{Code: "tasks-to-replace", Subject: last.subject(), Counts: []Count{{"tasks", n}}, Cause: c.Cause}
	e.Message = fmt.Sprintf("%s: to be replaced: %s (%s)", last.of(), plural(n, "task"), c.Cause)
	if c.Cause == 0 {
		e.Code = "tasks-stay"
		e.Message = fmt.Sprintf("%s: need not be replaced any more: %s", last.of(), plural(n, "task"))
	}
	return e
}

func (c ReplaceTasks) check(s *State) error {
	if err := checkRange("tasks", len(c.Tasks), 1, MaxRun); err != nil {
		return err
	}
	if c.Cause != 0 && !c.Cause.Known() {
		return field("cause", "is %s, which this fleet does not know", c.Cause)
	}
	if c.ExpectedModifyIndex != nil && len(c.ExpectedModifyIndex) != len(c.Tasks) {
		return field("expectedModifyIndex", "has %d entries for %d tasks", len(c.ExpectedModifyIndex), len(c.Tasks))
	}
	for i, id := range c.Tasks {
		t := s.Task(id)
		if t == nil {
			return refuse(ErrNotFound, "replace task %s", quoted(string(id)))
		}
		if t.Standalone() {
			return refuse(ErrConflict, "replace task %s: it is standalone, and nobody starts another; stop it, and run it again",
				id)
		}
		if c.ExpectedModifyIndex != nil && t.ModifyIndex != c.ExpectedModifyIndex[i] {
			return refuse(ErrMoved, "replace task %s: it is at %d, not %d", id, t.ModifyIndex, c.ExpectedModifyIndex[i])
		}
	}
	return nil
}
