package fleet

import "time"

// LatencyBuckets is how many buckets a histogram of latency has; see LatencyBound.
const LatencyBuckets = 16

// latencyBounds are the upper bounds of all buckets but the last, in ms.
var latencyBounds = [LatencyBuckets - 1]int64{
	1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000,
}

// LatencyBound is the upper bound of a bucket: it counts what took no longer, and longer
// than the bound of the bucket before. The bounds go from 1 ms to 60 s in steps of 1, 2
// and 5; the last bucket has none, and its bound is negative.
func LatencyBound(bucket int) time.Duration {
	if bucket >= len(latencyBounds) {
		return -1
	}
	return time.Duration(latencyBounds[bucket]) * time.Millisecond
}

// LatencyBucket is the bucket of what took so long.
func LatencyBucket(took time.Duration) int {
	for i, bound := range latencyBounds {
		if took <= time.Duration(bound)*time.Millisecond {
			return i
		}
	}
	return LatencyBuckets - 1
}

// TrafficCounts count requests that targets were given, from some beginning on. Like
// Served they are an observation, and never stand in the log.
type TrafficCounts struct {
	// Requests are those that ended, well or not. One that a target did not take and that
	// went on to another is counted with both.
	Requests uint64 `cbor:"1,keyasint,omitempty"`
	// Errors are those of Requests that were answered with 500 or more, that had no answer,
	// or of which the target took no connection. A client that went away is none.
	Errors uint64 `cbor:"2,keyasint,omitempty"`
	// Latency counts those that had an answer by the time until it began; see LatencyBound.
	Latency [LatencyBuckets]uint64 `cbor:"3,keyasint"`
}

// Add adds other counts.
func (c *TrafficCounts) Add(other TrafficCounts) {
	c.Requests += other.Requests
	c.Errors += other.Errors
	for i, n := range other.Latency {
		c.Latency[i] += n
	}
}

// Since is what was counted since before. Counts that are smaller than before began anew
// in between: then it is all of them.
func (c TrafficCounts) Since(before TrafficCounts) TrafficCounts {
	if c.Requests < before.Requests || c.Errors < before.Errors {
		return c
	}
	since := TrafficCounts{Requests: c.Requests - before.Requests, Errors: c.Errors - before.Errors}
	for i, n := range c.Latency {
		if n < before.Latency[i] {
			return c
		}
		since.Latency[i] = n - before.Latency[i]
	}
	return since
}

// ErrorShare is the share of requests that failed, from 0 to 1; 0 of none.
func (c TrafficCounts) ErrorShare() float64 {
	if c.Requests == 0 {
		return 0
	}
	return float64(c.Errors) / float64(c.Requests)
}

// Quantile is the latency that a share q of the answers did not exceed, between 0 and 1.
// It lies where it would if the answers of a bucket were spread evenly over it, so that it is
// off by at most the width of its bucket. In the last bucket it is that bucket's lower
// bound. False where nothing was answered.
func (c TrafficCounts) Quantile(q float64) (time.Duration, bool) {
	var total uint64
	for _, n := range c.Latency {
		total += n
	}
	if total == 0 {
		return 0, false
	}
	rank := min(max(q, 0), 1) * float64(total)
	var below uint64
	from := time.Duration(0)
	for i, n := range c.Latency {
		to := LatencyBound(i)
		if n > 0 && rank <= float64(below+n) {
			if to < 0 {
				return from, true
			}
			part := (rank - float64(below)) / float64(n)
			return from + time.Duration(part*float64(to-from)), true
		}
		below += n
		from = to
	}
	return from, true
}

// MaxTrafficRevisions bounds the revisions of one GroupTraffic that a host tells.
const MaxTrafficRevisions = 16

// HostTraffic is what the ingress of a host counts, as it tells it.
type HostTraffic struct {
	// Start tells one ingress from the next: each counts from 0.
	Start uint64 `cbor:"1,keyasint,omitempty"`
	// Groups are those of which something moved, each with all its revisions, at most
	// MaxTrafficGroups; the rest is told next.
	Groups []GroupTraffic `cbor:"2,keyasint,omitempty"`
}

// MaxTrafficGroups bounds the groups that a host tells of at once.
const MaxTrafficGroups = 16

// GroupTraffic is what was counted of a target group, by revision.
type GroupTraffic struct {
	Group TargetGroupName `cbor:"1,keyasint"`
	// Hosts is of how many hosts it is the sum; 0 where it is of the host that tells it.
	Hosts int `cbor:"2,keyasint,omitempty"`
	// Revisions are those that have targets in the group, by name.
	Revisions []RevisionTraffic `cbor:"3,keyasint,omitempty"`
}

// RevisionTraffic is what was counted of one revision.
type RevisionTraffic struct {
	// Revision is empty for requests for which the group had no target.
	Revision RevisionID    `cbor:"1,keyasint,omitempty"`
	Counts   TrafficCounts `cbor:"2,keyasint"`
}
