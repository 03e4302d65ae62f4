package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestReceipts(t *testing.T) {
	body := func(n byte) *Receipt { return &Receipt{Token: "retry-1", BodyHash: append(blob(31), n)} }
	register := func(r *Receipt) Item { return Item{Command: RegisterTaskDef{Family: "web", Def: webDef()}, Receipt: r} }
	t.Run("the same write again gets the first answer and changes nothing", func(t *testing.T) {
		w := fleetOf(t, 1)
		first := w.item(register(body(1)))
		before := w.fingerprint()
		again := w.item(register(body(1)))
		if again.Err != nil || !slices.Equal(first.IDs, again.IDs) || !slices.Equal(before, w.fingerprint()) {
			t.Errorf("first %v, again %v", first, again)
		}
	})
	t.Run("another write with the same token is refused", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.item(register(body(1)))
		if res := w.item(register(body(2))); res.Err == nil || !strings.Contains(res.Err.Error(), ErrReceiptReused.Error()) {
			t.Errorf("got %v", res.Err)
		}
	})
	t.Run("a refused write leaves no receipt", func(t *testing.T) {
		w := fleetOf(t, 1)
		bad := Item{Command: ScaleService{Name: "web", Desired: 2}, Receipt: body(1)}
		w.item(bad)
		w.service("web", 1)
		if res := w.item(bad); res.Err != nil || w.Service("web").Desired != 2 {
			t.Errorf("got %v", res.Err)
		}
	})
	t.Run("they are kept for 24 hours", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.item(register(body(1)))
		w.wait(ReceiptKept.Milliseconds() - 1)
		w.must(CordonHost{Host: hostID(1)})
		if w.Receipt("retry-1") == nil {
			t.Error("gone too early")
		}
		w.wait(1)
		if res := w.item(register(body(2))); res.Err != nil || res.IDs[0] != "web:2" || w.Receipt("retry-1").At != w.at {
			t.Errorf("got %v", res)
		}
		w.checked()
	})
	t.Run("past the limit the oldest goes", func(t *testing.T) {
		w := fleetOf(t, 1)
		for i := range MaxReceipts + 3 {
			w.Apply(w.Index()+1,
				Entry{At: w.at + Time(i),
					Items: []Item{{Command: UncordonHost{Host: hostID(1)}, Receipt: &Receipt{fmt.Sprint("t", i), blob(32)}}}})
		}
		if w.receipts.Len() != MaxReceipts || w.Receipt("t2") != nil || w.Receipt("t3") == nil {
			t.Errorf("%d kept", w.receipts.Len())
		}
		w.checked()
	})
	for name, r := range map[string]*Receipt{
		"an empty token is refused":      {"", blob(32)},
		"a long token is refused":        {strings.Repeat("x", 65), blob(32)},
		"a token with space is refused":  {"a b", blob(32)},
		"a hash that is none is refused": {"a", blob(3)},
	} {
		t.Run(name, func(t *testing.T) {
			w := fleetOf(t, 1)
			if res := w.item(register(r)); res.Err == nil || w.LatestTaskDef("web") != nil {
				t.Errorf("got %v", res)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	t.Run("carry who asked and why", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.item(Item{Command: CordonHost{Host: hostID(1)}, By: "patch", Reason: "image is 21 days old"})
		if e := w.lastEvent(); e.By != "patch" || e.Message != "image is 21 days old" || e.Index != w.Index() ||
			e.At != w.at || !w.outcome.ChangeSet.Any(SubjectEvents) {
			t.Errorf("decision %+v", e)
		}
	})
	t.Run("are a ring bounded in number", func(t *testing.T) {
		w := fleetOf(t, 1)
		for range MaxEvents {
			w.flip("x")
		}
		if w.events.Len() != MaxEvents || w.LastEvent() <= MaxEvents {
			t.Errorf("%d kept, last %d", w.events.Len(), w.LastEvent())
		}
		w.checked()
	})
	t.Run("are a ring bounded in bytes", func(t *testing.T) {
		w := fleetOf(t, 1)
		for range MaxEvents {
			w.flip(strings.Repeat("x", 10_000))
		}
		if w.eventMemory > MaxEventMemory || w.events.Len() >= MaxEvents || w.events.Len() < 1000 {
			t.Errorf("%d kept, %d bytes", w.events.Len(), w.eventMemory)
		}
		w.checked()
	})
	t.Run("are read from any point on", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.flip("x")
		var seqs []uint64
		for e := range w.EventsAfter(w.LastEvent() - 2) {
			seqs = append(seqs, e.Seq)
		}
		if !slices.Equal(seqs, []uint64{w.LastEvent() - 1, w.LastEvent()}) {
			t.Errorf("seqs %v", seqs)
		}
		for range w.EventsAfter(1<<64 - 1) {
			t.Error("there is something after the end")
		}
	})
}

// flip records a decision or two.
func (w *world) flip(reason string) {
	w.Apply(w.Index()+1, Entry{At: w.at, Items: []Item{
		{Command: CordonHost{Host: hostID(1)}, Reason: reason}, {Command: UncordonHost{Host: hostID(1)}, Reason: reason},
	}})
}
