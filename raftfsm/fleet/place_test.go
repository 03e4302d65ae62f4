package fleet

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestPlaceTasks(t *testing.T) {
	ready := func(t *testing.T) *world {
		w := fleetOf(t, 3)
		w.service("web", 6)
		w.create("web", 1, 6)
		return w
	}
	share := func(host int, ids ...TaskID) AssignTasks { return AssignTasks{Host: hostID(host), Tasks: ids} }
	t.Run("gives each host its share and makes one event", func(t *testing.T) {
		w := ready(t)
		before := w.LastEvent()
		w.must(PlaceTasks{Shares: []AssignTasks{share(1, "web-1", "web-4"), share(3, "web-2")}})
		for id, host := range map[TaskID]HostID{"web-1": hostID(1), "web-4": hostID(1), "web-2": hostID(3), "web-3": ""} {
			if got := w.task(id).Host; got != host {
				t.Errorf("%s is on %q, want %q", id, got, host)
			}
		}
		if e := w.lastEvent(); w.LastEvent() != before+1 || !strings.Contains(e.Message, "placed 3 tasks on h1, h3") ||
			e.Subject != ServiceSubject("web") {
			t.Errorf("%d events, the last %+v", w.LastEvent()-before, e)
		}
		if got := slices.Collect(w.outcome.ChangeSet.WantedHosts()); !slices.Equal(got, []HostID{hostID(1), hostID(3)}) {
			t.Errorf("wanted %v", got)
		}
	})
	t.Run("judges share by share: what is refused says why, the others stand", func(t *testing.T) {
		w := ready(t)
		w.must(CordonHost{Host: hostID(2)})
		r := w.do(PlaceTasks{Shares: []AssignTasks{share(1, "web-1"), share(2, "web-2"), share(3, "web-1"),
			share(3, "web-3")}})
		if r.Err != nil || len(r.Refused) != 2 {
			t.Fatalf("result %+v", r)
		}
		if a, b := r.Refused[0], r.Refused[1]; a.Share != 1 || !errors.Is(a.Err, ErrNotPlaceable) || b.Share != 2 ||
			!errors.Is(b.Err, ErrConflict) {
			t.Errorf("refused %+v", r.Refused)
		}
		if w.task("web-2").Host != "" || w.task("web-3").Host != hostID(3) {
			t.Errorf("web-2 %+v, web-3 %+v", w.task("web-2"), w.task("web-3"))
		}
		if e := w.lastEvent(); !strings.Contains(e.Message, "placed 2 tasks on h1, h3") {
			t.Errorf("event %+v", e)
		}
		w.checked()
	})
	t.Run("counts what earlier shares took of the same host", func(t *testing.T) {
		w := ready(t)
		w.must(Report{Host: hostID(2), Session: 1, Seq: 2, Capacity: &Resources{CPU: 600, Memory: 8192}})
		r := w.do(PlaceTasks{Shares: []AssignTasks{share(2, "web-1", "web-2"), share(2, "web-3")}})
		if r.Err != nil || len(r.Refused) != 1 || !errors.Is(r.Refused[0].Err, ErrDoesNotFit) {
			t.Errorf("result %+v", r)
		}
	})
	t.Run("is refused as a whole, with the first reason, when no share is taken", func(t *testing.T) {
		w := ready(t)
		w.must(CordonHost{Host: hostID(2)})
		w.refused(PlaceTasks{Shares: []AssignTasks{share(2, "web-1"), share(1, "nope")}}, ErrNotPlaceable, "cordoned")
		w.refused(PlaceTasks{}, ErrInvalid, "tasks")
		w.refused(PlaceTasks{Shares: []AssignTasks{share(1), share(1, make([]TaskID, MaxRun+1)...)}}, ErrInvalid, "tasks")
	})
	t.Run("carries one definition only", func(t *testing.T) {
		w := ready(t)
		w.service("db", 1)
		w.create("db", 1, 1)
		r := w.do(PlaceTasks{Shares: []AssignTasks{share(1, "web-1"), share(2, "db-1")}})
		if len(r.Refused) != 1 || !errors.Is(r.Refused[0].Err, ErrInvalid) || w.task("db-1").Host != "" {
			t.Errorf("result %+v", r)
		}
	})
}
