package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEventsOfAServiceSurviveABusyFleet(t *testing.T) {
	seqs := func(w *world, name string, after uint64) (all []uint64) {
		for e := range w.EventsOfService(name, after) {
			all = append(all, e.Seq)
		}
		return all
	}
	apply := func(w *world, items ...Item) {
		for _, r := range w.Apply(w.Index()+1, Entry{At: w.at, Items: items}).Results {
			if r.Err != nil {
				w.t.Fatal(r.Err)
			}
		}
	}
	// flood makes n events about the host h1.
	flood := func(w *world, n int) {
		var items []Item
		for range n / 2 {
			items = append(items, Item{Command: CordonHost{Host: hostID(1)}}, Item{Command: UncordonHost{Host: hostID(1)}})
		}
		apply(w, items...)
	}
	say := func(w *world, service, message string) {
		apply(w, Item{By: "service", Command: PutCondition{Subject: ServiceSubject(service), Code: "x", Message: message}},
			Item{By: "service", Command: PutCondition{Subject: ServiceSubject(service)}})
	}
	t.Run("the last ones are kept when the ring of the fleet has others", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 1)
		w.service("db", 1)
		for i := range MaxServiceEvents + 5 {
			say(w, "web", fmt.Sprint("event ", i))
		}
		before := seqs(w, "web", 0)
		if len(before) < MaxServiceEvents+5 {
			t.Errorf("%d events, though the ring of the fleet has all", len(before))
		}
		flood(w, MaxEvents+10)
		after := seqs(w, "web", 0)
		if want := before[len(before)-MaxServiceEvents:]; !slices.Equal(after, want) {
			t.Errorf("kept %v, want %v", after, want)
		}
		if got := seqs(w, "web", after[3]); !slices.Equal(got, after[4:]) {
			t.Errorf("after %d: %v, want %v", after[3], got, after[4:])
		}
		if got := seqs(w, "db", 0); len(got) != 1 {
			t.Errorf("of the other service: %v", got)
		}
		say(w, "web", "newest")
		if got := seqs(w, "web", 0); len(got) != MaxServiceEvents || !slices.IsSorted(got) ||
			got[len(got)-1] != w.LastEvent() {
			t.Errorf("with a new one: %v, the newest is %d", got, w.LastEvent())
		}
		w.checked()
	})
	t.Run("large ones push out more", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 1)
		for range MaxServiceEvents {
			say(w, "web", strings.Repeat("x", maxMessage))
		}
		flood(w, MaxEvents+10)
		if got := len(seqs(w, "web", 0)); got == 0 || got > MaxServiceEventBytes/maxMessage {
			t.Errorf("%d events of %d bytes are kept", got, maxMessage)
		}
		w.checked()
	})
	t.Run("all services together stay within a bound, and the oldest go", func(t *testing.T) {
		w := fleetOf(t, 1)
		message := strings.Repeat("x", maxMessage)
		services := MaxServiceEventMemory/MaxServiceEventBytes + 500
		apply(w, Item{Command: RegisterTaskDef{Family: "def", Def: webDef()}})
		for i := range services {
			name := fmt.Sprintf("s-%05d", i)
			apply(w, Item{Command: PutService{Name: name, TaskDef: "def:1", MinPercent: 100, MaxPercent: 200}})
			for range 6 {
				say(w, name, message)
			}
		}
		flood(w, MaxEvents+10)
		first, last := seqs(w, "s-00000", 0), seqs(w, fmt.Sprintf("s-%05d", services-1), 0)
		if w.serviceEventMemory > MaxServiceEventMemory || len(first) != 0 || len(last) == 0 {
			t.Errorf("%d bytes, %d of the first service, %d of the last", w.serviceEventMemory, len(first), len(last))
		}
		w.checked()
	})
	t.Run("they go with the name of a removed service", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 0)
		w.must(DeleteService{Name: "web"})
		if w.Service("web") != nil {
			t.Fatal("the service is still there")
		}
		flood(w, MaxEvents+10)
		if len(seqs(w, "web", 0)) == 0 {
			t.Error("nothing is kept of a service just removed")
		}
		w.wait(2 * time.Hour.Milliseconds())
		w.must(Prune{Before: w.at.Add(-PruneKept)})
		if got := seqs(w, "web", 0); len(got) != 0 || w.serviceEvents.Len() != 0 {
			t.Errorf("left of a name that is forgotten: %v", got)
		}
		w.checked()
	})
}
