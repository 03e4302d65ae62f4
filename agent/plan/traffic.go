package plan

import (
	"time"

	"skein/raftfsm/fleet"
)

// MaxWatched bounds the target groups that a leader hears of; see Plan.Watch.
const MaxWatched = 256

// Traffic is what the ingress of all hosts counted of the target groups that planners
// watch (Plan.Watch), as this leader heard it, at one instant. It begins with the leader:
// what was counted before it led is not in it. A Traffic is immutable once handed over.
type Traffic struct {
	// Groups are those of which something was heard.
	Groups map[fleet.TargetGroupName]GroupTraffic
	At     time.Duration // of that instant, on the observer's monotonic clock
	// Taken is how long ago it was taken. The leader loop sets it.
	Taken time.Duration
}

// GroupTraffic is the history of a group.
type GroupTraffic struct {
	// Points are sums over all hosts, the oldest first. Between two of them lies at least
	// half a second, more in what is older; the oldest is no older than 10 minutes. Where
	// no older ones were dropped, the first is where the watch began, and 0.
	Points []TrafficPoint
	// Watched is how long the group has been watched, until the newest point.
	Watched time.Duration
}

// TrafficPoint is the sum over all hosts at one moment.
type TrafficPoint struct {
	At    time.Duration // on the observer's monotonic clock
	Hosts int           // that were heard to count for the group then
	// Revisions are what was counted since the watch began. The empty one is of requests
	// for which the group had no target.
	Revisions map[fleet.RevisionID]fleet.TrafficCounts
}

// TrafficWindow is what was counted in a span of time.
type TrafficWindow struct {
	fleet.TrafficCounts
	// Over is how long the span is: shorter than was asked for while the group has not been
	// watched for so long, and up to a point's distance longer else. 0: nothing is known.
	Over time.Duration
	// Age is how long ago the span ended. It is within 2 s while hosts are heard.
	Age time.Duration
	// Hosts is of how many hosts it is the sum, where that changed meanwhile the fewest.
	Hosts int
	// Watched is how long the group has been watched by this leader.
	Watched time.Duration
}

// Over is what was counted of a revision in a group over the last d, as far as that was
// watched. With an empty revision it is of the whole group, requests for which it had no
// target among them. What is not known has Over 0, which is never the same as no errors.
func (t Traffic) Over(group fleet.TargetGroupName, revision fleet.RevisionID, d time.Duration) TrafficWindow {
	return t.over(group, d, func(name fleet.RevisionID) bool { return revision == "" || name == revision })
}

// Unserved is like Over what was counted of requests for which the group had no target: all
// of them failed.
func (t Traffic) Unserved(group fleet.TargetGroupName, d time.Duration) TrafficWindow {
	return t.over(group, d, func(name fleet.RevisionID) bool { return name == "" })
}

func (t Traffic) over(group fleet.TargetGroupName, d time.Duration, of func(fleet.RevisionID) bool) TrafficWindow {
	history := t.Groups[group]
	points := history.Points
	if len(points) == 0 {
		return TrafficWindow{}
	}
	last := points[len(points)-1]
	first := len(points) - 1
	for first > 0 && last.At-points[first].At < d {
		first--
	}
	w := TrafficWindow{
		Over: last.At - points[first].At, Age: t.Taken + t.At - last.At, Hosts: last.Hosts, Watched: history.Watched,
	}
	for _, p := range points[first:] {
		w.Hosts = min(w.Hosts, p.Hosts)
	}
	for name, counts := range last.Revisions {
		if of(name) {
			w.Add(counts.Since(points[first].Revisions[name]))
		}
	}
	return w
}
