package fleet

import (
	"slices"
	"strings"
)

// PutCondition records why a planner does not act on a subject. A subject has one
// condition of each planner, that of the item's By; the same one again changes
// nothing. An empty Code clears it. Refused when the subject ("service:web",
// "host:h-...", "task:3f...") is not there. A condition goes with its subject, a task's
// when the task gets a host.
type PutCondition struct {
	Subject string  `cbor:"1,keyasint"`
	Code    string  `cbor:"2,keyasint,omitempty"`
	Message string  `cbor:"3,keyasint,omitempty"`
	Counts  []Count `cbor:"4,keyasint,omitempty"`
	Until   Time    `cbor:"5,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (PutCondition) Kind() Kind { return KindPutCondition }

func (c PutCondition) apply(s *State, x *applyContext) ([]string, error) {
	by := clip(x.item.By, MaxID)
	old := s.Condition(c.Subject, by)
	if c.Code == "" {
		if old != nil {
			s.removeCondition(x, old)
		}
		return nil, nil
	}
	if err := first(
		checkName("code", c.Code, MaxID),
		checkText("message", c.Message, MaxReason),
		checkCounts("counts", c.Counts),
		checkRange("until", int64(c.Until), 0, int64(maxTime)),
	); err != nil {
		return nil, err
	}
	if !s.mayHaveCondition(c.Subject) {
		return nil, refuse(ErrNotFound, "condition of %s", quoted(c.Subject))
	}
	w := Condition{
		Subject: c.Subject, By: by, Code: c.Code, Message: c.Message,
		Counts: c.Counts, Since: x.now, Until: c.Until,
	}
	if old != nil && old.Code == w.Code {
		w.Since = old.Since
		if old.Message == w.Message && old.Until == w.Until && slices.Equal(old.Counts, w.Counts) {
			return nil, nil
		}
	} else if old == nil && s.conditions.Len() >= MaxConditions {
		return nil, refuse(ErrLimit, "condition of %s: there are %d conditions", quoted(c.Subject), MaxConditions)
	}
	s.putCondition(x, w)
	if old == nil || old.Code != w.Code {
		s.recordEvent(x, Event{By: "planner", Code: w.Code, Subject: s.named(w.Subject), Message: w.Message, Counts: w.Counts})
	}
	return nil, nil
}

// mayHaveCondition reports whether a subject is there: a service, a host, a task without
// a host, the fleet as a whole, or a planner.
func (s *State) mayHaveCondition(subject string) bool {
	kind, name, _ := strings.Cut(subject, ":")
	switch kind {
	case "fleet":
		return name == ""
	case "planner":
		return checkName("subject", name, MaxID) == nil
	case "service":
		return s.Service(name) != nil
	case "host":
		h := s.Host(HostID(name))
		return h != nil && h.State != HostForgotten
	case "task":
		t := s.Task(TaskID(name))
		return t != nil && t.unassigned()
	default:
		return false
	}
}

// named is a subject as decisions have it, which name hosts as people do.
func (s *State) named(subject string) string {
	if id, ok := strings.CutPrefix(subject, "host:"); ok && s.Host(HostID(id)) != nil {
		return subjectOf(s.Host(HostID(id)))
	}
	return subject
}

// touchSubject notes a change of a subject's conditions.
func (s *State) touchSubject(x *applyContext, subject string) {
	kind, name, _ := strings.Cut(subject, ":")
	switch kind {
	case "service":
		s.touchService(x, name)
	case "task":
		x.out.ChangeSet.Tasks = append(x.out.ChangeSet.Tasks, TaskID(name))
	}
}
