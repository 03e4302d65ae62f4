package api

import (
	"strconv"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// decisions answers the newest ones, or those after a number.
func (v *view) decisions() (any, error) {
	limit, err := v.limit(defaultPage)
	if err != nil {
		return nil, err
	}
	newest := v.st.LastDecision()
	after := newest - min(newest, uint64(limit))
	given := v.param("after")
	if given != "" {
		if after, err = strconv.ParseUint(given, 10, 64); err != nil {
			return nil, &fleet.FieldError{Field: "after", Why: "the number of a decision, 0 for the oldest kept"}
		}
	}
	answer := &types.Decisions{Meta: v.meta, Decisions: []types.Decision{}, Next: after}
	for d := range v.st.DecisionsAfter(after) {
		if len(answer.Decisions) == limit {
			break
		}
		if len(answer.Decisions) == 0 && given != "" && d.Seq > after+1 {
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

// limit reads how many rows a page may have.
func (v *view) limit(otherwise int) (int, error) {
	text := v.param("limit")
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, &fleet.FieldError{Field: "limit", Why: "1 to " + strconv.Itoa(maxPage)}
	}
	return n, nil
}

func (v *view) param(name string) string { return v.URL.Query().Get(name) }
