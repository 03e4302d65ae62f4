package sim_test

import (
	"flag"
	"testing"

	"skein/agent/sim"
)

var mutationSeeds = flag.Uint64("mutation.seeds", 200, "within how many seeds each mutation must be caught")

// Each mutation breaks one rule, and is caught within a stated number of seeds by
// something that is not seen without it (TestLives). So the simulator can fail.
func TestMutationsAreCaught(t *testing.T) {
	if raceDetector {
		t.Skip("a simulated fleet is one goroutine: make sim runs the mutations without the race detector")
	}
	for _, m := range sim.Mutations() {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= *mutationSeeds; seed++ {
				run := sim.Draw(seed)
				run.Config.Mutation = m
				if _, failure := sim.Live(run); failure != nil {
					t.Logf("caught by seed %d: %s: %s", seed, failure.Name, failure.Detail)
					return
				}
			}
			t.Errorf("not caught by %d seeds", *mutationSeeds)
		})
	}
}
