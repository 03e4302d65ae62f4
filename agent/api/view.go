package api

import (
	"net/http"
	"time"

	"skein/agent/api/types"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// view is all that one read may look at: a State, what gossip and this host
// itself add, and what the reader asked for.
type view struct {
	*http.Request
	api     *API
	st      *fleet.State
	leader  fleet.HostID // empty when nobody is known to lead
	now     fleet.Time
	meta    types.Meta
	secrets bool // the reader may see values of environment variables

	reports map[fleet.HostID]*fleet.CapacityReport
	members map[fleet.HostID]Member
}

func (a *API) view(r *http.Request, v Voter, secrets bool) *view {
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
	return &view{Request: r, api: a, st: st, leader: leader, now: max(fleet.TimeOf(now), st.Now()), meta: meta,
		secrets: secrets}
}

// report returns a host's newest word, or nil. Gossip is asked once a request.
func (v *view) report(id fleet.HostID) *fleet.CapacityReport {
	v.gossip()
	return v.reports[id]
}

func (v *view) gossip() {
	if v.reports != nil {
		return
	}
	v.reports, v.members = map[fleet.HostID]*fleet.CapacityReport{}, map[fleet.HostID]Member{}
	if v.api.Members == nil {
		return
	}
	reports := v.api.Members.Reports()
	for i := range reports {
		v.reports[reports[i].Host] = &reports[i]
	}
	for _, m := range v.api.Members.Members() {
		v.members[m.Host] = m
	}
}

// What gossip says of a host.
const (
	heardAlive   = "alive"
	heardFailed  = "failed"
	heardUnknown = "unknown"
)

// heard is what the answering host hears of another by gossip.
func (v *view) heard(id fleet.HostID) string {
	v.gossip()
	m, ok := v.members[id]
	switch {
	case !ok && id == v.api.Host, ok && m.Alive:
		return heardAlive
	case ok:
		return heardFailed
	}
	return heardUnknown
}

func (v *view) hostRef(id fleet.HostID) *types.HostRef {
	if id == "" {
		return nil
	}
	h := v.st.Host(id)
	if h == nil {
		return &types.HostRef{ID: string(id)}
	}
	return &types.HostRef{ID: string(id), Name: h.Name, Zone: h.Zone, Status: safeURL(h.Status)}
}

// conditions are what all planners say about a subject, most telling first.
func (v *view) conditions(subject fleet.Subject) []types.Condition {
	var out []types.Condition
	for _, w := range plan.ConditionsOf(v.st, subject) {
		out = append(out, conditionOf(w))
	}
	return out
}

func conditionOf(w *fleet.Condition) types.Condition {
	return types.Condition{By: w.By, Code: w.Code, Message: clean(w.Message), Counts: counts(w.Counts),
		Since: types.Stamp(w.Since), Until: types.Stamp(w.Until)}
}

func counts(given []fleet.Count) []types.Count {
	if len(given) == 0 {
		return nil
	}
	out := make([]types.Count, len(given))
	for i, c := range given {
		out[i] = types.Count{Name: clean(c.Name), Count: c.N}
	}
	return out
}

// fleetHeader says which fleet an index is of.
func fleetHeader(st *fleet.State, h http.Header) {
	if f := st.Fleet(); f != nil {
		h.Set(types.HeaderFleet, string(f.ID))
	}
}

// metaHeaders puts the meta of an answer where clients find it without decoding.
func metaHeaders(m types.Meta, h http.Header) {
	h.Set(types.HeaderIndex, formatUint(m.Index))
	h.Set(types.HeaderStale, formatInt(m.StaleMs))
	if m.CutOff {
		h.Set(types.HeaderCutOff, "true")
	}
	if !m.AloneSince.IsZero() {
		h.Set(types.HeaderAlone, fleet.Time(m.AloneSince).String())
	}
}

// older is the meta of an answer that was kept for a while.
func older(m types.Meta, by time.Duration) types.Meta {
	if m.StaleMs >= 0 {
		m.StaleMs += by.Milliseconds()
	}
	return m
}
