package sim_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/sim"
	"skein/raftfsm/fleet"
)

var every = flag.Int("every", 7, "systematic tests take each n-th place; 1 takes all")

// traceLines is a short life with a bit of everything and no faults of its own.
func traceLines(hosts int) sim.Run {
	operations, err := sim.ParseOperations(`
0s   service web 4 cpu=128 check=5
1s   service job 2 cpu=64 command=for_20s
15s  update web cpu=64
25s  scale web 2
30s  run batch 2 command=for_5s
40s  exit service=web
50s  restart-agent h2
60s  scale web 5
`)
	if err != nil {
		panic(err)
	}
	return sim.Run{
		Config:     sim.Config{Seed: 42, Hosts: sim.Uniform(hosts, fleet.Resources{CPU: 2048, Memory: 4096})},
		Operations: operations, For: 90 * time.Second,
	}
}

// For each call that hosts make in a story: that one fails, and the fleet comes to
// rest all the same.
func TestEachCallMayFail(t *testing.T) {
	world, failure := sim.Live(traceLines(3))
	if failure != nil {
		tell(t, failure)
		return
	}
	calls := world.Calls()
	if calls < 100 {
		t.Fatalf("the story makes only %d calls", calls)
	}
	for n := 1; n <= calls; n += *every {
		run := traceLines(3)
		run.Config.FailCall = n
		if _, failure := sim.Live(run); failure != nil {
			t.Errorf("call %d of %d fails", n, calls)
			tell(t, failure)
			return
		}
	}
}

// After each entry of a story's log the leader's machine dies, and the fleet comes
// to rest all the same.
func TestTheLeaderMayDieAtEachStep(t *testing.T) {
	world, failure := sim.Live(traceLines(3))
	if failure != nil {
		tell(t, failure)
		return
	}
	last := world.State().Index()
	for index := uint64(8); index <= last; index += uint64(*every) {
		run := traceLines(3)
		run.Config.CrashLeader = index
		if _, failure := sim.Live(run); failure != nil {
			t.Errorf("the leader dies at index %d of %d", index, last)
			tell(t, failure)
			return
		}
	}
}

// outcome is what a world came to, for comparing: counts, not names.
func outcome(t *testing.T, run sim.Run) string {
	t.Helper()
	world, failure := sim.Live(run)
	if failure != nil {
		tell(t, failure)
		t.FailNow()
	}
	var all []string
	s := world.State()
	for v := range s.Services() {
		n := s.Counts(v.Name, "")
		zones := s.TasksByZone(v.Name)
		spread := make([]int, 0, len(zones))
		for _, n := range zones {
			spread = append(spread, n)
		}
		slices.Sort(spread)
		all = append(all, fmt.Sprintf("%s %s desired %d running %d healthy %d zones %v", v.Name, v.Revision, v.Desired,
			n.Running, n.Healthy, spread))
	}
	return strings.Join(all, "; ")
}

// What a fleet comes to does not depend on what must not matter.
func TestWhatMustNotMatterDoesNot(t *testing.T) {
	want := outcome(t, traceLines(6))
	for name, change := range map[string]func(*sim.Run){
		"another seed":           func(l *sim.Run) { l.Config.Seed = 4242 },
		"hosts in another order": func(l *sim.Run) { slices.Reverse(l.Config.Hosts) },
		"an idle host that takes no tasks": func(l *sim.Run) {
			l.Config.Hosts = append(l.Config.Hosts, sim.Machine{Name: "idle", Zone: "a"})
		},
		"one start at a time on each host":    func(l *sim.Run) { l.Config.Tuning.Starts = 1 },
		"snapshots all the time":              func(l *sim.Run) { l.Config.Tuning.Snapshot = 3 },
		"shared States, sleeping hosts":       func(l *sim.Run) { l.Config.Large = true },
		"another leader in the middle of all": func(l *sim.Run) { l.Config.CrashLeader = 60 },
		"timers that fire twice":              func(l *sim.Run) { l.Config.Tuning.TickTwice = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			run := traceLines(6)
			change(&run)
			if got := outcome(t, run); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
