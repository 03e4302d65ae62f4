package detector

import (
	"cmp"
	"maps"
	"slices"

	"skein/raftfsm/fleet"
)

// trafficSums are a voter's sums of what its hosts count of the target groups that the
// leader watches. They only grow, whichever hosts come and go: what a host had counted
// before its stream opened is not in them.
type trafficSums struct {
	watch  []fleet.TargetGroupName // sorted; shared
	groups map[fleet.TargetGroupName]*groupSum
	turn   uint64 // of telling
}

// groupSum is the sum of one group.
type groupSum struct {
	hosts     int // with an open stream, that have told of the group
	revisions map[fleet.RevisionID]fleet.TrafficCounts
	moved     bool   // since the leader was told
	told      uint64 // the turn in which it was told last
}

// hostCounts is what a host told last of one group.
type hostCounts struct {
	of        *groupSum // of which they are a part
	revisions map[fleet.RevisionID]fleet.TrafficCounts
}

// Watch has hosts tell of these target groups and no others. While there is one, the leader
// is told too how far hosts have come with routes. groups are sorted, and shared.
func (s *Streams) Watch(groups []fleet.TargetGroupName) {
	if slices.Equal(s.counts.watch, groups) {
		return
	}
	s.counts.watch = groups
	maps.DeleteFunc(s.counts.groups, func(name fleet.TargetGroupName, _ *groupSum) bool {
		_, still := slices.BinarySearch(groups, name)
		return !still
	})
	s.owes = s.owes && len(groups) > 0
}

// Watching are the groups of which hosts are to tell; shared.
func (s *Streams) Watching() []fleet.TargetGroupName { return s.counts.watch }

// Came reports whether a host has come to the newest routes, and the leader waits to hear so.
func (s *Streams) Came(st *Stream, routes fleet.Served) bool {
	if len(s.counts.watch) == 0 || st.told.served.Reached(routes) || !st.served.Reached(routes) {
		return false
	}
	s.owes = true
	return true
}

// Owes reports whether a host has come to the newest routes since the last word.
func (s *Streams) Owes() bool { return s.owes }

// take notes what a host counts. What it tells first on a stream of a group is where its
// part of the sum begins.
func (t *trafficSums) take(st *Stream, told fleet.HostTraffic) {
	if st.start != told.Start {
		st.start = told.Start
		for _, counts := range st.counted {
			counts.revisions = nil // all begin at 0
		}
	}
	for _, g := range told.Groups[:min(len(told.Groups), fleet.MaxTrafficGroups)] {
		if _, watched := slices.BinarySearch(t.watch, g.Group); watched {
			t.takeGroup(st, g)
		}
	}
}

func (t *trafficSums) takeGroup(st *Stream, g fleet.GroupTraffic) {
	sum := t.sum(g.Group)
	before, first := st.countsOf(sum, g.Group)
	now := make(map[fleet.RevisionID]fleet.TrafficCounts, len(g.Revisions))
	for _, r := range g.Revisions[:min(len(g.Revisions), fleet.MaxTrafficRevisions)] {
		now[r.Revision] = r.Counts
		total, known := sum.revisions[r.Revision]
		if !known && len(sum.revisions) == maxSumRevisions {
			continue
		}
		if !first {
			total.Add(r.Counts.Since(before.revisions[r.Revision]))
		}
		sum.revisions[r.Revision] = total
	}
	before.revisions, sum.moved = now, true
}

func (t *trafficSums) sum(group fleet.TargetGroupName) *groupSum {
	sum := t.groups[group]
	if sum == nil {
		sum = &groupSum{revisions: map[fleet.RevisionID]fleet.TrafficCounts{}}
		if t.groups == nil {
			t.groups = map[fleet.TargetGroupName]*groupSum{}
		}
		t.groups[group] = sum
	}
	return sum
}

// countsOf is what the host told last of a group; first where it did not in this sum.
func (st *Stream) countsOf(sum *groupSum, group fleet.TargetGroupName) (counts *hostCounts, first bool) {
	if counts = st.counted[group]; counts != nil && counts.of == sum {
		return counts, false
	}
	if st.counted == nil {
		st.counted = map[fleet.TargetGroupName]*hostCounts{}
	}
	counts = &hostCounts{of: sum}
	st.counted[group] = counts
	sum.hosts++
	return counts, true
}

// end takes a stream's host out of the sums; what it counted stays in them.
func (t *trafficSums) end(st *Stream) {
	for name, counts := range st.counted {
		if counts.of == t.groups[name] {
			counts.of.hosts--
			counts.of.moved = true
		}
	}
	st.counted = nil
}

// tell is what moved of the sums, those first that were not told of for longest; all is as
// if all of them had moved.
func (t *trafficSums) tell(all bool) []fleet.GroupTraffic {
	var names []fleet.TargetGroupName
	for name, sum := range t.groups {
		if sum.moved = sum.moved || all; sum.moved {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b fleet.TargetGroupName) int {
		return cmp.Or(cmp.Compare(t.groups[a].told, t.groups[b].told), cmp.Compare(a, b))
	})
	names = names[:min(len(names), MaxTraffic)]
	t.turn++
	var out []fleet.GroupTraffic
	for _, name := range names {
		sum := t.groups[name]
		sum.moved, sum.told = false, t.turn
		g := fleet.GroupTraffic{Group: name, Hosts: sum.hosts}
		for _, revision := range slices.Sorted(maps.Keys(sum.revisions)) {
			g.Revisions = append(g.Revisions, fleet.RevisionTraffic{Revision: revision, Counts: sum.revisions[revision]})
		}
		out = append(out, g)
	}
	return out
}
