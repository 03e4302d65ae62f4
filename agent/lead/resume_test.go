package lead

import (
	"fmt"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/plan/placement"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

// backlog is a world of n services with a task each, none of which is started, under
// the given planners.
func backlog(t *testing.T, n int, planners ...Planner) *world {
	t.Helper()
	w := newWorld(t, 3, planners...)
	c := fleet.Container{Name: "app", Image: "x", CPU: 1, MemoryReservation: 4, StopTimeoutS: 30}
	w.do(fleet.RegisterTaskDef{Family: "app",
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{c}}})
	var commands []fleet.Command
	for i := range n {
		commands = append(commands, fleet.PutService{Name: fmt.Sprintf("s%05d", i), TaskDef: "app:1", Desired: 1,
			MinPercent: 100, MaxPercent: 200})
	}
	w.do(commands...)
	return w
}

// A full pass that its bound cuts goes on where it ended: a service is visited when
// its turn comes and when its own rows change, however many others there are.
func TestABacklogVisitsEachServiceAFewTimes(t *testing.T) {
	visits := func(n int) float64 {
		w := backlog(t, n, Planner{service.By, service.Next})
		w.lead()
		w.advance(5 * time.Second)
		if got := w.s.TaskCount(); got != n {
			t.Fatalf("%d tasks of %d", got, n)
		}
		return float64(w.loop.Stats().Visited) / float64(n)
	}
	few, many := visits(500), visits(5_000)
	if few > 3 || many > 3 {
		t.Errorf("a service of 500 is visited %.1f times, one of 5,000 %.1f times", few, many)
	}
}

// What passes that were cut leave is what a full pass that was not would leave.
func TestPassesThatWereCutLeaveNothingOut(t *testing.T) {
	for _, full := range []bool{true, false} {
		t.Run(fmt.Sprint("full: ", full), func(t *testing.T) {
			w := backlog(t, 0)
			if !full {
				w.lead()
			}
			w.loop.stats = Stats{FoldRefused: map[string]uint64{}}
			var commands []fleet.Command
			for i := range 3_000 {
				commands = append(commands, fleet.PutService{Name: fmt.Sprintf("s%05d", i), TaskDef: "app:1", Desired: 1,
					MinPercent: 100, MaxPercent: 200})
			}
			w.do(commands...)
			if full {
				w.lead()
			}
			w.advance(10 * time.Second)
			if got := w.loop.Stats().FullPasses; full && got != 1 || !full && got != 0 {
				t.Errorf("%d full passes", got)
			}
			in := plan.Input{State: w.s.Clone(), Liveness: w.livenessOfAll(), Now: w.now.Wall, NewID: w.newID,
				Scope: plan.Scope{Full: true}}
			for by, p := range map[string]plan.Plan{service.By: service.Next(in), placement.By: new(placement.Index).Next(in)} {
				if len(p.Items) > 0 {
					t.Errorf("%s has %d commands more to say, the first: %+v", by, len(p.Items), p.Items[0])
				}
			}
			if got := w.s.Counts("s02999", "").Total; got != 1 {
				t.Errorf("the last service has %d tasks", got)
			}
		})
	}
}

// What is touched behind the place where a full pass goes on is visited too.
func TestAResumedFullPassVisitsWhatChangesBehindIt(t *testing.T) {
	w := backlog(t, 3_000, Planner{service.By, service.Next})
	w.mute = true
	w.lead()
	if w.held == nil {
		t.Fatal("nothing is proposed")
	}
	p := *w.held
	w.held, w.mute = nil, false
	w.do(fleet.ScaleService{Name: "s00000", Desired: 2})
	w.step(w.propose(p)...)
	w.advance(5 * time.Second)
	if got := w.s.Counts("s00000", "").Total; got != 2 {
		t.Errorf("%d tasks of 2", got)
	}
}

// A planner whose commands go into no entry, as the ones before it fill all, is
// asked again in its scope, and those before it are not.
func TestAPlannerThatIsCrowdedOutIsAskedAgain(t *testing.T) {
	def := fleet.TaskDef{NetworkMode: fleet.NetworkBridge,
		Containers: []fleet.Container{{Name: "app", Image: "x", CPU: 1, MemoryReservation: 4}}}
	register := func(name string) fleet.Item {
		return fleet.Item{By: name, Command: fleet.RegisterTaskDef{Family: name, Def: def}}
	}
	var asked [2]int // in a full scope
	w := newWorld(t, 1,
		Planner{"first", func(in plan.Input) (p plan.Plan) {
			if in.Scope.Full {
				asked[0]++
				for i := range MaxEntries * MaxEntryItems {
					p.Add(register(fmt.Sprint("f", i)))
				}
			}
			return p
		}},
		Planner{"second", func(in plan.Input) (p plan.Plan) {
			if in.Scope.Full {
				asked[1]++
				p.Add(register("last"))
			}
			return p
		}})
	w.lead()
	w.advance(time.Second)
	if w.s.LatestTaskDef("last") == nil || asked != [2]int{1, 2} {
		t.Errorf("asked %v times, of the last there is %v", asked, w.s.LatestTaskDef("last"))
	}
}
