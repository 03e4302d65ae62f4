package placement_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"skein/agent/plan"
	"skein/agent/plan/placement"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "pack the fleet of this seed only")
	seedsFlag = flag.Uint64("seeds", 3000, "how many random fleets to pack")
)

// mixed writes a fleet of up to 4 hosts in up to 3 zones, some full in part, some
// shut, and up to 3 classes that wait. The text holds what the seed decides.
func mixed(r *rand.Rand) string {
	var text strings.Builder
	names := []string{"s0", "s1", "s2"}[:1+r.IntN(3)]
	pending := map[string]string{}
	for i, name := range names {
		words := fmt.Sprintf("cpu=%d mem=%d", 100*r.IntN(6), 100*(1+r.IntN(5)))
		if r.IntN(4) == 0 {
			words += fmt.Sprintf(" port=%d", 80+r.IntN(2))
		} else if r.IntN(4) == 0 {
			words += " dynamic"
		}
		if i == 2 && r.IntN(2) == 0 {
			fmt.Fprintf(&text, "def %s %s\n", name, words)
			pending[name] = name
			continue
		}
		fmt.Fprintf(&text, "%s desired=9 %s\n", name, words)
		pending[name] = fmt.Sprintf("%s/%d", name, 1+r.IntN(2))
	}
	zones, held := 1+r.IntN(3), 0
	for i := range 1 + r.IntN(4) {
		cpu, mem := r.IntN(9), 1+r.IntN(9)
		life := []string{"", "", "", "", "", " cordoned", " silent", " seen=suspect"}[r.IntN(8)]
		fmt.Fprintf(&text, "h%d zone=%c cpu=%d mem=%d%s:", i, 'a'+rune(r.IntN(zones)), 100*cpu+700, 100*mem+700, life)
		if r.IntN(2) == 0 { // a task of a service that waits too: 700 holds any one
			fmt.Fprintf(&text, " s0/%d,", 1+r.IntN(2))
			fmt.Fprintf(&text, " f%d/1\nf%d desired=1 cpu=100 mem=%d", held, held, 100*(1+r.IntN(2)))
		} else {
			fmt.Fprintf(&text, " f%d/1\nf%d desired=1 cpu=%d mem=%d", held, held, 100*r.IntN(8), 100*(1+r.IntN(7)))
		}
		held++
		text.WriteString("\n")
	}
	for _, name := range names {
		fmt.Fprintf(&text, "unassigned: %s x%d\n", pending[name], 1+r.IntN(4))
	}
	return text.String()
}

// Several classes: as many tasks are placed as any arrangement places, and of
// those that place as many none has the zones of services more even in sum.
func TestSeveralClassesArePackedAsWellAsBruteForceCan(t *testing.T) {
	from, to := uint64(1), *seedsFlag
	if *seedFlag > 0 {
		from, to = *seedFlag, *seedFlag
	}
	for seed := from; seed <= to; seed++ {
		text := mixed(rand.New(rand.NewPCG(seed, 5)))
		w := plantest.Parse(t, text)
		p := readPacking(w)
		want := p.brute()
		got := p.carryOut(w)
		if got.placed != want.placed || got.uneven != want.uneven {
			t.Fatalf("%splaced %d, possible are %d; zones differ by %d in sum, possible is %d\nagain with -seed=%d",
				text, got.placed, want.placed, got.uneven, want.uneven, seed)
		}
	}
}

// carryOut applies the planner's plan (State refuses what does not fit) and
// tells what it came to.
func (p *packing) carryOut(w *plantest.World) answer {
	n := p.nothing()
	placed := 0
	for _, item := range placement.Next(w.Input()).Items {
		if run, ok := item.Command.(fleet.PlaceTasks); ok {
			for _, c := range run.Shares {
				n[p.byKey[keyOf(w.State.Task(c.Tasks[0]))]][p.byHost[c.Host]] += len(c.Tasks)
				placed += len(c.Tasks)
			}
		}
		w.Apply(item)
	}
	return answer{placed, p.unevenSum(n)}
}

// Classes that compete are placed by an incremental pass as by a full one,
// though the full one looks at what fits nowhere too.
func TestAnIncrementalPassPacksAsAFullOne(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 6))
		text := mixed(r)
		w := plantest.Parse(t, text)
		w.Apply(placement.Next(w.Input()).Items...)
		for step := range 4 {
			in := w.Input()
			in.Scope = plan.Scope{}
			for _, name := range []string{"s0", "s1", "s2"} {
				if r.IntN(3) > 0 {
					grow(w, r, name, &in.Scope)
				}
			}
			got, full := placement.Next(in), placement.Next(w.Input())
			if a, b := plantest.Text(withoutConditions(w, got)), plantest.Text(withoutConditions(w, full)); a != b {
				t.Fatalf("seed %d, step %d, scope %+v\n%sincremental: %s\n       full: %s", seed, step, in.Scope, text, a, b)
			}
			w.Apply(got.Items...)
			if again := placement.Next(w.Input()); len(again.Items) > 0 {
				t.Fatalf("seed %d, step %d\n%sa second pass wants %s", seed, step, text, plantest.Text(again))
			}
		}
	}
}

// A full pass sees a hundred classes that fit nowhere and an incremental one
// does not: both still find room for two that compete.
func TestClassesThatFitNowhereDoNotEndTheSearch(t *testing.T) {
	var text strings.Builder
	text.WriteString("y desired=1 cpu=500; z desired=1 cpu=1000; h1 cpu=1000:; h2 cpu=600:; unassigned: y/1, z/1\n")
	for i := range 100 + placement.MaxSearchCells {
		fmt.Fprintf(&text, "s%03d desired=1 cpu=2000; unassigned: s%03d/1\n", i, i)
	}
	in := plantest.Parse(t, text.String()).Input()
	full := plantest.Text(placement.Next(in))
	in.Scope = plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.ServiceSubject("y"), fleet.ServiceSubject("z"))}
	got, want := plantest.Text(placement.Next(in)), "place y-1 on h2; place z-1 on h1"
	if got != want || !strings.HasPrefix(full, want) {
		t.Errorf("want %s\nincremental: %s\n       full: %.100s", want, got, full)
	}
}

// grow asks for more tasks of a service or definition.
func grow(w *plantest.World, r *rand.Rand, name string, scope *plan.Scope) {
	var c fleet.Command
	ids := []fleet.TaskID{w.NewID(), w.NewID()}[:1+r.IntN(2)]
	if v := w.State.Service(name); v != nil {
		if n := w.State.Counts(name, ""); n.Pending+n.Running+len(ids) > v.MaxRunning() {
			return
		}
		c = fleet.CreateTasks{Revision: v.Revision, Tasks: ids}
		scope.Add(fleet.ServiceSubject(name))
	} else if def := w.State.LatestTaskDef(name); def != nil {
		c = fleet.RunTasks{TaskDef: def.ID, Tasks: ids}
		for _, id := range ids {
			scope.Add(fleet.TaskSubject(id))
		}
	} else {
		return
	}
	w.Apply(fleet.Item{Command: c})
}

// withoutConditions is a plan without new numbers of waits that stand, which an incremental
// pass may leave to a full one.
func withoutConditions(w *plantest.World, p plan.Plan) plan.Plan {
	p.Items = slices.DeleteFunc(slices.Clone(p.Items), func(item fleet.Item) bool {
		c, ok := item.Command.(fleet.PutCondition)
		row := w.State.Condition(c.Subject, placement.By)
		return ok && row != nil && row.Code == c.Code
	})
	return p
}
