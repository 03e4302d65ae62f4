package peer

import (
	"maps"
	"slices"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Watch has hosts tell of the traffic of these target groups; see lead.FailureDetector.
func (e *FailureDetector) Watch(groups []fleet.TargetGroupName) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.planned = groups
	e.rewatch()
	e.wake()
}

const (
	// showFor is how long hosts go on telling of a group after somebody looked at it: a page
	// that is open asks each 4 s.
	showFor = 20 * time.Second
	// maxShown bounds the groups that are watched for people alone.
	maxShown = 64
)

// Show has hosts tell of these groups for a while, beside those that planners watch, and
// returns what was heard. What it is asked of first is not known at once.
func (e *FailureDetector) Show(groups []fleet.TargetGroupName) plan.Traffic {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.leading {
		return plan.Traffic{}
	}
	if e.shown == nil {
		e.shown = map[fleet.TargetGroupName]time.Duration{}
	}
	more := false
	for _, name := range groups {
		_, known := e.shown[name]
		if known || len(e.shown) < maxShown {
			e.shown[name] = e.now() + showFor
			more = more || !known
		}
	}
	if more {
		e.rewatch()
		e.wake()
	}
	return e.watch.Traffic(e.now())
}

// endShows ends those that nobody looks at any more. e.mu is held.
func (e *FailureDetector) endShows(now time.Duration) {
	before := len(e.shown)
	maps.DeleteFunc(e.shown, func(_ fleet.TargetGroupName, until time.Duration) bool { return now >= until })
	if len(e.shown) < before {
		e.rewatch()
	}
}

// rewatch watches what planners and people want; planners come first. e.mu is held.
func (e *FailureDetector) rewatch() {
	groups := slices.Clone(e.planned)
	for _, name := range slices.Sorted(maps.Keys(e.shown)) {
		if !slices.Contains(e.planned, name) && len(groups) < plan.MaxWatched {
			groups = append(groups, name)
		}
	}
	slices.Sort(groups)
	e.watched = groups
	e.watch.WatchTraffic(groups)
}

// Traffic is what hosts counted of the groups that are watched; nothing while this voter
// does not lead. The value does not change.
func (e *FailureDetector) Traffic() plan.Traffic {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.leading {
		return plan.Traffic{}
	}
	return e.watch.Traffic(e.now())
}
