package simsight_test

import (
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/sim/simsight"
	"skein/agent/sim/virtual"
)

func TestADeadMachineIsSilentWithinASecond(t *testing.T) {
	for seed := range uint64(20) {
		r := newRig(t, 9, 3, seed, simsight.Mutants{})
		r.run(2 * time.Second)
		for i := range 9 {
			if got := r.sight(i + 1).Sight; got != plan.SightAlive {
				t.Fatalf("%s is %s", name(i+1), got)
			}
		}
		r.net.Set(name(9), virtual.Off)
		if took := r.until(9, plan.SightSilent, 2*time.Second); took < 400*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("seed %d: silent after %s", seed, took)
		}
	}
}

func TestAQuietFleetHasNoEvents(t *testing.T) {
	r := newRig(t, 100, 3, 1, simsight.Mutants{})
	r.run(5 * time.Second)
	if at, ok := r.time.Next(); ok {
		t.Errorf("an event is due at %s", at)
	}
}
