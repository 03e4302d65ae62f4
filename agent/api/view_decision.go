package api

import (
	"strconv"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// decisions answers the newest ones, or those after a number.
func (v *view) decisions() (any, error) {
	limit, newest := v.limit(defaultPage), v.st.LastDecision()
	after, err := strconv.ParseUint(v.param("after"), 10, 64)
	given := err == nil
	if !given {
		after = newest - min(newest, uint64(limit))
	}
	answer := &types.Decisions{Meta: v.meta, Decisions: []types.Decision{}, Next: after}
	for d := range v.st.DecisionsAfter(after) {
		if len(answer.Decisions) == limit {
			break
		}
		if len(answer.Decisions) == 0 && given && d.Seq > after+1 {
			answer.Missed = true
		}
		answer.Decisions = append(answer.Decisions, decisionOf(d))
		answer.Next = d.Seq
	}
	return answer, nil
}

func decisionOf(d *fleet.Decision) types.Decision {
	return types.Decision{Seq: d.Seq, Index: d.Index, At: types.Stamp(d.At), By: clean(d.By), Code: clean(d.Code), About: clean(d.About), Message: clean(d.Message), Counts: counts(d.Counts)}
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
