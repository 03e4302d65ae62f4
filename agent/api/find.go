package api

import (
	"fmt"
	"strings"

	"skein/raftfsm/fleet"
)

// minPrefix is the shortest beginning of a task id that is looked for: shorter
// ones are almost never unique and read half the table.
const minPrefix = 4

// findHost takes an id or the name of a host that is not forgotten.
func findHost(st *fleet.State, ref string) (*fleet.Host, error) {
	if h := st.Host(fleet.HostID(ref)); h != nil {
		return h, nil
	}
	if h := st.HostByName(ref); h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("host %q: %w", clean(ref), fleet.ErrNotFound)
}

// findTask takes an id or a beginning that only one task has.
func findTask(st *fleet.State, ref string) (*fleet.Task, error) {
	if t := st.Task(fleet.TaskID(ref)); t != nil {
		return t, nil
	}
	if len(ref) < minPrefix {
		return nil, &fleet.FieldError{Field: "task",
			Why: fmt.Sprintf("%q is too short: give at least %d characters of the id", clean(ref), minPrefix)}
	}
	var found *fleet.Task
	for t := range st.TasksAfter(fleet.TaskID(ref)) {
		if !strings.HasPrefix(string(t.ID), ref) {
			break
		}
		if found != nil {
			return nil, &fleet.FieldError{Field: "task", Why: fmt.Sprintf("%q begins more than one task's id: give more of it",
				clean(ref))}
		}
		found = t
	}
	if found == nil {
		return nil, fmt.Errorf("task %q: %w", clean(ref), fleet.ErrNotFound)
	}
	return found, nil
}

// findTaskDef takes family:revision, or a family for its newest revision.
func findTaskDef(st *fleet.State, ref string) (*fleet.TaskDef, error) {
	id := fleet.TaskDefID(ref)
	d := st.TaskDef(id)
	if _, revision := id.Split(); d == nil && revision == 0 {
		d = st.LatestTaskDef(ref)
	}
	if d == nil {
		return nil, fmt.Errorf("task definition %q: %w", clean(ref), fleet.ErrNotFound)
	}
	return d, nil
}

func findService(st *fleet.State, name string) (*fleet.Service, error) {
	if s := st.Service(name); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("service %q: %w", clean(name), fleet.ErrNotFound)
}
