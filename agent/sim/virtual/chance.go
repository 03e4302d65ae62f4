package virtual

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Chance is a stream of random numbers.
type Chance struct{ *rand.Rand }

// NewChance makes the stream of a name: each part of a world has a stream of its
// own, so that a draw more in one moves nothing in another, and a history stays
// itself when a fault is taken out of it.
func NewChance(seed uint64, name string) *Chance {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return &Chance{rand.New(rand.NewPCG(seed, h.Sum64()))}
}

// Is reports true with probability p.
func (c *Chance) Is(p float64) bool { return p > 0 && c.Float64() < p }

// Between draws a duration, low and high included.
func (c *Chance) Between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(c.Int64N(int64(high-low)+1))
}

// Pick draws one of several; there must be one.
func Pick[T any](c *Chance, of ...T) T { return of[c.IntN(len(of))] }
