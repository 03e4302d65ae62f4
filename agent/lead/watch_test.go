package lead

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// watcher is a planner that watches groups.
type watcher struct {
	groups []fleet.TargetGroupName
	ins    []plan.Input
}

func (p *watcher) next(in plan.Input) plan.Plan {
	p.ins = append(p.ins, in)
	return plan.Plan{Watch: p.groups}
}

func newWatchers(t *testing.T) (w *world, a, b *watcher) {
	a, b = &watcher{}, &watcher{}
	return newWorld(t, 3, Planner{"a", a.next}, Planner{"b", b.next}), a, b
}

func TestWhatPlannersWatchIsToldWhenItChanges(t *testing.T) {
	w, a, b := newWatchers(t)
	type groups = []fleet.TargetGroupName
	var want []groups
	step := func(why string, ofA, ofB groups, tells bool, now groups) {
		t.Helper()
		a.groups, b.groups = ofA, ofB
		w.apply(fleet.CordonHost{Host: "h1"}, fleet.UncordonHost{Host: "h1"})
		w.advance(GatherMost)
		if tells {
			want = append(want, now)
		}
		if !reflect.DeepEqual(w.watches, want) {
			t.Fatalf("%s: got %v, want %v", why, w.watches, want)
		}
	}
	w.lead()
	step("nobody watches", nil, nil, false, nil)
	step("two watch", groups{"z", "x"}, groups{"x", "y"}, true, groups{"x", "y", "z"})
	step("the same in another order", groups{"y", "z"}, groups{"x"}, false, nil)
	step("one no more", groups{"x"}, nil, true, groups{"x"})
	w.step(LostLeadership{})
	if want = append(want, nil); !reflect.DeepEqual(w.watches, want) {
		t.Fatalf("after the term: got %v, want %v", w.watches, want)
	}
	w.lead()
	step("in the next term", groups{"x"}, nil, true, groups{"x"})
	var many groups
	for i := range plan.MaxWatched + 1 {
		many = append(many, fleet.TargetGroupName(fmt.Sprintf("g%04d", i)))
	}
	step("more than can be", groups{"z"}, many, true, many[:plan.MaxWatched])
}

func TestEachViewIsPlannedOnWhileSomethingIsWatched(t *testing.T) {
	w, a, _ := newWatchers(t)
	w.lead()
	w.advance(time.Second)
	passes := func() int {
		w.t.Helper()
		before := len(a.ins)
		w.step(LivenessChanged{Liveness: w.livenessOfAll(), Traffic: plan.Traffic{At: 7}})
		w.advance(time.Second)
		return len(a.ins) - before
	}
	if got := passes(); got != 0 {
		t.Errorf("%d passes though nothing is watched and nothing changed", got)
	}
	a.groups = []fleet.TargetGroupName{"web"}
	w.apply(fleet.CordonHost{Host: "h1"})
	w.advance(GatherMost)
	if got := passes(); got != 1 {
		t.Errorf("%d passes after a view, want 1", got)
	}
	if got := a.ins[len(a.ins)-1].Traffic; got.At != 7 || got.Taken <= 0 || got.Taken > GatherMost {
		t.Errorf("the planner was given %+v", got)
	}
}
