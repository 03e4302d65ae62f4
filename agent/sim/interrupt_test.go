package sim_test

import (
	"context"
	"testing"
	"time"

	"skein/agent/sim"
	"skein/agent/sim/virtual"
	"skein/agent/sim/workload"
)

func smallLoad(t *testing.T) *workload.World {
	t.Helper()
	preset, ok := workload.ByName("steady")
	if !ok {
		t.Fatal("there is no steady workload")
	}
	return workload.Draw(virtual.NewChance(1, "fleet"), 10, 50, preset)
}

func TestAMonthEndsAtTheEventAtWhichItIsInterrupted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after int // calls of progress
		calls int
	}{
		{"while the fleet is made", 0, 0},
		{"while it lives", 3, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			done, calls := make(chan struct{}), 0
			month := sim.NewMonth(1, smallLoad(t), done)
			if tt.after == 0 {
				close(done)
			}
			events := uint64(0)
			failure, err := month.Run(24*time.Hour, func(time.Duration) {
				if calls++; calls == tt.after {
					events = month.World.Events()
					close(done)
				}
			})
			if failure != nil || err != nil {
				t.Errorf("it ends with %v, %v", failure, err)
			}
			if ran := month.World.Events() - events; calls != tt.calls || ran > 0 {
				t.Errorf("%d calls and %d events more", calls, ran)
			}
		})
	}
}

func TestALifeThatIsInterruptedProvesNothing(t *testing.T) {
	run := sim.Draw(1)
	done := make(chan struct{})
	close(done)
	run.Config.Done = done
	if world, failure := sim.Live(run); failure != nil || world.Events() > 0 {
		t.Errorf("%v after %d events", failure, world.Events())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sim.Soak(ctx, 1, 1, func(s sim.Soaked) { t.Errorf("seed %d is told", s.Seed) })
}
