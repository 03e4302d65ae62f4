package raftfsm

import (
	"sync"
	"time"

	"skein/runtime/seam/clock"
)

// pace delays heartbeats a little, so that those to several followers are sent together
// and the process wakes up less often. The pause between two heartbeats is never longer
// than the library's longest, unless the process itself is late.
type pace struct {
	clock clock.Clock
	every time.Duration // the longest pause of the library

	mu      sync.Mutex
	hurried int           // who waits for an answer
	hurry   chan struct{} // closed when someone does
}

func newPace(cfg Config) *pace { return &pace{clock: cfg.Clock, every: cfg.Timing.Heartbeat / 5} }

// wait returns when it is time to send.
func (p *pace) wait() {
	d := clock.UntilNext(p.clock.Mono(), p.every)
	if d > p.every/2 { // the library's shortest pause is half of its longest
		return
	}
	hurry, hurried := p.state()
	if hurried {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry:
	}
}

func (p *pace) state() (hurry <-chan struct{}, hurried bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hurry == nil {
		p.hurry = make(chan struct{})
	}
	return p.hurry, p.hurried > 0
}

// rush has heartbeats sent at once until done is called.
func (p *pace) rush() (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hurried++
	if p.hurry != nil {
		close(p.hurry)
		p.hurry = nil
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.hurried--
	}
}
