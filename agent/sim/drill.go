package sim

import (
	"fmt"
	"slices"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

const (
	// noticedWithin is how long the death of a host may stay unnoticed in a fleet at rest,
	// and noticedAnew where it led: a new leader has to be elected and to hear all others.
	noticedWithin = 5 * time.Second
	noticedAnew   = 15 * time.Second
)

// drill has one more host of a fleet at rest lose its power for good. Whatever the fleet
// has been through, that is noticed at once, and the others come to rest without it.
func (w *World) drill(dead []string) *Failure {
	h := w.toDrill(dead)
	if h == nil {
		return nil
	}
	within := noticedWithin
	if leaders, err := w.find("leader"); err != nil || leaders[0] == h {
		within = noticedAnew
	}
	_ = w.Do("kill " + h.name) // the words are right
	until := w.time.Now() + within
	w.runUntil(until, func() bool { return !w.truth.Host(h.id).Reachable() })
	if f := w.broken(); f != nil || w.interrupted() {
		return f
	}
	if row := w.truth.Host(h.id); row.Reachable() {
		return w.failure("liveness", fmt.Sprintf("%s is %s, %s after it lost its power in a fleet at rest", h.name, row.State,
			within))
	}
	w.sometimes("a host of a fleet at rest dies")
	return w.Quiesce(append(slices.Clone(dead), h.name)...)
}

// toDrill picks a host that the fleet can do without; nil for none.
func (w *World) toDrill(dead []string) *host {
	var able []*host
	for _, h := range w.order {
		row := w.truth.Host(h.id)
		if row == nil || row.State != fleet.HostReady || slices.Contains(dead, h.name) {
			continue
		}
		if gone := append(slices.Clone(dead), h.name); w.majorityWithout(gone) {
			able = append(able, h)
		}
	}
	if len(able) < 2 {
		return nil
	}
	return able[virtual.NewChance(w.cfg.Seed, "drill").IntN(len(able))]
}
