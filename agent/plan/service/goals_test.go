package service_test

import (
	"strings"
	"testing"

	"skein/agent/plan/plantest"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

// Goals are put once after each change of a service, before what they allow, and
// never again while they stand.
func TestGoalsAreThoseOfTheServicesOwnNumbers(t *testing.T) {
	do := func(c fleet.Command) func(*plantest.World) { return func(w *plantest.World) { w.Do(c) } }
	scale := func(n int) func(*plantest.World) { return do(fleet.ScaleService{Name: "web", Desired: n}) }
	put := func(change func(*fleet.PutService)) func(*plantest.World) {
		return func(w *plantest.World) {
			v := w.State.Service("web")
			c := fleet.PutService{Name: v.Name, ExpectedModifyIndex: v.ModifyIndex, TaskDef: w.State.LatestTaskDef(v.Name).ID,
				Desired: v.Desired, MinPercent: v.MinPercent, MaxPercent: v.MaxPercent}
			change(&c)
			w.Do(c)
		}
	}
	tests := map[string]struct {
		given  string
		change func(w *plantest.World)
		want   string // what the plan begins with
	}{
		"they stand: nothing is said of them": {
			given: "web desired=2; h1: web/1", change: func(*plantest.World) {},
			want: "create web/1 x1",
		},
		"scaled out": {
			given: "web desired=2; h1: web/1 x2", change: scale(4),
			want: "goals web max 8: web/1 x4 max 8; create web/1 x2",
		},
		"scaled in": {
			given: "web desired=2; h1: web/1 x2", change: scale(1),
			want: "goals web max 2: web/1 x1 max 2; stop web-2 (scale-in)",
		},
		"scaled to none": {
			given: "web desired=1; h1: web/1", change: scale(0),
			want: "goals web max 0: web/1 x0 max 0; stop web-1 (scale-in)",
		},
		"another revision": {
			given: "web desired=2; h1: web/1 x2", change: put(func(c *fleet.PutService) { c.Force = true }),
			want: "goals web max 4: web/2 x2 max 4; create web/2 x2",
		},
		"another maximum, and the service stays steady": {
			given: "web desired=2; h1: web/1 x2", change: put(func(c *fleet.PutService) { c.MaxPercent = 150 }),
			want: "goals web max 3: web/1 x2 max 3",
		},
		"deleted: it gets none": {
			given: "web desired=2; h1: web/1 x2", change: do(fleet.DeleteService{Name: "web", Force: true}),
			want: "stop web-1 web-2 (scale-in): service web was deleted",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := plantest.Parse(t, tt.given)
			tt.change(w)
			p := service.Next(w.Input())
			if got := plantest.Text(p); !strings.HasPrefix(got, tt.want) {
				t.Fatalf("given %s\n got: %s\nwant: %s", tt.given, got, tt.want)
			}
			w.Apply(p.Items...) // in one entry, as the loop proposes them
			if again := plantest.Text(service.Next(w.Input())); strings.Contains(again, "goals") {
				t.Errorf("given %s: goals are put again: %s", tt.given, again)
			}
		})
	}
}
