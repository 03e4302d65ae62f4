// Package view answers reads: each is a function of a State, of what gossip and the
// answering host add, and of what was asked; its answer is one of skein/agent/api/types.
//
// Each noun has a file with its endpoints, its lists and its rows. The package asks no
// other host, waits for nothing and changes nothing; who may ask is for the server.
package view

import (
	"net/http"
	"slices"
	"strconv"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// View is all that one read may look at.
type View struct {
	*http.Request // what was asked: path values and query
	State         *fleet.State
	Leader        fleet.HostID // empty when nobody is known to lead
	Now           fleet.Time
	Meta          types.Meta
	Secrets       bool // the reader may see values of environment variables
	Self          types.Answerer
	Members       Members // nil: no gossip
	Totals        *Totals
	// Traffic is what hosts count of target groups, on the leader.
	Traffic func([]fleet.TargetGroupName) plan.Traffic

	reports map[fleet.HostID]*fleet.CapacityReport
	members map[fleet.HostID]Member
	failing map[fleet.ListenerName]*failing // nil: not looked at yet
}

// Endpoint is one read.
type Endpoint struct {
	endpoint.Spec
	// Cached marks the main lists: a worker remembers its last good answer.
	Cached bool
	// OfLeader marks what the leader alone knows: others bring it to him, with or without
	// "consistent".
	OfLeader bool
	Read     func(*View) (any, error)
}

// Endpoints are all reads.
func Endpoints() []Endpoint {
	return slices.Concat(statusEndpoints(), hostEndpoints(), serviceEndpoints(), taskEndpoints(), taskDefEndpoints(),
		voterEndpoints(), eventEndpoints(), settingEndpoints(), tokenEndpoints(), trafficEndpoints(), rateEndpoints(),
		entryEndpoints(),
		deploymentEndpoints(), planEndpoints())
}

const (
	defaultPage = 100
	// maxScan bounds the rows one filtered page looks at; the page is then shorter
	// and says where to go on.
	maxScan = 50_000
)

// limit is how many rows a page may have.
func (v *View) limit(otherwise int) int {
	if n, err := strconv.Atoi(v.param("limit")); err == nil {
		return n
	}
	return otherwise
}

// after is the last row of the page before, empty for the first page.
func (v *View) after(list string) string {
	last, _ := endpoint.ReadCursor(list, v.param("next"))
	return last
}

// param is a parameter's value, which its check has accepted.
func (v *View) param(name string) string { return v.URL.Query().Get(name) }

func (v *View) hostRef(id fleet.HostID) *types.HostRef {
	if id == "" {
		return nil
	}
	h := v.State.Host(id)
	if h == nil {
		return &types.HostRef{ID: string(id)}
	}
	return &types.HostRef{ID: string(id), Name: h.Name, Zone: h.Zone, Status: types.CleanURL(h.Status)}
}

// conditions are what all planners say about a subject, most telling first.
func (v *View) conditions(subject fleet.Subject) []types.Condition {
	var out []types.Condition
	for _, w := range plan.ConditionsOf(v.State, subject) {
		out = append(out, conditionOf(w))
	}
	return out
}

func conditionOf(w *fleet.Condition) types.Condition {
	return types.Condition{By: w.By, Code: w.Code, Message: types.Clean(w.Message), Counts: counts(w.Counts),
		Since: types.Stamp(w.Since), Until: types.Stamp(w.Until)}
}

func counts(given []fleet.Count) []types.Count {
	if len(given) == 0 {
		return nil
	}
	out := make([]types.Count, len(given))
	for i, c := range given {
		out[i] = types.Count{Name: types.Clean(c.Name), Count: c.N}
	}
	return out
}
