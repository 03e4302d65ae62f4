package link

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

// ingress is what a host counts.
type ingress map[fleet.TargetGroupName]uint64

func (i ingress) counts(groups []fleet.TargetGroupName) (all []fleet.GroupTraffic) {
	for _, name := range groups {
		all = append(all, counted(name, i[name]))
	}
	return all
}

func counted(group fleet.TargetGroupName, requests uint64) fleet.GroupTraffic {
	return fleet.GroupTraffic{Group: group, Revisions: []fleet.RevisionTraffic{
		{Revision: "web/1", Counts: fleet.TrafficCounts{Requests: requests}},
	}}
}

func TestWhatAHostTellsOfItsTraffic(t *testing.T) {
	type told = map[fleet.TargetGroupName]uint64
	var host Traffic
	now, serves := time.Hour, ingress{"web": 10, "api": 20}
	step := func(why string, want told) {
		t.Helper()
		got := told{}
		for _, g := range host.Next(now, serves.counts) {
			got[g.Group] = g.Revisions[0].Counts.Requests
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: told %v, want %v", why, got, want)
		}
		now += TrafficEvery
	}
	groups := []fleet.TargetGroupName{"api", "web"}
	host.Opened()
	step("nobody watches", told{})
	host.Watch(groups)
	step("all at first", told{"web": 10, "api": 20})
	step("nothing moved", told{})
	serves["web"] = 11
	step("one moved", told{"web": 11})
	serves["web"], serves["api"] = 12, 21
	now -= TrafficEvery / 2
	step("too soon", told{})
	now -= TrafficEvery / 2
	step("in time again", told{"web": 12, "api": 21})
	host.Opened()
	serves["web"] = 14
	step("another voter has not said what it watches", told{})
	host.Watch(groups)
	step("it begins where the one before ended", told{"web": 12, "api": 21})
	step("and is told what came since", told{"web": 14})
	host.Opened()
	host.Watch(groups)
	serves["web"] = 15
	now += trafficKept
	step("after long it begins with what is now", told{"web": 15, "api": 21})
	host.Watch(groups[:1])
	serves["web"], serves["api"] = 16, 22
	step("one is watched no more", told{"api": 22})
	host.Watch(groups)
	step("and then again", told{"web": 16})
}

func TestNoMoreGroupsAreToldThanFitABeat(t *testing.T) {
	var host Traffic
	var groups []fleet.TargetGroupName
	serves := ingress{}
	for i := range 2*fleet.MaxTrafficGroups + 3 {
		groups = append(groups, fleet.TargetGroupName(fmt.Sprintf("g%03d", i)))
	}
	host.Opened()
	host.Watch(groups)
	now, seen := time.Hour, map[fleet.TargetGroupName]int{}
	for range 6 {
		tell := host.Next(now, serves.counts)
		if len(tell) > fleet.MaxTrafficGroups {
			t.Fatalf("%d groups at once", len(tell))
		}
		for _, g := range tell {
			seen[g.Group]++
		}
		for _, name := range groups {
			serves[name]++
		}
		now += TrafficEvery
	}
	for _, name := range groups {
		if seen[name] < 2 {
			t.Errorf("%s was told %d times in 6 beats", name, seen[name])
		}
	}
}
