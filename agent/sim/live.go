package sim

import (
	"fmt"
	"slices"
	"time"

	"skein/raftfsm/fleet"
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
	dead := w.mayStayDead(l.Dead)
	w.Heal(dead...)
	if f := w.Quiesce(dead...); f != nil || w.interrupted() {
		return w, f
	}
	return w, w.drill(dead)
}

// mayStayDead are the hosts that never come back: none where the votes of the others
// are no majority. Operators may have left a fleet fewer voters than it was drawn with.
func (w *World) mayStayDead(dead []string) []string {
	if !w.majorityWithout(dead) {
		return nil
	}
	return dead
}

// majorityWithout reports whether the votes of the others are a majority.
func (w *World) majorityWithout(dead []string) bool {
	voting, gone := 0, 0
	for v := range w.truth.Voters() {
		if v.Phase == fleet.VoterVoting || v.Phase == fleet.VoterRetiring {
			voting++
			if slices.Contains(dead, w.hosts[v.Host].name) {
				gone++
			}
		}
	}
	return 2*(voting-gone) > voting
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
