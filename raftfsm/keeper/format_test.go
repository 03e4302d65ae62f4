package keeper_test

import (
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/keeper"
)

// upgrade restarts the agents of hosts with a build that reads a format.
func (w *world) upgrade(format int, hosts ...int) {
	w.t.Helper()
	for _, n := range hosts {
		w.hosts[id(n)].reads = format
		w.ready(n)
	}
}

func TestTheFormatFollowsTheAgents(t *testing.T) {
	const soak, hour = fleet.DefaultFormatSoakMs * time.Millisecond, time.Hour
	for _, tc := range []struct {
		name  string
		zones string
		play  func(w *world)
		want  int // the fleet's format
	}{
		{"a day after all agents read it", "abcd", func(w *world) {
			w.upgrade(2, 1, 2, 3, 4)
			w.run(time.Minute)
			w.sleep(soak)
			w.run(time.Minute)
		}, 2},
		{"not within the day", "abc", func(w *world) {
			w.upgrade(2, 1, 2, 3)
			w.run(time.Minute)
			w.sleep(soak - hour)
			w.run(time.Minute)
		}, 1},
		{"not while a voter reads less", "abc", func(w *world) {
			w.upgrade(2, 1, 2)
			w.run(time.Minute)
			w.sleep(2 * soak)
			w.run(time.Minute)
		}, 1},
		{"not while a worker reads less", "abcd", func(w *world) {
			w.upgrade(2, 1, 2, 3)
			w.run(time.Minute)
			w.sleep(2 * soak)
			w.run(time.Minute)
		}, 1},
		{"without a worker that is lost", "abcd", func(w *world) {
			w.run(time.Minute)
			w.upgrade(2, 1, 2, 3)
			w.lose(4)
			w.run(time.Minute)
			w.sleep(soak)
			w.run(time.Minute)
		}, 2},
		{"the day begins anew after a rollback", "abc", func(w *world) {
			w.upgrade(2, 1, 2, 3)
			w.run(time.Minute)
			w.sleep(soak - hour)
			w.upgrade(1, 2)
			w.run(time.Minute)
			w.upgrade(2, 2)
			w.run(time.Minute)
			w.sleep(2 * hour)
			w.run(time.Minute)
		}, 1},
		{"not when an agent goes back as the day ends", "abc", func(w *world) {
			w.upgrade(2, 1, 2, 3)
			w.run(time.Minute)
			w.upgrade(1, 3)
			w.sleep(soak)
			w.run(time.Minute)
		}, 1},
		{"at once by order", "abc", func(w *world) {
			w.upgrade(2, 1, 2, 3)
			w.run(time.Minute)
			w.do(fleet.RaiseFormat{Format: 2})
			w.run(time.Minute)
		}, 2},
		{"as soon as the setting says", "abc", func(w *world) {
			w.do(fleet.PutSetting{Name: fleet.SettingFormatSoak, Value: 10_000})
			w.upgrade(2, 1, 2, 3)
			w.run(time.Minute)
		}, 2},
		{"a second upgrade meanwhile counts its own day", "abc", func(w *world) {
			w.upgrade(2, 1, 2, 3)
			w.run(time.Minute)
			w.sleep(soak - hour)
			w.upgrade(3, 1, 2, 3)
			w.run(time.Minute)
			w.sleep(2 * hour)
			w.run(time.Minute)
		}, 1},
		{"to what all read, where some read more", "abc", func(w *world) {
			w.upgrade(3, 1, 2)
			w.upgrade(2, 3)
			w.run(time.Minute)
			w.sleep(soak)
			w.run(time.Minute)
		}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, strings.Split(tc.zones, "")...)
			w.run(time.Minute)
			tc.play(w)
			if f := w.state.Fleet(); f.Format != tc.want {
				t.Errorf("the fleet is at format %d, want %d: %+v", f.Format, tc.want, f)
			}
		})
	}
}

// A host keeps the row of the agent before it while its present one gets no session.
func TestAHostWhoseAgentIsTooOldIsNotMadeAVoter(t *testing.T) {
	w := newWorld(t, "a", "b", "c", "d")
	w.run(time.Minute)
	w.upgrade(2, 1, 2, 3, 4)
	w.do(fleet.RaiseFormat{Format: 2})
	back := func(format int) {
		h := w.state.Host(id(4))
		w.do(fleet.OpenSession{Host: h.ID, Boot: "boot", Nonce: h.Session.Nonce + 1, Addr: h.Addr, Zone: h.Zone,
			Capacity: h.Capacity, Format: format, TooOld: format < 2})
	}
	if back(1); w.state.Host(id(4)).Refused == nil {
		t.Fatal("the agent of h4 is not refused")
	}
	w.down(3)
	w.run(10 * time.Minute)
	if w.voters() != "1 2 3" || w.state.VoterOf(id(4)) != nil {
		t.Errorf("voters %s, rows %s: the agent of h4 cannot read what they write", w.voters(), w.rows())
	}
	w.upgrade(2, 4)
	w.run(10 * time.Minute)
	if w.voters() != "1 2 4" {
		t.Errorf("voters %s, want 1 2 4, as the agent of h4 is new enough again", w.voters())
	}
}

// sleep lets time pass in which nobody steps the keeper: no leader lives that long.
func (w *world) sleep(d time.Duration) {
	w.now = w.now.Add(d)
	w.memory = keeper.Memory{}
}
