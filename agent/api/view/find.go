package view

import (
	"fmt"
	"strings"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// MinPrefix is the shortest beginning of a task id that is looked for: shorter
// ones are almost never unique and read half the table.
const MinPrefix = 4

// FindHost takes an id or the name of a host that is not forgotten.
func FindHost(st *fleet.State, ref string) (*fleet.Host, error) {
	if h := st.Host(fleet.HostID(ref)); h != nil {
		return h, nil
	}
	if h := st.HostByName(ref); h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("host %q: %w", types.Clean(ref), fleet.ErrNotFound)
}

// FindTask takes an id or a beginning that only one task has.
func FindTask(st *fleet.State, ref string) (*fleet.Task, error) {
	if t := st.Task(fleet.TaskID(ref)); t != nil {
		return t, nil
	}
	if len(ref) < MinPrefix {
		return nil, &fleet.FieldError{Field: "task",
			Why: fmt.Sprintf("%q is too short: give at least %d characters of the id", types.Clean(ref), MinPrefix)}
	}
	var found *fleet.Task
	for t := range st.TasksAfter(fleet.TaskID(ref)) {
		if !strings.HasPrefix(string(t.ID), ref) {
			break
		}
		if found != nil {
			return nil, &fleet.FieldError{Field: "task", Why: fmt.Sprintf("%q begins more than one task's id: give more of it",
				types.Clean(ref))}
		}
		found = t
	}
	if found == nil {
		return nil, fmt.Errorf("task %q: %w", types.Clean(ref), fleet.ErrNotFound)
	}
	return found, nil
}

// FindTaskDef takes family:revision, or a family for its newest revision.
func FindTaskDef(st *fleet.State, ref string) (*fleet.TaskDef, error) {
	id := fleet.TaskDefID(ref)
	d := st.TaskDef(id)
	if _, revision := id.Split(); d == nil && revision == 0 {
		d = st.LatestTaskDef(ref)
	}
	if d == nil {
		return nil, fmt.Errorf("task definition %q: %w", types.Clean(ref), fleet.ErrNotFound)
	}
	return d, nil
}

// FindService takes a name.
func FindService(st *fleet.State, name string) (*fleet.Service, error) {
	if s := st.Service(name); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("service %q: %w", types.Clean(name), fleet.ErrNotFound)
}
