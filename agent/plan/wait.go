package plan

import (
	"slices"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
)

// WaitRefresh is how long the numbers of a wait stand before new ones replace
// them: a busy fleet's room changes with every task, and each rewrite is a write
// to the log. A new reason is written at once.
const WaitRefresh = 10 * time.Second

// Hold records why a planner does not act on w.About, where State does not say
// exactly that yet. A new code becomes a decision.
func (p *Plan) Hold(in Input, by string, w fleet.PutWait) {
	w.Message = clean(w.Message)
	row := in.State.Wait(w.About)
	if row != nil && row.By == by && row.Code == w.Code && row.Until == w.Until && sameNumbers(row, w) {
		return
	}
	p.Add(fleet.Item{Command: w, By: by})
}

// HoldNumbers is Hold for a wait whose numbers move with the fleet: w.Until is
// ours, the time before which they are not written again. State.Due brings the
// subject back then.
func (p *Plan) HoldNumbers(in Input, by string, w fleet.PutWait) {
	w.Message = clean(w.Message)
	if row := in.State.Wait(w.About); row != nil && row.By == by && row.Code == w.Code && (row.Until > in.Now || sameNumbers(row, w)) {
		return
	}
	w.Until = in.Now.Add(WaitRefresh)
	p.Add(fleet.Item{Command: w, By: by})
}

func sameNumbers(row *fleet.Wait, w fleet.PutWait) bool {
	return row.Message == w.Message && slices.Equal(row.Counts, w.Counts)
}

// Release clears a planner's own wait on a subject; another's stays.
func (p *Plan) Release(in Input, by, about string) {
	if row := in.State.Wait(about); row != nil && row.By == by {
		p.Add(fleet.Item{Command: fleet.PutWait{About: about}, By: by})
	}
}

// Conclude clears a planner's own wait and makes a decision of how it ended.
// Only a wait with a new code becomes one, so the end is a wait of a moment.
func (p *Plan) Conclude(in Input, by string, end fleet.PutWait) {
	if row := in.State.Wait(end.About); row != nil && row.By == by {
		p.Add(fleet.Item{Command: end, By: by}, fleet.Item{Command: fleet.PutWait{About: end.About}, By: by})
	}
}

// clean makes a text that State takes: hosts' words may be in it.
func clean(given string) string { return text.Cut(text.Clean(given), fleet.MaxReason) }
