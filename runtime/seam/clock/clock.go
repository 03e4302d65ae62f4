// Package clock keeps wall time and monotonic time apart, so that a test can
// move one without the other.
//
// Wall time is for stamps that people and other hosts read; it may jump.
// Monotonic time is for ages and deadlines on this host; it only grows, and
// has no meaning on any other host. Both are safe for concurrent use.
package clock

import "time"

// Clock tells the time.
type Clock interface {
	// Now is the wall clock in UTC. It carries no monotonic reading, so that
	// subtracting two of them shows every jump.
	Now() time.Time
	// Mono is the time since an arbitrary fixed instant of this process. Only
	// differences mean anything.
	Mono() time.Duration
}

type system struct{ start time.Time }

// System returns the machine's clock. Its monotonic time starts at the call, so
// that a clock made inside a testing/synctest bubble runs on the bubble's time.
func System() Clock { return system{start: time.Now()} }

func (system) Now() time.Time { return time.Now().Round(0).UTC() }

func (s system) Mono() time.Duration { return time.Since(s.start) }

type offset struct {
	Clock
	by time.Duration
}

// Offset returns c with its wall clock moved by d; its monotonic time stays.
// It is how a host with a wrong clock is made.
func Offset(c Clock, d time.Duration) Clock { return offset{Clock: c, by: d} }

func (o offset) Now() time.Time { return o.Clock.Now().Add(o.by) }

// Shared is the distance between the moments at which loops of one process look at what
// is not urgent.
const Shared = 100 * time.Millisecond

// UntilNext is the pause until the next multiple of every, never zero. Loops of
// one process that pause by it on the same clock wake together: most of what a
// look costs at rest is the waking. Multiples of more than Shared are put off to the
// next multiple of Shared, so that 250 ms is 300 ms and 200 ms in turn.
func UntilNext(mono, every time.Duration) time.Duration {
	last := mono - mono%every
	if every <= Shared {
		return last + every - mono
	}
	if due := putOff(last); due > mono {
		return due - mono
	}
	return putOff(last+every) - mono
}

// putOff is the first multiple of Shared from mono on.
func putOff(mono time.Duration) time.Duration { return (mono + Shared - 1) / Shared * Shared }
