package link

import (
	"cmp"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

const (
	// TrafficEvery is how often a host tells what its ingress counts, in every second beat.
	TrafficEvery = 450 * time.Millisecond
	// trafficKept is for how long what was told on one stream is where the next begins.
	trafficKept = 10 * time.Second
)

// Traffic decides what of the counts of this host's ingress is told, on one stream after
// another. It is pure, and for one goroutine. The zero value has told nothing.
type Traffic struct {
	watch  []fleet.TargetGroupName
	told   map[fleet.TargetGroupName]toldTraffic
	stream uint64 // counts streams
	next   time.Duration
}

// toldTraffic is what was told of a group last.
type toldTraffic struct {
	counts fleet.GroupTraffic
	at     time.Duration
	stream uint64
}

// Opened notes that another stream has begun. Its voter has to say what it watches.
func (t *Traffic) Opened() {
	t.stream++
	t.watch, t.next = nil, 0
}

// Watch notes of which groups the voter wants to hear.
func (t *Traffic) Watch(groups []fleet.TargetGroupName) {
	t.watch = groups
	for name := range t.told {
		if !slices.Contains(groups, name) {
			delete(t.told, name)
		}
	}
}

// Watches reports whether anything is to be told.
func (t *Traffic) Watches() bool { return len(t.watch) > 0 }

// Next is what to tell now: of groups that moved, and of those that were not told of on this
// stream, those first that were not told of for longest. counts gives what is counted of
// groups, with one entry for each. What the voter hears first on a stream is where it begins
// to count; so that nothing is lost between two streams, that is what was told last.
func (t *Traffic) Next(
	now time.Duration, counts func([]fleet.TargetGroupName) []fleet.GroupTraffic,
) []fleet.GroupTraffic {
	if len(t.watch) == 0 || now < t.next {
		return nil
	}
	t.next = now + TrafficEvery
	var tell []fleet.GroupTraffic
	for _, g := range counts(t.watch) {
		last, before := t.told[g.Group]
		switch {
		case !before || last.stream != t.stream && now-last.at > trafficKept:
			tell = append(tell, g)
		case last.stream != t.stream:
			tell = append(tell, last.counts)
		case !sameCounts(last.counts, g):
			tell = append(tell, g)
		}
	}
	slices.SortStableFunc(tell, func(a, b fleet.GroupTraffic) int {
		return cmp.Compare(t.told[a.Group].at, t.told[b.Group].at)
	})
	tell = tell[:min(len(tell), fleet.MaxTrafficGroups)]
	if t.told == nil {
		t.told = map[fleet.TargetGroupName]toldTraffic{}
	}
	for _, g := range tell {
		t.told[g.Group] = toldTraffic{counts: g, at: now, stream: t.stream}
	}
	return tell
}

func sameCounts(a, b fleet.GroupTraffic) bool { return slices.Equal(a.Revisions, b.Revisions) }
