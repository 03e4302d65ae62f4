package sim

import (
	"fmt"
	"time"
)

// bringWithin is how long a fleet may take to be made.
const bringWithin = 10 * time.Minute

// Live lives a life from beginning to end: the fleet is made, what is planned
// happens, all faults end, the fleet comes to rest. It returns the world as it is
// then, and what was wrong first, if anything was.
func Live(l Run) (*World, *Failure) {
	w := New(l.Config)
	if err := w.Bring(bringWithin); err != nil {
		if f := w.broken(); f != nil {
			return w, f
		}
		if w.interrupted() {
			return w, nil
		}
		return w, w.failure("liveness", fmt.Sprintf("make the fleet: %v", err))
	}
	w.Plan(l.Operations)
	w.Run(w.time.Now() + l.For)
	if f := w.broken(); f != nil {
		return w, f
	}
	w.Heal(l.Dead...)
	return w, w.Quiesce(l.Dead...)
}

// Marks are the interesting states that were reached.
func (w *World) Marks() Marks { return w.marks }

// Stats are what was counted.
func (w *World) Stats() Stats { return w.stats }

// Events is how many events have been run.
func (w *World) Events() uint64 { return w.time.Ran() }

// Calls is how many calls hosts made to their runtimes, networks and disks before
// faults ended.
func (w *World) Calls() int { return w.healedAt }
