package dns

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of what tasks may take.
const (
	// sourceRate is queries a second of one task, and sourceBurst at once.
	sourceRate  = 1_000
	sourceBurst = 2_000
	// forwards that may be open at once, in all and of one task: each has a socket.
	maxForwards       = 1_024
	maxSourceForwards = 128
	// maxSources are remembered; more than a subnet of tasks has.
	maxSources = 8_192
	sourceKept = time.Minute
)

// bounds count what each task takes.
type bounds struct {
	mu       sync.Mutex
	sources  map[netip.Addr]*source
	forwards int
	forgotAt time.Time // so that many that are new cost no look at all that are known each
}

type source struct {
	queries  *rate.Limiter
	forwards int
	seen     time.Time
}

func newBounds() *bounds { return &bounds{sources: map[netip.Addr]*source{}} }

// query reports whether a task may ask now.
func (b *bounds) query(from netip.Addr, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sources[from]
	if s == nil {
		if len(b.sources) >= maxSources {
			b.forget(now)
		}
		if len(b.sources) >= maxSources {
			return false
		}
		s = &source{queries: rate.NewLimiter(sourceRate, sourceBurst)}
		b.sources[from] = s
	}
	s.seen = now
	return s.queries.AllowN(now, 1)
}

// forget drops tasks that have not asked for a while.
func (b *bounds) forget(now time.Time) {
	if now.Sub(b.forgotAt) < time.Second {
		return
	}
	b.forgotAt = now
	for addr, s := range b.sources {
		if s.forwards == 0 && now.Sub(s.seen) > sourceKept {
			delete(b.sources, addr)
		}
	}
}

// forward takes a place for a query that is passed on, until done is called.
func (b *bounds) forward(from netip.Addr) (done func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sources[from]
	if s == nil || b.forwards >= maxForwards || s.forwards >= maxSourceForwards {
		return nil, false
	}
	b.forwards++
	s.forwards++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.forwards--
		s.forwards--
	}, true
}
