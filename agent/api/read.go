package api

import (
	"errors"
	"net/http"
	"time"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// serveRead answers from State where this host holds one, from the nearest
// voter where it does not, and from what it remembers where nobody answers.
func (a *API) serveRead(rt route, trust Trust, w http.ResponseWriter, r *http.Request) {
	secrets, err := a.mayReadSecrets(trust, r)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	if rt.private && !secrets && a.Voter() != nil {
		a.writeError(w, r, refuse(http.StatusUnauthorized, "token-needed", "this is shown to operators only",
			"send Authorization: Bearer with an operator token, or ask a voter over its unix socket"))
		return
	}
	if isSet(r.URL.Query(), paramConsistent.name) {
		err = a.withLeader(w, r, forwardedCall{trust: trust, public: !secrets, here: func(v Voter) error {
			if unsure := v.Verify(r.Context()); unsure != nil {
				return errors.Join(ErrNotLeader, unsure)
			}
			return a.answer(rt, a.view(r, v, secrets), w)
		}})
	} else if v := a.Voter(); v != nil {
		var asked uint64
		if asked, err = a.awaitIndex(r, v); err == nil {
			view := a.view(r, v, secrets)
			if view.st.Index() < asked {
				w.Header().Set(types.HeaderBehind, "true")
			}
			err = a.answer(rt, view, w)
		}
	} else {
		err = a.readAsWorker(rt, trust, w, r)
	}
	if err != nil {
		a.writeError(w, r, err)
	}
}

// answer writes what a State says.
func (a *API) answer(rt route, v *view, w http.ResponseWriter) error {
	metaHeaders(v.meta, w.Header())
	fleetHeader(v.st, w.Header())
	got, err := rt.read(v)
	if err != nil {
		return err
	}
	if v.meta.CutOff {
		a.metrics.cutOffReads.Inc()
		got = a.withOwnTasks(got)
	}
	writeJSON(w, http.StatusOK, got)
	return nil
}

// readAsWorker asks a voter and remembers its answer; with no voter it gives
// what it remembers, joined with what it sees itself.
func (a *API) readAsWorker(rt route, trust Trust, w http.ResponseWriter, r *http.Request) error {
	if hops(r, trust) > 0 {
		// A peer took this host for a voter. Sending it on could go in circles.
		return refuse(http.StatusServiceUnavailable, "not-a-voter", "this host holds no State",
			"ask another voter").after(time.Second)
	}
	plain := r.Header.Get("Authorization") == ""
	keep := &recorder{ResponseWriter: w}
	err := errNobody
	if a.Forward != nil {
		err = a.Forward.Forward(keep, a.outgoing(r, nil, trust, requestTime, "", false), false)
	}
	if err == nil {
		a.metrics.forwarded("answered")
		if rt.cached && plain && keep.complete() {
			a.cache.put(cacheKey(r), cached{rt.pattern, keep.body, a.Now()})
		}
		return nil
	}
	a.metrics.forwarded("failed")
	a.metrics.cutOffReads.Inc()
	got, meta, err := a.recall(rt, r)
	if err != nil {
		return err
	}
	metaHeaders(meta, w.Header())
	writeJSON(w, http.StatusOK, got)
	return nil
}

var errNobody = errors.New("there is no other host")

// mayReadSecrets says whether the caller may see what may be secret. A token
// that is sent but not good is an error, so that nobody wonders.
func (a *API) mayReadSecrets(trust Trust, r *http.Request) (bool, error) {
	switch trust {
	case TrustVoter:
		return r.Header.Get(headerPublic) == "", nil
	case TrustRoot:
		return true, nil
	case TrustToken:
		v := a.Voter()
		if v == nil || r.Header.Get("Authorization") == "" {
			return false, nil
		}
		_, err := a.operator(r, v.State())
		return err == nil, err
	default:
		return false, nil
	}
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
			t.overlay(row)
		}
	}
}

// overlay puts what a host sees of its own task over a row.
func (t LocalTask) overlay(row *types.Task) {
	row.Last, row.Health, row.Source, row.Unreachable = t.Last.String(), health(t.Health), "host", false
	if t.Reason != "" {
		row.Reason = clean(t.Reason)
	}
	if len(t.Ports) > 0 {
		row.Ports = ports(t.Ports)
	}
	if len(t.Containers) > 0 {
		row.Containers = containers(t.ID, t.Containers)
	}
}

// row is a task of which only its own host speaks.
func (t LocalTask) row(host types.HostRef) types.Task {
	row := types.Task{
		ID: string(t.ID), Service: t.Service, Revision: string(t.Revision), TaskDef: string(t.TaskDef), Host: &host,
		Desired: t.Desired.String(), Last: t.Last.String(), Health: health(t.Health),
	}
	if t.Desired == 0 {
		row.Desired = fleet.TaskRunning.String()
	}
	t.overlay(&row)
	return row
}
