package api

import "sync"

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
