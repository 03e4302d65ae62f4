package route

import (
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// shards of a counter keep cores from waiting for one another.
const shards = 8

// Counter counts.
type Counter struct {
	parts [shards]struct {
		n atomic.Uint64
		_ [56]byte // a line of the cache each
	}
}

// Add adds n.
func (c *Counter) Add(n uint64) { c.parts[rand.Uint32()%shards].n.Add(n) }

// Sum is what was added.
func (c *Counter) Sum() (sum uint64) {
	for i := range c.parts {
		sum += c.parts[i].n.Load()
	}
	return sum
}

// Buckets is how many a histogram has: bucket i counts what took less than BucketUpTo(i),
// and the last what took longer.
const Buckets = 20

// BucketUpTo is the upper bound of a bucket: 250 microseconds, doubled i times.
func BucketUpTo(i int) time.Duration { return 250 * time.Microsecond << i }

func bucketOf(took time.Duration) int {
	return min(bits.Len64(uint64(max(took, 0)/(250*time.Microsecond))), Buckets-1)
}

// Series counts the requests that one revision answered in one group.
type Series struct {
	parts     [shards]seriesPart
	Ejections Counter
	Retries   Counter // requests that went on to another target
}

type seriesPart struct {
	codes   [6]atomic.Uint64 // by the first digit; 0: no answer
	latency [Buckets]atomic.Uint64
	nanos   atomic.Uint64
	_       [40]byte
}

// Observe counts an answer. Status 0 is none.
func (s *Series) Observe(status int, took time.Duration) {
	part := &s.parts[rand.Uint32()%shards]
	part.codes[min(max(status/100, 0), 5)].Add(1)
	part.latency[bucketOf(took)].Add(1)
	part.nanos.Add(uint64(max(took, 0)))
}

// Totals are a series' counts at an instant.
type Totals struct {
	Requests  uint64
	Codes     [6]uint64       // by the first digit; 0: no answer
	Latency   [Buckets]uint64 // until the answer had begun
	Took      time.Duration   // the sum
	Ejections uint64
	Retries   uint64
}

// Totals adds up.
func (s *Series) Totals() Totals {
	t := Totals{Ejections: s.Ejections.Sum(), Retries: s.Retries.Sum()}
	for i := range s.parts {
		part := &s.parts[i]
		for code := range part.codes {
			n := part.codes[code].Load()
			t.Codes[code] += n
			t.Requests += n
		}
		for b := range part.latency {
			t.Latency[b] += part.latency[b].Load()
		}
		t.Took += time.Duration(part.nanos.Load())
	}
	return t
}
