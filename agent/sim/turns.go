package sim

// turns step a driver with what happened, one step at a time: answers that come within
// a step wait for the next.
type turns[E any] struct {
	due      []E
	stepping bool
}

// take steps with events, as long as there are more and the driver goes on.
func (t *turns[E]) take(events []E, goesOn func() bool, step func([]E)) {
	t.due = append(t.due, events...)
	if t.stepping {
		return
	}
	t.stepping = true
	for again := true; again && goesOn(); again = len(t.due) > 0 {
		due := t.due
		t.due = nil
		step(due)
	}
	t.due, t.stepping = nil, false
}
