package fleet

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// recordEvent records what was done in the ring of events, and in that of the service
// that it is about. The item's By and Reason win over the defaults in e.
func (s *State) recordEvent(x *applyContext, e Event) {
	e.Seq, e.Index, e.At = s.lastEvent+1, x.index, x.now
	if x.item.By != "" {
		e.By = x.item.By
	} else if e.By == "" {
		e.By = "operator"
	}
	if x.item.Reason != "" {
		e.Message = x.item.Reason
	}
	e.By, e.Message = clip(e.By, MaxID), clip(e.Message, maxMessage)
	s.lastEvent = e.Seq
	s.addEvent(&e)
	s.keepForService(&e)
	for s.events.Len() > MaxEvents || s.eventMemory > MaxEventMemory {
		_, oldest, _ := s.events.PopMin()
		s.eventMemory -= eventSize(oldest)
	}
	x.touch(Subject{Kind: SubjectEvents})
}

func (s *State) addEvent(e *Event) {
	s.events.Set(e.Seq, e)
	s.eventMemory += eventSize(e)
}

// eventSize is about what an event takes in memory: its texts, and the
// fixed parts of the rows.
func eventSize(e *Event) int {
	n := 128 + len(e.By) + len(e.Code) + e.Subject.size() + len(e.Message)
	for _, c := range e.Counts {
		n += 24 + len(c.Name)
	}
	return n
}

// clip makes a text valid UTF-8 of at most max bytes.
func clip(text string, max int) string {
	if text = strings.ToValidUTF8(text, "?"); len(text) <= max {
		return text
	}
	for max > 0 && !utf8.RuneStart(text[max]) {
		max--
	}
	return text[:max]
}

// tidy is a text as it is kept that a planner made of what is kept already: answers of
// hooks, reasons of tasks. It is clipped, and control characters become spaces. No command
// of a planner is refused for such a text, which is the same in its next pass.
func tidy(text string, max int) string {
	return clip(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text), max)
}

// plural is "1 task", "2 tasks".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// short is the head of a task id, enough for people.
func (id TaskID) short() string {
	if len(id) > 8 {
		return string(id[:8])
	}
	return string(id)
}

// of names what a task belongs to, for people: "web" or "a standalone task".
func (t *Task) of() string {
	if t.Service != "" {
		return t.Service
	}
	family, _ := t.TaskDef.Split()
	return family + " (standalone)"
}

// subject is what an event about a task is filed under.
func (t *Task) subject() Subject {
	if t.Service != "" {
		return ServiceSubject(t.Service)
	}
	return TaskSubject(t.ID)
}
