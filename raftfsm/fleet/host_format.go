package fleet

import (
	"fmt"
	"reflect"
)

// hostsMaySkip says that nothing which a host is sent for a task came after the first
// format: then no task needs a newer agent.
var hostsMaySkip = !gated(reflect.TypeFor[WantedTask]()) && !gated(reflect.TypeFor[TaskDef]())

// NeedsFormat is the lowest format that an agent must read to run a task: that of the
// newest field, among those which its host is sent for it, that must not be skipped.
// Tasks of one definition and revision need the same.
func (s *State) NeedsFormat(t *Task) int {
	if hostsMaySkip {
		return 1
	}
	wanted := s.wantedTask(t)
	return max(1, fieldsNeed(reflect.ValueOf(&wanted), true), fieldsNeed(reflect.ValueOf(s.TaskDef(t.TaskDef)), true))
}

// Runs reports whether a host's agent knows all that a task of a format needs. One
// that gets no session runs nothing new.
func (h *Host) Runs(needs int) bool { return h.Refused == nil && needs <= h.ReadsFormat() }

// RefusedAgent is an agent that is too old for the fleet, as one is that was taken back
// after the format had been raised. It gets no session: the host's row is of the agent
// before it.
type RefusedAgent struct {
	Version string `cbor:"1,keyasint,omitempty"`
	Format  int    `cbor:"2,keyasint"` // that it reads
	Since   Time   `cbor:"3,keyasint"`
}

// Agent is the version of the agent that the host has now, and the format it reads.
func (h *Host) Agent() (version string, reads int) {
	if h.Refused != nil {
		return h.Refused.Version, h.Refused.Format
	}
	return h.Version, h.ReadsFormat()
}

// Refuses reports whether it is noted that the agent which asks is too old.
func (h *Host) Refuses(c OpenSession) bool {
	return h.Refused != nil && h.Refused.Version == c.Version && h.Refused.Format == c.reads()
}

// reads is the highest format that the agent which asks reads.
func (c OpenSession) reads() int { return max(c.Format, 1) }

// CheckFormat is ErrAgentTooOld where the agent reads less than the fleet's format.
// That only rises, so any voter can tell, and need propose nothing to refuse it but
// what people should read of it (TooOld), where that is not noted (Refuses).
func (c OpenSession) CheckFormat(s *State) error {
	if c.reads() < s.format() {
		return refuse(ErrAgentTooOld, "open session of %s: its agent (%s) reads format %d, the fleet is at %d",
			s.Host(c.Host).Name, c.Version, c.reads(), s.format())
	}
	return nil
}

// noteTooOld keeps what the agent says of itself, once for each.
func (c OpenSession) noteTooOld(s *State, x *applyContext, old *Host) {
	if old.Refuses(c) {
		return
	}
	h := *old
	h.Refused = &RefusedAgent{Version: c.Version, Format: c.reads(), Since: x.now}
	s.putHost(x, h)
	s.recordEvent(x, Event{By: "host " + h.Name, Code: "agent-too-old", Subject: subjectOf(&h), Message: fmt.Sprintf(
		"the agent of %s (%s) reads format %d, the fleet is at %d: it gets no session and no new tasks; upgrade skein there",
		h.Name, c.Version, c.reads(), s.format())})
}
