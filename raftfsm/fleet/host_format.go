package fleet

import "reflect"

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

// Runs reports whether a host's agent knows all that a task of a format needs.
func (h *Host) Runs(needs int) bool { return needs <= h.ReadsFormat() }
