package api

import (
	"skein/agent/api/cutoff"
	"skein/agent/api/types"
)

// itself is what a worker that hears no voter knows by itself.
func (a *API) itself() cutoff.Host {
	h := cutoff.Host{Self: a.self("worker"), Members: a.Members, Now: a.Now()}
	if a.Local != nil {
		h.Tasks, h.AloneSince = a.Local.Tasks(), a.Local.AloneSince()
	}
	return h
}

// withOwnTasks replaces, in answers of a voter that is cut off, what the log
// last heard of this host's tasks by what the host sees.
func (a *API) withOwnTasks(got any) any {
	if a.Local == nil {
		return got
	}
	switch answer := got.(type) {
	case *types.Tasks:
		for i := range answer.Tasks {
			a.ownTask(&answer.Tasks[i])
		}
	case *types.Task:
		a.ownTask(answer)
	}
	return got
}

func (a *API) ownTask(row *types.Task) {
	if row.Host == nil || row.Host.ID != string(a.Host) {
		return
	}
	for _, t := range a.Local.Tasks() {
		if string(t.ID) == row.ID {
			t.Overlay(row)
		}
	}
}
