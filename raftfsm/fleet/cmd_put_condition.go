package fleet

import (
	"slices"
)

// PutCondition records why a planner does not act on a subject. A subject has one
// condition of each planner, that of the item's By; the same one again changes
// nothing. An empty Code clears it. Refused when the subject ("service:web",
// "host:h-...", "task:3f...") is not there. A condition goes with its subject, a task's
// when the task gets a host.
type PutCondition struct {
	Subject Subject `cbor:"1,keyasint"`
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
		return nil, refuse(ErrNotFound, "condition of %s", quoted(c.Subject.String()))
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
		return nil, refuse(ErrLimit, "condition of %s: there are %d conditions", quoted(c.Subject.String()), MaxConditions)
	}
	s.putCondition(x, w)
	if old == nil || old.Code != w.Code {
		s.recordEvent(x, Event{By: "planner", Code: w.Code, Subject: s.named(w.Subject), Message: w.Message,
			Counts: w.Counts})
	}
	return nil, nil
}

// mayHaveCondition reports whether a subject is there: a service, a host, a task without
// a host, the fleet as a whole, or a planner.
func (s *State) mayHaveCondition(subject Subject) bool {
	switch name := subject.Name; subject.Kind {
	case SubjectFleet:
		return name == ""
	case SubjectPlanner:
		return checkName("subject", name, MaxID) == nil
	case SubjectService:
		return s.Service(name) != nil
	case SubjectHost:
		h := s.Host(HostID(name))
		return h != nil && h.State != HostForgotten
	case SubjectEntryAddress:
		return s.EntryAddress(subject.Name) != nil
	case SubjectTask:
		t := s.Task(TaskID(name))
		return t != nil && t.unassigned()
	default:
		return false
	}
}

// named is a subject as decisions have it, which name hosts as people do.
func (s *State) named(subject Subject) Subject {
	if subject.Kind != SubjectHost {
		return subject
	}
	if h := s.Host(HostID(subject.Name)); h != nil {
		return subjectOf(h)
	}
	return subject
}
