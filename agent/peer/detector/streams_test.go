package detector

import (
	"fmt"
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

func TestAVoterTellsCapacityReportsOnceAndInParts(t *testing.T) {
	now := time.Hour
	s, tell := NewStreams(), Teller{}
	for i := range MaxReports + 10 {
		host := fleet.HostID(fmt.Sprintf("h-%d", i))
		s.Open(now, host, 1).Beat(now, time.Time{}, Beat{Report: &fleet.CapacityReport{Host: host, Seq: 1}})
	}
	told := func(leader fleet.HostID) []fleet.CapacityReport {
		return tell.Next(now, leader, s, s.All(), fleet.Served{}, false).Reports
	}
	for _, step := range []struct {
		what   string
		leader fleet.HostID
		want   int
	}{
		{"at first as many as may be", "h-1", MaxReports}, {"then the rest", "h-1", 10}, {"then none", "h-1", 0},
		{"all to another leader", "h-2", MaxReports}, {"and the rest", "h-2", 10},
	} {
		if got := len(told(step.leader)); got != step.want {
			t.Errorf("%s: got %d, want %d", step.what, got, step.want)
		}
	}
	s.Of("h-3").Beat(now, time.Time{}, Beat{Report: &fleet.CapacityReport{Host: "h-3", Seq: 2}})
	if got := told("h-2"); len(got) != 1 || got[0].Seq != 2 {
		t.Errorf("after one changed: got %+v", got)
	}
}

func TestALeaderIsToldInTime(t *testing.T) {
	now := time.Hour
	s, tell := NewStreams(), Teller{}
	due := func(leader fleet.HostID, want bool, why string) {
		t.Helper()
		if got := tell.Due(now, protocol.AgesEvery, leader, Late(now, s.All()), s.Owes()); got != want {
			t.Errorf("%s: due is %v", why, got)
		}
	}
	next := func(leader fleet.HostID) Ages { return tell.Next(now, leader, s, s.All(), fleet.Served{}, false) }
	st := s.Open(now, "h-9", 1)
	due("h-1", true, "a leader that was told nothing")
	if a := next("h-1"); !a.Full || len(a.Open) != 1 {
		t.Errorf("the first word is %+v", a)
	}
	now += protocol.AgesEvery - 1
	due("h-1", false, "just told")
	due("h-2", true, "another leader")
	now++
	due("h-1", true, "a while ago")
	if a := next("h-1"); a.Full || len(a.Open) != 0 {
		t.Errorf("a word of what changed is %+v", a)
	}
	now += protocol.SuspectAfter
	next("h-1")
	due("h-1", false, "late hosts were told")
	s.Open(now-protocol.SuspectAfter-1, "h-8", 1)
	due("h-1", true, "one more host is late")
	tell.Told(false, nil)
	if a := next("h-1"); !a.Full || len(a.Open) != 2 {
		t.Errorf("after a word that did not come: %+v", a)
	}
	s.Close(st, true)
	if a := next("h-1"); len(a.Gone) != 1 || !a.Gone[0].Cut {
		t.Errorf("after a stream was cut: %+v", a)
	}
	off := int64(7)
	tell.Told(true, &off)
	if a := next("h-1"); a.ClockMs == nil || *a.ClockMs != off {
		t.Errorf("with a clock that was measured: %+v", a)
	}
	if a := next("h-2"); a.ClockMs != nil || !a.Full || len(a.Gone) != 1 {
		t.Errorf("against another leader it was not: %+v", a)
	}
}

func TestANewerStreamTakesThePlaceOfAnOlder(t *testing.T) {
	s := NewStreams()
	old := s.Open(time.Hour, "h-9", 1)
	if !s.TooSoon(time.Hour+StreamSpacing-1, "h-9") || s.TooSoon(time.Hour+StreamSpacing, "h-9") {
		t.Errorf("the spacing of streams is not %s", StreamSpacing)
	}
	s.Open(time.Hour, "h-9", 2)
	if s.Close(old, false) || s.Len() != 1 {
		t.Error("the end of the older ended the newer")
	}
	for _, tt := range []struct {
		session uint64
		after   time.Duration
		want    bool
	}{{2, HeardWithin - 1, true}, {2, HeardWithin, false}, {1, 0, false}} {
		if got := s.Heard(time.Hour+tt.after, "h-9", tt.session); got != tt.want {
			t.Errorf("session %d is heard: %v, want %v", tt.session, got, tt.want)
		}
	}
}

func TestALeaderHearsHowFarHostsHaveComeWhileItAwaitsThem(t *testing.T) {
	now := time.Hour
	s, tell := NewStreams(), Teller{}
	at := func(index uint64) fleet.Served { return fleet.Served{Epoch: 1, Tasks: index, Orders: index} }
	for i := range MaxServed + 10 {
		s.Open(now, fleet.HostID(fmt.Sprintf("h-%d", i)), 1).Beat(now, time.Time{}, Beat{Served: at(5)})
	}
	told := func(leader fleet.HostID) int {
		return len(tell.Next(now, leader, s, s.All(), fleet.Served{}, false).Served)
	}
	want := func(what string, got, n int) {
		t.Helper()
		if got != n {
			t.Errorf("%s: told of %d hosts, want %d", what, got, n)
		}
	}
	want("nothing is awaited", told("h-1"), 0)
	tell.Await(at(7))
	want("at first as many as may be", told("h-1"), MaxServed)
	want("then the rest", told("h-1"), 10)
	want("none has come further", told("h-1"), 0)
	s.Of("h-3").Beat(now, time.Time{}, Beat{Served: at(6)})
	want("one is on its way", told("h-1"), 1)
	s.Of("h-3").Beat(now, time.Time{}, Beat{Served: at(7)})
	want("it has come", told("h-1"), 1)
	s.Of("h-3").Beat(now, time.Time{}, Beat{Served: at(8)})
	want("it went on", told("h-1"), 0)
	tell.Told(false, nil)
	want("the word did not come", told("h-1"), MaxServed)
	want("another leads, and awaits nothing yet", told("h-2"), 0)
}

func TestALeaderHearsOfTheNewestRoutesWhileItWatches(t *testing.T) {
	now := time.Hour
	s, tell := NewStreams(), Teller{}
	serves := func(host fleet.HostID, routes uint64) {
		s.Of(host).Beat(now, time.Time{}, Beat{Served: fleet.Served{Epoch: 1, Tasks: routes, Routes: routes}})
	}
	for _, host := range []fleet.HostID{"h-1", "h-2"} {
		s.Open(now, host, 1)
		serves(host, 5)
	}
	want := func(what string, newest fleet.Served, n int) {
		t.Helper()
		if got := tell.Next(now, "h-1", s, s.All(), newest, false).Served; len(got) != n {
			t.Errorf("%s: told of %+v, want %d", what, got, n)
		}
	}
	routes := func(index uint64) fleet.Served { return fleet.Served{Epoch: 1, Routes: index} }
	want("nothing is watched", routes(5), 0)
	s.Watch([]fleet.TargetGroupName{"web"})
	want("both are told of once", routes(5), 2)
	serves("h-1", 6)
	want("one that has come to all says no more", routes(5), 0)
	want("routes changed: one has come to them", routes(6), 1)
	serves("h-2", 6)
	want("then the other", routes(6), 1)
	tell.Await(routes(8))
	serves("h-2", 7)
	want("more is awaited", routes(6), 1)
	serves("h-2", 8)
	want("what is awaited of another epoch does not count", fleet.Served{Epoch: 2, Routes: 1}, 1)
	s.Watch(nil)
	tell.Await(fleet.Served{})
	serves("h-2", 9)
	want("nothing is watched any more", routes(9), 0)
}
