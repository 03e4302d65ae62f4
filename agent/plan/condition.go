package plan

import (
	"slices"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
)

// ConditionRefresh is how long the numbers of a condition stand before new ones replace
// them: a busy fleet's room changes with every task, and each rewrite is a write
// to the log. A new reason is written at once.
const ConditionRefresh = 10 * time.Second

// SetCondition records why a planner does not act on w.Subject, where State does not
// say exactly that yet. A new code becomes an event.
func (p *Plan) SetCondition(in Input, by string, w fleet.PutCondition) {
	w.Message = clean(w.Message)
	row := in.State.Condition(w.Subject, by)
	if row != nil && row.Code == w.Code && row.Until == w.Until && sameCounts(row, w) {
		return
	}
	p.Add(fleet.Item{Command: w, By: by})
}

// SetConditionCounts is SetCondition for one whose numbers move with the fleet: w.Until is
// ours, the time before which they are not written again. State.Due brings the
// subject back then.
func (p *Plan) SetConditionCounts(in Input, by string, w fleet.PutCondition) {
	w.Message = clean(w.Message)
	if row := in.State.Condition(w.Subject, by); row != nil && row.Code == w.Code &&
		(row.Until > in.Now || sameCounts(row, w)) {
		return
	}
	w.Until = in.Now.Add(ConditionRefresh)
	p.Add(fleet.Item{Command: w, By: by})
}

func sameCounts(row *fleet.Condition, w fleet.PutCondition) bool {
	return row.Message == w.Message && slices.Equal(row.Counts, w.Counts)
}

// ClearCondition clears a planner's own condition of a subject; another's stays.
func (p *Plan) ClearCondition(in Input, by string, subject fleet.Subject) {
	if in.State.Condition(subject, by) != nil {
		p.Add(fleet.Item{Command: fleet.PutCondition{Subject: subject}, By: by})
	}
}

// EndCondition clears a planner's own condition and makes an event of how it ended.
// Only a condition with a new code becomes one, so the end is a condition of a moment.
func (p *Plan) EndCondition(in Input, by string, end fleet.PutCondition) {
	if in.State.Condition(end.Subject, by) != nil {
		p.Add(fleet.Item{Command: end, By: by}, fleet.Item{Command: fleet.PutCondition{Subject: end.Subject}, By: by})
	}
}

// clean makes a text that State accepts; it may hold words that hosts reported.
func clean(given string) string { return text.Cut(text.Clean(given), fleet.MaxReason) }
