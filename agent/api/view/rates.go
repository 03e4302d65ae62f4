package view

import (
	"maps"
	"slices"
	"time"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

const (
	// ratesOver is how far back rates look, ratesStale is how old they are at most.
	ratesOver  = 10 * time.Second
	ratesStale = 10 * time.Second
	// ratesPage bounds the groups of a page: hosts tell of them while somebody looks.
	ratesPage = 64
)

func rateEndpoints() []Endpoint {
	return []Endpoint{{
		Spec: endpoint.Get("/v1/traffic", "What target groups that rules lead to are asked for now, by revision, as the "+
			"leader hears it; at most 64 groups at once", types.Rates{}, endpoint.Limit, endpoint.Next("traffic")),
		OfLeader: true, Read: (*View).rates,
	}}
}

func (v *View) rates() (any, error) {
	limit, next := min(v.limit(ratesPage), ratesPage), v.after("traffic")
	answer := &types.Rates{Meta: v.Meta, Groups: []types.GroupRates{}}
	var names []fleet.TargetGroupName
	for g := range v.State.TargetGroups() {
		if string(g.Name) <= next || !v.isLedTo(g.Name) {
			continue
		}
		if len(names) == limit {
			answer.Next = endpoint.NewCursor("traffic", string(names[limit-1]))
			break
		}
		names = append(names, g.Name)
	}
	traffic := v.Traffic(names)
	for _, name := range names {
		answer.Groups = append(answer.Groups, groupRates(&traffic, name))
	}
	return answer, nil
}

// isLedTo reports whether a rule leads to the group.
func (v *View) isLedTo(name fleet.TargetGroupName) bool {
	for range v.State.RulesTo(name) {
		return true
	}
	return false
}

func groupRates(t *plan.Traffic, name fleet.TargetGroupName) types.GroupRates {
	row := types.GroupRates{TargetGroup: string(name)}
	all := t.Over(name, "", ratesOver)
	if all.Over <= 0 || all.Age > ratesStale {
		return row
	}
	row.Known, row.OverS, row.Hosts, row.Rate = true, all.Over.Seconds(), all.Hosts, rateOf(all)
	row.NoTarget = float64(t.Unserved(name, ratesOver).Requests) / all.Over.Seconds()
	points := t.Groups[name].Points
	for _, id := range slices.Sorted(maps.Keys(points[len(points)-1].Revisions)) {
		if w := t.Over(name, id, ratesOver); id != "" && w.Requests > 0 {
			row.Revisions = append(row.Revisions, types.RevisionRates{Revision: string(id), Rate: rateOf(w)})
		}
	}
	return row
}

func rateOf(w plan.TrafficWindow) types.Rate {
	rate := types.Rate{RequestsPerS: float64(w.Requests) / w.Over.Seconds(), ErrorShare: w.ErrorShare()}
	rate.P50Ms, rate.P99Ms = quantileMs(w, 0.5), quantileMs(w, 0.99)
	return rate
}

func quantileMs(w plan.TrafficWindow, q float64) float64 {
	took, _ := w.Quantile(q)
	return float64(took.Microseconds()) / 1000
}
