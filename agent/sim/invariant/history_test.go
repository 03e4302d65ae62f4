package invariant

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run the random history of this seed only")
	seedsFlag = flag.Uint64("seeds", 12, "how many random histories to run")
)

// fail ends a task of a host by itself.
func (f *fleetOf) fail(id fleet.HostID) {
	f.t.Helper()
	state := f.s.Host(id).State
	if f.dead[id] || state != fleet.HostReady && state != fleet.HostSilent {
		return
	}
	for t := range f.s.HeldBy(id) {
		if t.Last == fleet.TaskRunning && t.Session >= f.s.Host(id).BootSession && f.r.IntN(2) == 0 {
			f.c.ContainerEnded(f.machine(id), t.ID, "app", Itself)
			f.reports(id,
				[]fleet.TaskReport{{Task: t.ID, Status: fleet.TaskStopped, Attempt: 1,
					StopCode: fleet.StopEssentialContainerExited}})
			return
		}
	}
}

func (f *fleetOf) happen() {
	f.t.Helper()
	id := f.hosts[f.r.IntN(len(f.hosts))]
	name := []string{"api", "job", "web"}[f.r.IntN(3)]
	switch f.r.IntN(16) {
	case 0, 1, 2, 3:
		f.obey(id, 0.7)
	case 4:
		f.fail(id)
	case 5, 6:
		f.advance([]time.Duration{time.Millisecond, 20 * time.Millisecond, time.Second, 15 * time.Second, 41 * time.Second,
			6 * time.Minute}[f.r.IntN(6)])
	case 7:
		f.die(id)
	case 8:
		f.revive(id)
	case 9:
		f.apply("operator", fleet.CordonHost{Host: id})
	case 10, 11:
		f.apply("operator", fleet.UncordonHost{Host: id})
	case 12:
		f.apply("operator", fleet.ScaleService{Name: name, Desired: f.r.IntN(9)})
	case 13:
		f.update(name)
	case 14:
		f.runAlone()
	case 15:
		f.resize(id)
	}
}

// runAlone is an operator's write, sometimes tried again.
func (f *fleetOf) runAlone() {
	f.t.Helper()
	token := fmt.Sprint("token-", f.r.IntN(40))
	item := fleet.Item{Command: fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{f.newID(), f.newID()}},
		By:      "operator",
		Receipt: &fleet.Receipt{Token: token, BodyHash: make([]byte, 32)}}
	applied, results := f.entryOf([]fleet.Item{item}, 0)
	f.c.Acked(Ack{Index: f.s.Index(), Token: token, IDs: results[0].IDs, What: "run"})
	f.step(applied)
}

func (f *fleetOf) update(name string) {
	f.t.Helper()
	old := f.s.Service(name)
	if old == nil {
		f.apply("operator", fleet.PutService{Name: name, TaskDef: "app:1", Desired: 3, MinPercent: 100, MaxPercent: 200})
		return
	}
	if f.r.IntN(8) == 0 {
		f.apply("operator", fleet.DeleteService{Name: name, Force: true})
		return
	}
	bounds := [][2]int{{100, 200}, {50, 100}, {100, 150}, {0, 100}, {100, 100}}[f.r.IntN(5)]
	f.apply("operator", fleet.PutService{Name: name, ExpectedModifyIndex: old.ModifyIndex,
		TaskDef: []fleet.TaskDefID{"app:1", "plain:1", "free:1"}[f.r.IntN(3)], Desired: old.Desired,
		MinPercent: bounds[0], MaxPercent: bounds[1], Force: f.r.IntN(2) == 0, GraceS: f.r.IntN(2) * 20})
}

func (f *fleetOf) resize(id fleet.HostID) {
	f.t.Helper()
	if state := f.s.Host(id).State; f.dead[id] || state != fleet.HostReady && state != fleet.HostSilent {
		return
	}
	f.seqs[id]++
	f.apply("host "+string(id), fleet.Report{Host: id, Session: f.s.Host(id).Session.N, Seq: f.seqs[id],
		Capacity: &fleet.Resources{CPU: 512 << f.r.IntN(3), Memory: 2048}})
}

// elsewhere are rules that these histories have no facts for.
var elsewhere = []rule{
	protectedStay, standaloneLast, lateContainersGo, oneVoteATerm, raftIDsAreNew, reportsAreSent, oneCopy, votersStay,
	surplusFromFullest, keysFollow,
	raisedWhenRead, votersRead, effectIntended, effectFenced, effectOnce, effectEndsOnce,
	oneLiveDeployment, backToGood, groupsApart, weightsRise, weightIsBorne, weightsAddUp, asWritten, servesShares,
	blueIsWhole, rollbackStartsNone, stagesFollow, hooksFirst, hooksOnce, endIsFinal,
	shiftIsServed, alarmsFirst, verdictsAreAnswers,
}

// Histories that the real planners make, with machines that do as they are told,
// break no rule, and State is what its commands say.
func TestLegalHistoriesBreakNothing(t *testing.T) {
	from, to := uint64(1), *seedsFlag
	if *seedFlag > 0 {
		from, to = *seedFlag, *seedFlag
	}
	var evaluated [rules]uint64
	defer func() {
		for r, n := range evaluated {
			if n == 0 && to-from > 10 && !slices.Contains(elsewhere, rule(r)) {
				t.Errorf("never evaluated: %s (%s)", book[r].words, book[r].name)
			}
			t.Logf("%8d x %s", n, book[r])
		}
	}()
	for seed := from; seed <= to; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			f := newFleet(t, rand.New(rand.NewPCG(seed, 11)), 5)
			f.apply("", fleet.RegisterTaskDef{Family: "free",
				Def: fleet.TaskDef{NetworkMode: fleet.NetworkNone,
					Containers: []fleet.Container{{Name: "app", Image: "x", CPU: 64, MemoryReservation: 64, StopTimeoutS: 30}}}})
			f.racing = seed%2 == 0
			for i := range 400 {
				f.happen()
				if i%20 == 0 {
					if err := f.c.Full(f.s); err != nil {
						t.Fatal(err)
					}
				}
				if len(f.broken) > 0 {
					t.Fatalf("again with -seed=%d: after %d: %s", seed, i, f.broken[0])
				}
			}
			f.rest()
			for i, n := range f.c.Counters() {
				evaluated[i] += n.Evaluated
			}
		})
	}
}

// rest ends a history: all hosts come back, no host fails, and all must be as
// desired.
func (f *fleetOf) rest() {
	f.t.Helper()
	for _, id := range f.hosts {
		f.revive(id)
		f.see(id, plan.LivenessAlive)
		f.apply("operator", fleet.UncordonHost{Host: id})
	}
	f.well, f.racing = true, false
	for range 80 {
		for _, id := range f.hosts {
			f.obey(id, 1)
		}
		f.advance(30 * time.Second)
	}
	if left := f.c.Desired(f.s, time.Minute); len(left) > 0 {
		f.t.Errorf("not at rest: %q", left)
	}
	f.c.FinalLog(func(a Ack) bool { return a.Index <= f.s.Index() })
	if len(f.broken) > 0 {
		f.t.Errorf("%s", f.broken[0])
	}
}
