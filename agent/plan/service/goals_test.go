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

// What another planner wants of a service is done and kept to while its goals stand.
func TestGoalsOfAnotherPlannerAreFollowed(t *testing.T) {
	goal := func(revision fleet.RevisionID, desired, most int) fleet.RevisionGoal {
		return fleet.RevisionGoal{Revision: revision, Desired: desired, Max: most}
	}
	noRoom := func(n string) string {
		return "the bound of deploy (" + n + " tasks) leaves no room to start its replacement first; "
	}
	const starting = "wait service:web not-steady: tasks of web/2 are starting or being replaced"
	tests := map[string]struct {
		given string
		most  int
		goals []fleet.RevisionGoal
		want  string
	}{
		"two revisions side by side, each led to its count": {
			given: "web desired=4 rev=2; h1: web/1 x3", most: 6,
			goals: []fleet.RevisionGoal{goal("web/1", 4, 4), goal("web/2", 2, 2)},
			want:  "create web/1 x1; create web/2 x2; " + starting,
		},
		"both are as they should be: nothing is surplus, and nobody says steady": {
			given: "web desired=4 rev=2; h1: web/1 x4; h2: web/2 x2", most: 6,
			goals: []fleet.RevisionGoal{goal("web/1", 4, 4), goal("web/2", 2, 2)},
			want:  "nothing",
		},
		"what serves nobody stops at once, though nothing takes its place": {
			given: "leader format=2; web desired=2 rev=2; h1 reads=2: web/1 x2", most: 2,
			goals: []fleet.RevisionGoal{{Revision: "web/1", Held: true, Idle: true}, goal("web/2", 2, 2)},
			want:  "stop web-1 web-2 (rollout): replaced by revision web/2; create web/2 x2; " + starting,
		},
		"where room is short the earlier revision has it": {
			given: "web desired=4 rev=2; h1: web/1 x3", most: 5,
			goals: []fleet.RevisionGoal{goal("web/1", 4, 4), goal("web/2", 1, 2)},
			want:  "create web/1 x1; create web/2 x1; " + starting,
		},
		"fewer of one revision are surplus of it alone": {
			given: "web desired=4 rev=2; h1: web/1 x4; h2: web/2 x2", most: 6,
			goals: []fleet.RevisionGoal{goal("web/1", 3, 4), goal("web/2", 2, 2)},
			want:  "stop web-4 (scale-in): surplus: 3 tasks of web/1 are wanted; " + starting,
		},
		"a revision that is to have none goes, within the minimum": {
			given: "web desired=2 rev=2; h1: web/1 x2; h2: web/2", most: 4,
			goals: []fleet.RevisionGoal{goal("web/1", 0, 0), goal("web/2", 2, 4)},
			want:  "stop web-2 (scale-in): surplus: 0 tasks of web/1 are wanted; create web/2 x1; " + starting,
		},
		"one that is not named goes as others take its place": {
			given: "web desired=2 rev=2; h1: web/1 x2; h2: web/2", most: 4,
			goals: []fleet.RevisionGoal{goal("web/2", 2, 4)},
			want:  "stop web-2 (rollout): replaced by revision web/2; create web/2 x1; " + starting,
		},
		"an unhealthy task at the bound of its revision stops first, within the minimum": {
			given: "web desired=2 min=50 rev=2 check; h1: web/1 healthy x2; h2: web/2 unhealthy", most: 4,
			goals: []fleet.RevisionGoal{goal("web/1", 2, 2), goal("web/2", 1, 1)},
			want: "stop web-3 (task-failed): unhealthy; " + noRoom("4") +
				"create web/2 x1; " + starting,
		},
		"a task that must move: its replacement starts beyond what is desired, and stops nothing": {
			given: "web desired=2 max=150 rev=2; h1: web/2 replace=drain; h2: web/2", most: 3,
			goals: []fleet.RevisionGoal{goal("web/2", 2, 3)},
			want:  "create web/2 x1; " + starting,
		},
		"while its replacement comes, no surplus is seen": {
			given: "web desired=2 max=150 rev=2; h1: web/2 replace=drain; h2: web/2, web/2 pending", most: 3,
			goals: []fleet.RevisionGoal{goal("web/2", 2, 3)}, want: starting,
		},
		"when its replacement is healthy it goes, and nothing else": {
			given: "web desired=2 max=150 rev=2; h1: web/2 replace=drain; h2: web/2 x2", most: 3,
			goals: []fleet.RevisionGoal{goal("web/2", 2, 3)},
			want:  "stop web-1 (drain): replaced by another task (drain); " + starting,
		},
		"where the bound lets no more run, it stops first within the minimum": {
			given: "web desired=2 min=50 max=150 rev=2; h1: web/2 replace=drain; h2: web/2", most: 2,
			goals: []fleet.RevisionGoal{goal("web/2", 2, 2)},
			want: "stop web-1 (drain): makes way for another task (drain): " + noRoom("2") +
				"create web/2 x1; " + starting,
		},
		"what is left of others goes before a task that must move, and that one stays while it has no replacement": {
			given: "web desired=2 rev=3; h1: web/1, web/1 replace=drain; h2: web/2 x2", most: 5,
			goals: []fleet.RevisionGoal{goal("web/1", 2, 3)},
			want: "stop web-3 web-4 (rollout): replaced by revision web/3; create web/1 x1; " +
				"wait service:web not-steady: tasks of web/3 are starting or being replaced",
		},
		"of two revisions none loses a task that must move to the replacement of the other's": {
			given: "web desired=2 rev=2; h1: web/1, web/1 replace=drain, web/2 replace=drain; h2: web/2 x2", most: 6,
			goals: []fleet.RevisionGoal{goal("web/1", 2, 3), goal("web/2", 2, 3)},
			want:  "stop web-3 (drain): replaced by another task (drain); create web/1 x1; " + starting,
		},
		"of two revisions at their bounds none stops a task that must move first": {
			given: "web desired=2 min=50 rev=2; h1: web/1, web/1 replace=drain; h2: web/2 x2", most: 4,
			goals: []fleet.RevisionGoal{goal("web/1", 2, 2), goal("web/2", 2, 2)},
			want: "wait service:web stuck-by-configuration: unable to start or stop tasks: " +
				"the bound of deploy (4 tasks) allows no more, minimumHealthyPercent 50 keeps 1; lower minimumHealthyPercent",
		},
		"where neither is allowed it says who bounds it": {
			given: "web desired=2 rev=2; h1: web/2 replace=drain; h2: web/2", most: 2,
			goals: []fleet.RevisionGoal{goal("web/2", 2, 2)},
			want: "wait service:web stuck-by-configuration: unable to start or stop tasks: " +
				"the bound of deploy (2 tasks) allows no more, minimumHealthyPercent 100 keeps 2; lower minimumHealthyPercent",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := plantest.Parse(t, tt.given)
			v := w.State.Service("web")
			w.Apply(fleet.Item{By: "deploy", Command: fleet.PutGoals{
				Service: "web", ServiceModifyIndex: v.ModifyIndex, Max: tt.most, Revisions: tt.goals,
			}})
			p := service.Next(w.Input())
			if got := plantest.Text(p); got != tt.want {
				t.Errorf("given %s\n got: %s\nwant: %s", tt.given, got, tt.want)
			}
			w.Apply(p.Items...)
			if g := w.State.Goals("web"); g == nil || g.By != "deploy" {
				t.Errorf("goals %+v", g)
			}
		})
	}
}

// A change of the service ends the other planner's goals, and the planner of services
// takes over unless that other one has put new ones.
func TestGoalsOfAnotherPlannerEndWithTheService(t *testing.T) {
	w := plantest.Parse(t, "web desired=2; h1: web/1 x2")
	v := w.State.Service("web")
	w.Apply(fleet.Item{By: "deploy", Command: fleet.PutGoals{
		Service: "web", ServiceModifyIndex: v.ModifyIndex, Max: 2,
		Revisions: []fleet.RevisionGoal{{Revision: "web/1", Desired: 1, Max: 2}},
	}})
	w.Do(fleet.ScaleService{Name: "web", Desired: 3})
	want := "goals web max 6: web/1 x3 max 6; create web/1 x1"
	if got := plantest.Text(service.Next(w.Input())); !strings.HasPrefix(got, want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
