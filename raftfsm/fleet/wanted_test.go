package fleet_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skein/raftfsm/fleet"
)

// sentTo is what a host is sent at one moment, without what a stream's frame has of the
// moment itself.
type sentTo struct {
	wanted fleet.Wanted
	marks  fleet.WantedMarks
}

func (g *scenario) sent() map[fleet.HostID]sentTo {
	all := map[fleet.HostID]sentTo{}
	for h := range g.Hosts() {
		w := g.Wanted(h.ID)
		w.Index = 0
		all[h.ID] = sentTo{w, g.WantedMarks(h)}
	}
	return all
}

// unheard is what a host is sent without what State has recorded of its own words.
func unheard(w fleet.Wanted) fleet.Wanted {
	tasks := make([]fleet.WantedTask, len(w.Tasks))
	for i, t := range w.Tasks {
		t.Last, t.ModifyIndex = 0, 0
		tasks[i] = t
	}
	w.Tasks = tasks
	return w
}

// Streams send nothing but what the marks, the change set and the versions of tasks
// tell them of.
func TestWhatAHostIsSentMovesItsMarks(t *testing.T) {
	for _, seed := range seeds()[:1] {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			g := newScenario(t, seed)
			before, orders, routes, entries := g.sent(), 0, 0, 0
			for step := range steps {
				c := g.command()
				out := g.Apply(g.Index()+1, fleet.Entry{At: g.at, Items: []fleet.Item{{Command: c}}})
				after := g.sent()
				for id, now := range after {
					was, known := before[id]
					if !known || now.wanted.Session != was.wanted.Session || now.wanted.Epoch != was.wanted.Epoch ||
						g.Host(id).State == fleet.HostLost {
						continue // it is sent everything in its next session
					}
					if now.wanted.LogsOut != was.wanted.LogsOut {
						orders++
					}
					checkVersions(t, was.wanted, now.wanted)
					if !reflect.DeepEqual(now.wanted.Routes, was.wanted.Routes) {
						routes++
						g.checkRoutesSince(step, id, was)
					}
					if !now.wanted.Entries.Equal(was.wanted.Entries) {
						entries++
					}
					if reflect.DeepEqual(unheard(now.wanted), unheard(was.wanted)) {
						continue
					}
					woken := out.ChangeSet.Has(fleet.Subject{Kind: fleet.SubjectWanted, Name: string(id)}) ||
						out.ChangeSet.Has(fleet.Subject{Kind: fleet.SubjectRoutes})
					if now.marks == was.marks || !woken {
						t.Fatalf("seed %d, step %d, %#v: marks %v of %s were %v, in the change set %v, and it is sent:\n%s",
							seed, step, c, now.marks, id, was.marks, woken, cmp.Diff(was.wanted, now.wanted))
					}
				}
				before = after
			}
			if entries == 0 {
				t.Errorf("seed %d: no host's entry addresses changed: the test does not reach them", seed)
			}
			if orders == 0 {
				t.Errorf("seed %d: no host's orders changed: the test does not reach them", seed)
			}
			if routes == 0 {
				t.Errorf("seed %d: no routes changed: the test does not reach them", seed)
			}
		})
	}
}

// checkRoutesSince proves that what a host is sent since it had something makes the same
// as all of it.
func (g *scenario) checkRoutesSince(step int, id fleet.HostID, was sentTo) {
	g.t.Helper()
	have := fleet.Routes{}.With(was.wanted.Routes)
	got := have.With(g.WantedSince(g.Host(id), was.marks).Routes)
	if want := g.Routes(); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		g.t.Fatalf("seed %d, step %d: %s had\n%+v, has with what changed\n%+v, want\n%+v", g.seed, step, id, have, got, want)
	}
}

func checkVersions(t *testing.T, was, now fleet.Wanted) {
	t.Helper()
	sent := map[fleet.TaskID]*fleet.WantedTask{}
	for i := range was.Tasks {
		sent[was.Tasks[i].ID] = &was.Tasks[i]
	}
	for i := range now.Tasks {
		task := &now.Tasks[i]
		if old := sent[task.ID]; old != nil && old.Version() == task.Version() && !reflect.DeepEqual(old, task) {
			t.Fatalf("one version of two tasks: %+v, then %+v", old, task)
		}
	}
}

// What did not change is not there again, but for what is sent each time.
func TestOnlyWhatChangedIsSentSinceMarks(t *testing.T) {
	g := newScenario(t, 1)
	for n := 0; n < 500 || g.Fleet().Routes.Any == 0; n++ {
		g.Apply(g.Index()+1, fleet.Entry{At: g.at, Items: []fleet.Item{{Command: g.command()}}})
	}
	full := 0
	for h := range g.Hosts() {
		all := g.Wanted(h.ID)
		if len(all.Tasks) > 0 {
			full++
		}
		if got := g.WantedSince(h, g.WantedMarks(h)); got.Tasks != nil || got.TaskDefs != nil || got.Routes != nil ||
			got.LogsOut != all.LogsOut || got.Index != all.Index {
			t.Errorf("%s lacks nothing, and is sent %+v", h.ID, got)
		}
		if got := g.WantedSince(h, fleet.WantedMarks{}); h.WantedModifyIndex > 0 && !reflect.DeepEqual(got, all) {
			t.Errorf("%s lacks all, and is sent %+v, not %+v", h.ID, got, all)
		}
	}
	if full == 0 {
		t.Error("no host has tasks")
	}
}
