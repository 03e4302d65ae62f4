// Package calls makes calls of bounded time in goroutines, and has what they return
// come back as events: so a loop carries out what a pure driver asks for, and stays
// one goroutine. It decides nothing and retries nothing.
package calls

import (
	"context"
	"sync"
	"time"
)

// Group is the calls of one loop, whose events are of type E. See New.
type Group[E any] struct {
	events  chan E
	running sync.WaitGroup
}

// New returns a group without calls.
func New[E any]() *Group[E] { return &Group[E]{events: make(chan E)} }

// Begin makes a call that ends with ctx, or after within. What it returns comes by
// Events, unless ctx ends before somebody takes it.
func (g *Group[E]) Begin(ctx context.Context, within time.Duration, call func(context.Context) E) {
	g.running.Go(func() {
		bounded, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		e := call(bounded)
		select {
		case g.events <- e:
		case <-ctx.Done():
		}
	})
}

// Go makes a call whose outcome nobody waits for. It must end by itself.
func (g *Group[E]) Go(call func()) { g.running.Go(call) }

// Events receives what calls have returned.
func (g *Group[E]) Events() <-chan E { return g.events }

// Wait returns when no call is under way. Calls that wait for their event to be taken
// end with the context they were begun with: end it first.
func (g *Group[E]) Wait() { g.running.Wait() }
