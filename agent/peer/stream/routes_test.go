package stream

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

func targetGroup(st *fleet.State, name fleet.TargetGroupName, delay int) fleet.PutTargetGroup {
	c := fleet.PutTargetGroup{Name: name, Protocol: fleet.GroupHTTP1, DeregistrationDelayS: delay,
		Check: fleet.TargetCheck{IntervalS: 5, TimeoutS: 2, Healthy: 2, Unhealthy: 2}}
	if old := st.TargetGroup(name); old != nil {
		c.ExpectedModifyIndex = old.ModifyIndex
	}
	return c
}

// newRouting is a stream of a host that reads routes, with target groups blue and green.
func newRouting(t *testing.T) *sending {
	st, do := stateWithATask(t)
	do(fleet.OpenSession{Host: "h-1", Boot: "b", Nonce: 2, Addr: netip.MustParseAddrPort("10.0.0.1:7700"), Zone: "a",
		Capacity: fleet.Resources{CPU: 4096, Memory: 8192}, Format: fleet.FormatVersion})
	do(fleet.RaiseFormat{Format: fleet.FormatVersion, Force: true})
	do(targetGroup(st, "blue", 30))
	do(targetGroup(st, "green", 30))
	return &sending{t: t, s: NewSender("h-1", st, Position{Session: 2}), st: st, do: do}
}

// routed is what a frame has of routes.
func routed(f *VoterFrame) string {
	if f == nil {
		return "no frame"
	}
	if f.Routes == nil {
		return "none"
	}
	var names []fleet.TargetGroupName
	for _, g := range f.Routes.Groups {
		names = append(names, g.TargetGroup.Name)
	}
	return fmt.Sprintf("whole %v, rules %v, groups %v, keep %v", f.Routes.Whole, f.Routes.Rules != nil, names,
		f.Routes.Keep)
}

func TestAStreamBringsWhatChangedOfRoutes(t *testing.T) {
	d := newRouting(t)
	now := time.Hour
	next := func(want string) {
		t.Helper()
		now += protocol.VoterBeat / 10
		f := d.next(now)
		if got := routed(f); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if f != nil && f.Kind == KindBeat && len(f.Tasks)+len(f.TaskDefs) > 0 {
			t.Errorf("routes bring tasks: %+v", f)
		}
		d.s.Sent()
	}
	next("whole true, rules true, groups [blue green], keep []")
	d.s.Changed()
	next("no frame")
	d.do(targetGroup(d.st, "green", 5))
	d.s.Changed()
	next("whole false, rules false, groups [green], keep []")
	d.do(fleet.DeleteTargetGroup{Name: "green"})
	d.do(fleet.PutListener{Name: "shop", Port: 80, Protocol: fleet.ListenHTTP, Default: &fleet.Action{
		Fixed: &fleet.FixedResponse{Status: 503}}})
	d.s.Changed()
	next("whole false, rules true, groups [], keep [blue]")
	d.stop()
	next("none")
}

func TestAStreamThatGoesOnBringsWhatItsHostLacksOfRoutes(t *testing.T) {
	d := newRouting(t)
	had := d.st.Index()
	d.do(targetGroup(d.st, "green", 5))
	d.s = NewSender("h-1", d.st, Position{Epoch: 1, Index: had, Session: 2, Resume: true})
	f := d.next(time.Hour)
	if got, want := routed(f), "whole false, rules false, groups [green], keep []"; got != want || f.Kind != KindBeat {
		t.Errorf("%s, want %s: %+v", got, want, f)
	}
	d.s = NewSender("h-1", d.st, Position{Epoch: 1, Index: d.st.Index(), Session: 2, Resume: true})
	if got := routed(d.next(time.Hour)); got != "none" {
		t.Errorf("it lacks nothing, and is sent %s", got)
	}
}

func TestLargeRoutesComeInPieces(t *testing.T) {
	whole := fleet.WantedRoutes{Whole: true, Rules: &fleet.RuleTable{Rules: make([]fleet.Rule, 100)},
		Groups: []fleet.GroupTargets{{TargetGroup: fleet.TargetGroup{Name: "blue"}, Targets: make([]fleet.Target, 5_000)}}}
	for i := range whole.Groups[0].Targets {
		whole.Groups[0].Targets[i].Task = fleet.TaskID(fmt.Sprint(i))
	}
	f := VoterFrame{Kind: KindSnapshot, Wanted: fleet.Wanted{Index: 1, Routes: &whole, Tasks: make([]fleet.WantedTask, 3)}}
	pieces := f.Pieces()
	if len(pieces) < 8 {
		t.Fatalf("%d pieces", len(pieces))
	}
	got := pieces[0]
	for i, p := range pieces[1:] {
		if !pieces[i].More {
			t.Fatalf("piece %d says that it is the last", i)
		}
		var err error
		if got, err = got.Joined(p); err != nil {
			t.Fatal(err)
		}
	}
	if len(got.Tasks) != 3 || len(got.Routes.Groups) != 1 || len(got.Routes.Rules.Rules) != 100 ||
		!slices.Equal(got.Routes.Groups[0].Targets, whole.Groups[0].Targets) {
		t.Errorf("put together it has %d tasks, %d groups, %d rules", len(got.Tasks), len(got.Routes.Groups),
			len(got.Routes.Rules.Rules))
	}
}

func TestAStreamBringsEntryAddresses(t *testing.T) {
	d := newRouting(t)
	entry := netip.MustParsePrefix("10.0.0.200/24")
	d.do(fleet.PutEntryAddress{Prefix: entry})
	now := time.Hour
	next := func(want *fleet.WantedEntries) {
		t.Helper()
		now += protocol.VoterBeat / 10
		f := d.next(now)
		if f == nil {
			t.Fatal("no frame")
		}
		if !f.Entries.Equal(want) {
			t.Errorf("%+v, want %+v", f.Entries, want)
		}
		d.s.Sent()
	}
	next(nil)
	d.do(fleet.AssignEntryAddress{Addr: entry.Addr(), Holder: "h-1"})
	at := d.st.Index()
	d.s.Changed()
	next(&fleet.WantedEntries{Addresses: []fleet.EntryDuty{{Prefix: entry, Assignment: at}}})
	d.do(targetGroup(d.st, "blue", 40))
	d.s.Changed()
	next(nil)
	d.do(fleet.AssignEntryAddress{Addr: entry.Addr(), ExpectedHolder: "h-1"})
	d.s.Changed()
	next(&fleet.WantedEntries{})

	for up, want := range map[uint64]*fleet.WantedEntries{at: {}, d.st.Index(): nil} {
		resumed := NewSender("h-1", d.st, Position{Session: 2, Epoch: 1, Index: up, Resume: true})
		f, err := resumed.Next(now, View{State: d.st})
		if err != nil || f == nil || !f.Entries.Equal(want) {
			t.Errorf("resumed at %d: %+v, %v, want %+v", up, f, err, want)
		}
	}
}

// Pieces of a large frame bring what is small once.
func TestEntryAddressesAreInOnePieceOfAFrame(t *testing.T) {
	entries := &fleet.WantedEntries{Addresses: []fleet.EntryDuty{{Prefix: netip.MustParsePrefix("10.0.0.200/24")}}}
	f := VoterFrame{Kind: KindSnapshot, Wanted: fleet.Wanted{Entries: entries, Routes: &fleet.WantedRoutes{Whole: true},
		Tasks: make([]fleet.WantedTask, 3*pieceTasks)}}
	pieces := f.Pieces()
	whole, with := pieces[0], 0
	for i, p := range pieces {
		if p.Entries != nil {
			with++
		}
		if i > 0 {
			var err error
			if whole, err = whole.Joined(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(pieces) < 3 || with != 1 || !whole.Entries.Equal(entries) {
		t.Errorf("%d of %d pieces have entry addresses; together %+v", with, len(pieces), whole.Entries)
	}
}
