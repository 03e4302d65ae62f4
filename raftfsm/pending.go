package raftfsm

import (
	"sync"
	"time"
)

// pendingOps knows since when the oldest write has not returned, and when the log
// was last written to.
type pendingOps struct {
	mu    sync.Mutex
	next  int
	since map[int]time.Duration
	ended time.Duration // when the newest of the writes that have returned began
	any   bool          // one has returned
}

// begin notes a write that starts at now; the result ends it.
func (p *pendingOps) begin(now time.Duration) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since == nil {
		p.since = map[int]time.Duration{}
	}
	id := p.next
	p.next++
	p.since[id] = now
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.since, id)
		p.ended, p.any = max(p.ended, now), true
	}
}

// newest returns when the newest of the writes that have returned began.
func (p *pendingOps) newest() (began time.Duration, any bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended, p.any
}

// oldest returns when the oldest pending write began.
func (p *pendingOps) oldest() (since time.Duration, any bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.since {
		if !any || at < since {
			since, any = at, true
		}
	}
	return since, any
}
