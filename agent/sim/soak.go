package sim

import (
	"context"
	"maps"
	"sync"
)

// Soaked is one life of a soak.
type Soaked struct {
	Seed    uint64
	Run     Run      // as it was drawn; after a failure, the smallest that still fails
	Failure *Failure // nil when all was well
	Events  uint64
	Marks   Marks
}

// Soak lives new lives, several at a time, until ctx ends: seeds from a number
// upwards. tell is called with each, from one goroutine at a time; those that
// failed have been shrunk.
func Soak(ctx context.Context, from uint64, workers int, tell func(Soaked)) {
	var mu sync.Mutex
	next := from
	take := func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1
	}
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				s := soakOne(take(), ctx.Done())
				if s.Failure == nil && ctx.Err() != nil {
					return // cut short: it proves nothing
				}
				mu.Lock()
				tell(s)
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

func soakOne(seed uint64, done <-chan struct{}) Soaked {
	s := Soaked{Seed: seed, Run: Draw(seed)}
	s.Run.Config.Done = done
	world, failure := Live(s.Run)
	s.Failure, s.Events, s.Marks = failure, world.Events(), maps.Clone(world.Marks())
	if failure != nil {
		s.Run, s.Failure = Shrink(s.Run, failure, func(string) {})
	}
	return s
}
