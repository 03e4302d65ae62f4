package detector

import (
	"maps"
	"slices"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

const (
	// pointsApart is how far apart points of a group's history are at least.
	pointsApart = 500 * time.Millisecond
	// pointsFine is how old points are at most that are so close; older ones are
	// pointsCoarse apart, and none is older than pointsKept.
	pointsFine   = time.Minute
	pointsCoarse = 10 * time.Second
	pointsKept   = 10 * time.Minute
	// maxPoints is when points are thinned: well above what is left then, 120 and 54.
	maxPoints = 220
)

// trafficWatch is what a leader makes of what voters tell of the groups that it watches.
type trafficWatch struct {
	watched []fleet.TargetGroupName // sorted
	groups  map[fleet.TargetGroupName]*groupWatch
}

// groupWatch is one group.
type groupWatch struct {
	began  time.Duration // when a voter told of it first
	voters map[fleet.HostID]fleet.GroupTraffic
	sums   map[fleet.RevisionID]fleet.TrafficCounts
	points []plan.TrafficPoint // shared with views: only appended to, or replaced
}

// WatchTraffic says which groups count, sorted; what was heard of others is forgotten.
func (w *Watch) WatchTraffic(groups []fleet.TargetGroupName) {
	t := &w.traffic
	t.watched = groups
	maps.DeleteFunc(t.groups, func(name fleet.TargetGroupName, _ *groupWatch) bool { return !t.watches(name) })
}

func (t *trafficWatch) watches(group fleet.TargetGroupName) bool {
	_, watched := slices.BinarySearch(t.watched, group)
	return watched
}

// take notes a voter's word. What it tells first of a group is where its part of the sum
// begins.
func (t *trafficWatch) take(now time.Duration, voter fleet.HostID, told []fleet.GroupTraffic) {
	for _, g := range told[:min(len(told), MaxTraffic)] {
		if !t.watches(g.Group) {
			continue
		}
		of := t.groups[g.Group]
		if of == nil {
			of = &groupWatch{began: now, voters: map[fleet.HostID]fleet.GroupTraffic{},
				sums: map[fleet.RevisionID]fleet.TrafficCounts{}}
			if t.groups == nil {
				t.groups = map[fleet.TargetGroupName]*groupWatch{}
			}
			t.groups[g.Group] = of
		}
		of.take(voter, g)
	}
}

func (g *groupWatch) take(voter fleet.HostID, told fleet.GroupTraffic) {
	told.Revisions = told.Revisions[:min(len(told.Revisions), maxSumRevisions)]
	last, before := g.voters[voter]
	was := map[fleet.RevisionID]fleet.TrafficCounts{}
	for _, r := range last.Revisions {
		was[r.Revision] = r.Counts
	}
	g.voters[voter] = told
	for _, r := range told.Revisions {
		sum, known := g.sums[r.Revision]
		if !known && len(g.sums) == maxSumRevisions {
			continue
		}
		if before {
			sum.Add(r.Counts.Since(was[r.Revision]))
		}
		g.sums[r.Revision] = sum
	}
}

// drop forgets what a voter told. What it told in time stays counted.
func (t *trafficWatch) drop(voter fleet.HostID) {
	for _, g := range t.groups {
		delete(g.voters, voter)
	}
}

// mark adds points where it is time to. fresh reports whether a voter tells still.
func (t *trafficWatch) mark(now time.Duration, fresh func(voter fleet.HostID) bool) {
	for _, g := range t.groups {
		if n := len(g.points); n > 0 && now-g.points[n-1].At < pointsApart {
			continue
		}
		p := plan.TrafficPoint{At: now, Revisions: maps.Clone(g.sums)}
		for voter, told := range g.voters {
			if fresh(voter) {
				p.Hosts += max(told.Hosts, 0)
			}
		}
		if len(g.points) >= maxPoints {
			g.points = thinned(g.points, now)
		}
		g.points = append(g.points, p)
	}
}

// thinned are the points that are kept of a history.
func thinned(points []plan.TrafficPoint, now time.Duration) []plan.TrafficPoint {
	kept := make([]plan.TrafficPoint, 0, maxPoints+1)
	for _, p := range points {
		switch age := now - p.At; {
		case age > pointsKept:
		case age > pointsFine && len(kept) > 0 && p.At-kept[len(kept)-1].At < pointsCoarse:
		default:
			kept = append(kept, p)
		}
	}
	return kept
}

// Traffic is what was heard of the groups that are watched. The map is the caller's.
func (w *Watch) Traffic(now time.Duration) plan.Traffic {
	traffic := plan.Traffic{At: now, Groups: make(map[fleet.TargetGroupName]plan.GroupTraffic, len(w.traffic.groups))}
	for name, g := range w.traffic.groups {
		n := len(g.points)
		if n == 0 {
			continue
		}
		traffic.Groups[name] = plan.GroupTraffic{Points: g.points[:n:n], Watched: g.points[n-1].At - g.began}
	}
	return traffic
}
