package sim_test

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"

	"skein/agent/sim"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "live the life of this seed only")
	seedsFlag = flag.Uint64("seeds", 20, "how many lives to live")
	fromFlag  = flag.Uint64("from", 1, "the first seed")
)

// tell fails a test with a failure's story.
func tell(t *testing.T, f *sim.Failure) {
	t.Helper()
	t.Errorf("%v\n  %s\nagain: skein sim --life --seed %d", f, strings.Join(f.Trace, "\n  "), f.Seed)
}

// Whatever happens to a fleet, no rule is broken; and once nothing happens any
// more, it comes to what is desired and rests.
func TestLives(t *testing.T) {
	from, to := *fromFlag, *fromFlag+*seedsFlag-1
	if *seedFlag > 0 {
		from, to = *seedFlag, *seedFlag
	}
	var mu sync.Mutex
	marks := sim.Marks{}
	t.Run("seeds", func(t *testing.T) {
		for seed := from; seed <= to; seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				world, failure := sim.Live(sim.Draw(seed))
				if failure != nil {
					tell(t, failure)
				}
				mu.Lock()
				defer mu.Unlock()
				marks.Add(world.Marks())
			})
		}
	})
	t.Logf("states reached:\n%s", marks)
	if missing := marks.Missing(); to-from >= 200 && len(missing) > 0 {
		t.Errorf("no life reached these states, so nothing was proven about them:\n  %s", strings.Join(missing, "\n  "))
	}
}

// The same seed gives the same trace, byte for byte.
func TestASeedIsItsTrace(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 4, 5} {
		var traces [2]bytes.Buffer
		for i := range traces {
			run := sim.Draw(seed)
			run.Config.Trace = &traces[i]
			sim.Live(run)
		}
		if !bytes.Equal(traces[0].Bytes(), traces[1].Bytes()) {
			a, b := strings.Split(traces[0].String(), "\n"), strings.Split(traces[1].String(), "\n")
			for i := range a {
				if i >= len(b) || a[i] != b[i] {
					t.Fatalf("seed %d, line %d:\n  %s\n  %s", seed, i+1, a[i], b[min(i, len(b)-1)])
				}
			}
			t.Fatalf("seed %d: one trace is longer", seed)
		}
	}
}
