package api

import (
	"strconv"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// events answers the newest ones, or those after a number.
func (v *view) events() (any, error) {
	if name := v.param("service"); name != "" {
		return v.eventsOfService(name)
	}
	limit, newest := v.limit(defaultPage), v.st.LastEvent()
	after, err := strconv.ParseUint(v.param("after"), 10, 64)
	given := err == nil
	if !given {
		after = newest - min(newest, uint64(limit))
	}
	answer := &types.Events{Meta: v.meta, Events: []types.Event{}, Next: after}
	for e := range v.st.EventsAfter(after) {
		if len(answer.Events) == limit {
			break
		}
		if len(answer.Events) == 0 && given && e.Seq > after+1 {
			answer.Missed = true
		}
		answer.Events = append(answer.Events, eventOf(e))
		answer.Next = e.Seq
	}
	return answer, nil
}

// eventsOfService answers the newest ones about a service, or those after a number.
func (v *view) eventsOfService(name string) (any, error) {
	limit := v.limit(defaultPage)
	after, err := strconv.ParseUint(v.param("after"), 10, 64)
	given := err == nil
	answer := &types.Events{Meta: v.meta, Events: []types.Event{}, Next: v.st.LastEvent()}
	for e := range v.st.EventsOfService(name, after) {
		answer.Events = append(answer.Events, eventOf(e))
	}
	for e := range v.st.EventsAfter(0) {
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

func eventOf(e *fleet.Event) types.Event {
	return types.Event{Seq: e.Seq, Index: e.Index, At: types.Stamp(e.At), By: clean(e.By), Code: clean(e.Code),
		Subject: clean(e.Subject.String()), Message: clean(e.Message), Counts: counts(e.Counts), Cause: e.Cause.String()}
}

// limit is how many rows a page may have.
func (v *view) limit(otherwise int) int {
	if n, err := strconv.Atoi(v.param("limit")); err == nil {
		return n
	}
	return otherwise
}

// after is the last row of the page before, empty for the first page.
func (v *view) after(list string) string {
	last, _ := readCursor(list, v.param("next"))
	return last
}

// param is a parameter's value; its check has taken it for good.
func (v *view) param(name string) string { return v.URL.Query().Get(name) }
