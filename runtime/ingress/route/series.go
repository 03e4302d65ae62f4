package route

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"skein/raftfsm/fleet"
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

// StatusClientGone stands for an answer that the client did not wait for, or that it could
// not be given because it sent no whole request. It is no failure of a target.
const StatusClientGone = 499

// Series counts the requests that one revision was given in one group, or those for which
// the group had no target.
type Series struct {
	parts     [shards]seriesPart
	Ejections Counter
	// Retries are requests that a target did not take and that another was to take instead,
	// by the target that did not.
	Retries Counter
}

type seriesPart struct {
	codes   [6]atomic.Uint64 // by the first digit; 0: no answer
	latency [fleet.LatencyBuckets]atomic.Uint64
	nanos   atomic.Uint64
	_       [8]byte // so that the next begins a line of the cache
}

// Observe counts an answer, which began so long after the request; negative where that says
// nothing. Status 0 is none.
func (s *Series) Observe(status int, took time.Duration) {
	part := &s.parts[rand.Uint32()%shards]
	part.codes[min(max(status/100, 0), 5)].Add(1)
	if status == 0 || status == StatusClientGone || took < 0 {
		return
	}
	part.latency[fleet.LatencyBucket(took)].Add(1)
	part.nanos.Add(uint64(took))
}

// Totals are a series' counts at an instant.
type Totals struct {
	Requests  uint64
	Codes     [6]uint64                    // by the first digit; 0: no answer
	Latency   [fleet.LatencyBuckets]uint64 // until the answer had begun, of those that had one
	Took      time.Duration                // the sum
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

// Counts are the totals as the fleet is told them: an attempt at a target that did not take
// the request is a failed request of its own.
func (t Totals) Counts() fleet.TrafficCounts {
	return fleet.TrafficCounts{
		Requests: t.Requests + t.Retries, Errors: t.Codes[0] + t.Codes[5] + t.Retries, Latency: t.Latency,
	}
}

// maxRevisions bounds what is told of one group: those with the most requests.
const maxRevisions = fleet.MaxTrafficRevisions

// Traffic is what was counted in each of the groups, as the fleet is told it. Groups that
// are not known are named too, with nothing counted.
func (m *Memory) Traffic(groups []fleet.TargetGroupName) []fleet.GroupTraffic {
	all := make([]fleet.GroupTraffic, len(groups))
	place := make(map[fleet.TargetGroupName]int, len(groups))
	for i, name := range groups {
		all[i].Group, place[name] = name, i
	}
	m.EachSeries(func(group fleet.TargetGroupName, revision fleet.RevisionID, s *Series) {
		if i, wanted := place[group]; wanted {
			all[i].Revisions = append(all[i].Revisions,
				fleet.RevisionTraffic{Revision: revision, Counts: s.Totals().Counts()})
		}
	})
	for i := range all {
		if r := all[i].Revisions; len(r) > maxRevisions {
			slices.SortFunc(r, func(a, b fleet.RevisionTraffic) int {
				return cmp.Or(cmp.Compare(b.Counts.Requests, a.Counts.Requests), cmp.Compare(a.Revision, b.Revision))
			})
			all[i].Revisions = r[:maxRevisions]
		}
		slices.SortFunc(all[i].Revisions, func(a, b fleet.RevisionTraffic) int {
			return cmp.Compare(a.Revision, b.Revision)
		})
	}
	return all
}
