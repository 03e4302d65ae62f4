package fleet

import (
	"slices"
	"strings"
)

// PutWait records why a planner does not act on a subject; the same wait again
// changes nothing. An empty Code clears it. Refused when the subject
// ("service:web", "host:h-...", "task:3f...") is not there; it goes with its subject, a
// task's when the task gets a host.
type PutWait struct {
	About   string  `cbor:"1,keyasint"`
	Code    string  `cbor:"2,keyasint,omitempty"`
	Message string  `cbor:"3,keyasint,omitempty"`
	Counts  []Count `cbor:"4,keyasint,omitempty"`
	Until   Time    `cbor:"5,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (PutWait) Kind() Kind { return KindPutWait }

func (c PutWait) apply(s *State, x *context) ([]string, error) {
	if c.Code == "" {
		s.removeWait(x, c.About)
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
	if !s.mayWait(c.About) {
		return nil, refuse(ErrNotFound, "wait about %s", quoted(c.About))
	}
	old := s.Wait(c.About)
	w := Wait{
		About: c.About, By: clip(x.item.By, MaxID), Code: c.Code, Message: c.Message,
		Counts: c.Counts, Since: x.now, Until: c.Until,
	}
	if old != nil && old.Code == w.Code {
		w.Since = old.Since
		if old.Message == w.Message && old.By == w.By && old.Until == w.Until && slices.Equal(old.Counts, w.Counts) {
			return nil, nil
		}
	} else if old == nil && s.waits.Len() >= MaxWaits {
		return nil, refuse(ErrLimit, "wait about %s: there are %d waits", quoted(c.About), MaxWaits)
	}
	s.putWait(x, w)
	if old == nil || old.Code != w.Code {
		s.decide(x, Decision{By: "planner", Code: w.Code, About: s.named(w.About), Message: w.Message, Counts: w.Counts})
	}
	return nil, nil
}

// mayWait reports whether something may be waited for: a service, a host, a task
// without a host, the fleet as a whole, or a planner.
func (s *State) mayWait(about string) bool {
	kind, name, _ := strings.Cut(about, ":")
	switch kind {
	case "fleet":
		return name == ""
	case "planner":
		return checkName("about", name, MaxID) == nil
	case "service":
		return s.Service(name) != nil
	case "host":
		h := s.Host(HostID(name))
		return h != nil && h.Life != HostForgotten
	case "task":
		t := s.Task(TaskID(name))
		return t != nil && t.unassigned()
	default:
		return false
	}
}

// named is a subject as decisions have it, which name hosts as people do.
func (s *State) named(about string) string {
	if id, ok := strings.CutPrefix(about, "host:"); ok {
		return aboutHost(s.Host(HostID(id)))
	}
	return about
}

// touchSubject notes a change of what is waited for.
func (s *State) touchSubject(x *context, about string) {
	kind, name, _ := strings.Cut(about, ":")
	switch kind {
	case "service":
		s.touchService(x, name)
	case "task":
		x.out.Touched.Tasks = append(x.out.Touched.Tasks, TaskID(name))
	}
}
