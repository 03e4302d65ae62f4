package api

import (
	"errors"
	"net/http"
	"time"

	"skein/agent/api/endpoint"
	"skein/agent/api/refusal"
	"skein/agent/api/types"
	"skein/agent/api/view"
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
	if rt.Private && !secrets && a.Voter() != nil {
		a.writeError(w, r, refusal.New(http.StatusUnauthorized, "token-needed", "this is shown to operators only",
			"send Authorization: Bearer with an operator token, or ask a voter over its unix socket"))
		return
	}
	if rt.ofLeader || endpoint.IsSet(r.URL.Query(), endpoint.Consistent.Name) {
		err = a.withLeader(w, r, forwardedCall{trust: trust, public: !secrets, here: func(v Voter) error {
			if unsure := v.Verify(r.Context()); unsure != nil {
				return errors.Join(ErrNotLeader, unsure)
			}
			return a.answer(rt, a.view(r, v, secrets), w)
		}})
	} else if v := a.Voter(); v != nil {
		var asked uint64
		if asked, err = a.awaitIndex(r, v); err == nil {
			looked := a.view(r, v, secrets)
			if looked.State.Index() < asked {
				w.Header().Set(types.HeaderBehind, "true")
			}
			err = a.answer(rt, looked, w)
		}
	} else {
		err = a.readAsWorker(rt, trust, w, r)
	}
	if err != nil {
		a.writeError(w, r, err)
	}
}

// answer writes what a State says.
func (a *API) answer(rt route, v *view.View, w http.ResponseWriter) error {
	metaHeaders(v.Meta, w.Header())
	fleetHeader(v.State, w.Header())
	got, err := rt.read(v)
	if err != nil {
		return err
	}
	if v.Meta.CutOff {
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
		return refusal.New(http.StatusServiceUnavailable, "not-a-voter", "this host holds no State",
			"ask another voter").After(time.Second)
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
			a.memory.Put(rt.Pattern, r, keep.body, a.Now())
		}
		return nil
	}
	a.metrics.forwarded("failed")
	a.metrics.cutOffReads.Inc()
	got, meta, err := a.memory.Answer(rt.Pattern, r, a.itself())
	if err != nil {
		return err
	}
	metaHeaders(meta, w.Header())
	writeJSON(w, http.StatusOK, got)
	return nil
}

// view is what one read on a voter looks at.
func (a *API) view(r *http.Request, v Voter, secrets bool) *view.View {
	st, age := v.State(), v.Age()
	leader, known := v.Leader()
	if !known {
		leader = ""
	}
	now := a.Now()
	meta := types.Meta{Index: st.Index(), StaleMs: age.Milliseconds()}
	if !known && age > cutOffAfter {
		meta.CutOff, meta.AloneSince = true, types.Stamp(fleet.TimeOf(now.Add(-age)))
	}
	return &view.View{Request: r, State: st, Leader: leader, Now: max(fleet.TimeOf(now), st.Now()), Meta: meta,
		Secrets: secrets, Self: a.self("voter"), Members: a.Members, Totals: a.totals,
		Traffic: v.Traffic}
}

func (a *API) self(role string) types.Answerer {
	return types.Answerer{ID: string(a.Host), Name: a.Name, Zone: a.Zone, Role: role, Version: a.Version}
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
