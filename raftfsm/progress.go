package raftfsm

import "sync"

// progress is the index that State has reached, and who waits for which index. The zero
// value is at 0.
type progress struct {
	mu    sync.Mutex
	index uint64
	waits map[chan struct{}]uint64
}

// reach moves to an index, never back.
func (p *progress) reach(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index = max(p.index, index)
	for c, want := range p.waits {
		if want <= p.index {
			close(c)
			delete(p.waits, c)
		}
	}
}

// await returns a channel that is closed at an index. cancel ends the waiting.
func (p *progress) await(index uint64) (reached <-chan struct{}, cancel func()) {
	c := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if index <= p.index {
		close(c)
		return c, func() {}
	}
	if p.waits == nil {
		p.waits = map[chan struct{}]uint64{}
	}
	p.waits[c] = index
	return c, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waits, c)
	}
}
