package api

import (
	"sync"

	"skein/agent/api/endpoint"
)

// gates admit requests. Callers whom nothing authenticates have gates of their
// own: however many they are, operators and other agents find theirs open.
type gates struct {
	requests, watchers         *gate // of callers that a listener knows
	openRequests, openWatchers *gate // of the plain listener
}

func newGates() *gates {
	return &gates{
		requests: newGate(maxInFlight, maxPerCaller), watchers: newGate(maxWatchers, maxWatchersPerCaller),
		openRequests: newGate(maxOpenInFlight, maxPerCaller),
		openWatchers: newGate(maxOpenWatchers, maxWatchersPerCaller),
	}
}

// of is the gate of what a listener's callers ask for.
func (g *gates) of(trust Trust, kind endpoint.Kind) *gate {
	switch {
	case trust == TrustNone && kind == endpoint.Stream:
		return g.openWatchers
	case trust == TrustNone:
		return g.openRequests
	case kind == endpoint.Stream:
		return g.watchers
	default:
		return g.requests
	}
}

// gate counts what is in flight, in all and per caller. Its map holds only
// callers that have something in flight, so it is bounded by total.
type gate struct {
	total, each int

	mu     sync.Mutex
	inside int
	by     map[string]int
}

func newGate(total, each int) *gate {
	return &gate{total: total, each: each, by: map[string]int{}}
}

// enter admits a caller, or says which bound it met. An empty caller is
// bounded by the total alone.
func (g *gate) enter(caller string) (leave func(), full string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.inside >= g.total:
		return nil, "this agent"
	case caller != "" && g.by[caller] >= g.each:
		return nil, "you"
	}
	g.inside++
	if caller != "" {
		g.by[caller]++
	}
	return func() { g.leave(caller) }, ""
}

func (g *gate) leave(caller string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if caller == "" {
		return
	}
	if g.by[caller]--; g.by[caller] == 0 {
		delete(g.by, caller)
	}
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}
