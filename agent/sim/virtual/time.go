package virtual

import "time"

// Time is virtual time: a queue of events, of which the next one is always run.
// Events of one instant are run in an order that the seed decides.
type Time struct {
	now    time.Duration
	seq    uint64
	queue  []event
	chance *Chance
	ran    uint64
}

// Timer is an event that has not come yet.
type Timer struct{ run func() } // nil once it ran or was stopped

// Stop has the event not run. Stopping twice, or nil, is harmless.
func (t *Timer) Stop() {
	if t != nil {
		t.run = nil
	}
}

// Waiting reports whether the event is still to come.
func (t *Timer) Waiting() bool { return t != nil && t.run != nil }

type event struct {
	at    time.Duration
	order uint64 // random: the order of one instant
	seq   uint64 // in which events were asked for
	timer *Timer
}

func (e event) before(o event) bool {
	if e.at != o.at {
		return e.at < o.at
	}
	if e.order != o.order {
		return e.order < o.order
	}
	return e.seq < o.seq
}

// NewTime makes a world's time, at zero.
func NewTime(seed uint64) *Time { return &Time{chance: NewChance(seed, "order of one instant")} }

// Now is how long the world has lasted.
func (t *Time) Now() time.Duration { return t.now }

// Ran is how many events have been run.
func (t *Time) Ran() uint64 { return t.ran }

// At runs f at a time; one that has passed is now.
func (t *Time) At(at time.Duration, f func()) *Timer {
	t.seq++
	timer := &Timer{run: f}
	t.push(event{at: max(at, t.now), order: t.chance.Uint64(), seq: t.seq, timer: timer})
	return timer
}

// After runs f after a while.
func (t *Time) After(d time.Duration, f func()) *Timer { return t.At(t.now+max(d, 0), f) }

// Next is when the next event is due; ok is false when there is none.
func (t *Time) Next() (at time.Duration, ok bool) {
	t.dropStopped()
	if len(t.queue) == 0 {
		return 0, false
	}
	return t.queue[0].at, true
}

// Step runs the next event that is due by until, and reports whether there was
// one. Without one, time moves to until.
func (t *Time) Step(until time.Duration) bool {
	at, ok := t.Next()
	if !ok || at > until {
		t.now = max(t.now, until)
		return false
	}
	e := t.pop()
	t.now = e.at
	t.ran++
	run := e.timer.run
	e.timer.run = nil
	run()
	return true
}

// Run runs everything that is due by until.
func (t *Time) Run(until time.Duration) {
	for t.Step(until) {
	}
}

func (t *Time) dropStopped() {
	for len(t.queue) > 0 && t.queue[0].timer.run == nil {
		t.pop()
	}
}

// push and pop keep the queue a binary heap. container/heap would box each
// event: a month of a large fleet has some hundred million.
func (t *Time) push(e event) {
	t.queue = append(t.queue, e)
	i := len(t.queue) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !t.queue[i].before(t.queue[parent]) {
			return
		}
		t.queue[i], t.queue[parent] = t.queue[parent], t.queue[i]
		i = parent
	}
}

func (t *Time) pop() event {
	top := t.queue[0]
	last := len(t.queue) - 1
	t.queue[0] = t.queue[last]
	t.queue[last] = event{}
	t.queue = t.queue[:last]
	for i := 0; ; {
		least := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < last && t.queue[child].before(t.queue[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		t.queue[i], t.queue[least] = t.queue[least], t.queue[i]
		i = least
	}
}
