package view

import (
	"strconv"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func eventEndpoints() []Endpoint {
	return []Endpoint{{
		Spec: endpoint.Get("/v1/events", "What was done and why, oldest first; the newest ones unless after is given",
			types.Events{}, endpoint.Limit, endpoint.After, endpoint.Service),
		Cached: true, Read: (*View).events,
	}}
}

// events answers the newest ones, or those after a number.
func (v *View) events() (any, error) {
	if name := v.param("service"); name != "" {
		return v.eventsOfService(name)
	}
	limit, newest := v.limit(defaultPage), v.State.LastEvent()
	after, err := strconv.ParseUint(v.param("after"), 10, 64)
	given := err == nil
	if !given {
		after = newest - min(newest, uint64(limit))
	}
	answer := &types.Events{Meta: v.Meta, Events: []types.Event{}, Next: after}
	for e := range v.State.EventsAfter(after) {
		if len(answer.Events) == limit {
			break
		}
		if len(answer.Events) == 0 && given && e.Seq > after+1 {
			answer.Missed = true
		}
		answer.Events = append(answer.Events, EventOf(e))
		answer.Next = e.Seq
	}
	return answer, nil
}

// eventsOfService answers the newest ones about a service, or those after a number.
func (v *View) eventsOfService(name string) (any, error) {
	limit := v.limit(defaultPage)
	after, err := strconv.ParseUint(v.param("after"), 10, 64)
	given := err == nil
	answer := &types.Events{Meta: v.Meta, Events: []types.Event{}, Next: v.State.LastEvent()}
	for e := range v.State.EventsOfService(name, after) {
		answer.Events = append(answer.Events, EventOf(e))
	}
	for e := range v.State.EventsAfter(0) {
		answer.Missed = given && e.Seq > after+1 // the ring of the fleet alone has them all
		break
	}
	switch n := len(answer.Events); {
	case n <= limit:
	case given:
		answer.Events = answer.Events[:limit]
		answer.Next = answer.Events[limit-1].Seq
	default:
		answer.Events = answer.Events[n-limit:]
	}
	return answer, nil
}

// EventOf is the row of an event.
func EventOf(e *fleet.Event) types.Event {
	return types.Event{
		Seq: e.Seq, Index: e.Index, At: types.Stamp(e.At), By: types.Clean(e.By), Code: types.Clean(e.Code),
		Subject: types.Clean(e.Subject.String()), Message: types.Clean(e.Message), Counts: counts(e.Counts),
		Cause: e.Cause.String(),
	}
}
