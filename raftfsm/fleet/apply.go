package fleet

// applyContext is what apply may know besides State: the entry's place and stamp.
type applyContext struct {
	index   uint64
	now     Time
	item    *Item
	out     *Outcome
	dropped int
	refused []ShareRefusal
}

// Apply applies an entry that stands at index in the log. It never fails as a
// whole; each command has its own Result. The entry's commands belong to State
// afterwards: their slices and maps end up in rows.
func (s *State) Apply(index uint64, e Entry) Outcome {
	s.index = index
	s.advance(e.At)
	out := Outcome{Results: make([]Result, 0, len(e.Items))}
	for i := range e.Items {
		out.Results = append(out.Results, s.applyItem(&e.Items[i], &out))
	}
	out.ChangeSet.sort()
	return out
}

// advance moves fleet time, which never goes back. A stamp that no clock can
// show is ignored: fleet time could never leave it again.
func (s *State) advance(at Time) {
	if at <= s.now || at > maxTime {
		return
	}
	s.passDeadlines(at)
	s.now = at
	if s.fleet != nil {
		f := *s.fleet
		f.Now = at
		s.fleet = &f
	}
	s.dropPastDue()
}

func (s *State) applyItem(item *Item, out *Outcome) Result {
	if item.Command == nil {
		return Result{Err: refuse(ErrInvalid, "apply: no command")}
	}
	if item.Receipt != nil {
		if done, res := s.knownReceipt(item.Receipt); done {
			return res
		}
	}
	x := &applyContext{index: s.index, now: s.now, item: item, out: out}
	if _, first := item.Command.(InitFleet); s.fleet == nil && !first {
		return Result{Err: refuse(ErrNoFleet, "%s", item.Command.Kind())}
	}
	if s.fleet != nil && s.format() < FormatVersion { // else nothing that this build reads needs more
		if n := (Gate{}).Needs(item.Command); n > s.format() {
			return Result{Err: refuse(ErrFormatAhead, "%s needs format %d, the fleet is at %d", item.Command.Kind(), n,
				s.format())}
		}
	}
	ids, err := item.Command.apply(s, x)
	if err != nil {
		return Result{Err: err, Refused: x.refused}
	}
	if item.Receipt != nil {
		s.putReceipt(x, item.Receipt, ids)
	}
	return Result{IDs: ids, Dropped: x.dropped, Refused: x.refused}
}
