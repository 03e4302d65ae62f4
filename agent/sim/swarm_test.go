package sim_test

import (
	"strings"
	"testing"
	"time"

	"skein/agent/sim"
)

// A voter whose build is too old for the fleet has stopped. Where another one of three loses
// its disk meanwhile, what a majority held is lost for good, and no fleet comes to rest.
func TestNoDiskIsWipedInALifeWhileAVoterMayHaveStopped(t *testing.T) {
	const heals = 10 * time.Minute
	both := 0
	for seed := uint64(1); seed <= 1000; seed++ {
		var wipes, rollbacks []time.Duration
		for _, o := range sim.Draw(seed).Operations {
			switch verb, _, _ := strings.Cut(o.Text, " "); verb {
			case "wipe":
				wipes = append(wipes, o.At)
			case "rollback":
				rollbacks = append(rollbacks, o.At)
			}
		}
		if len(wipes) > 0 && len(rollbacks) > 0 {
			both++
		}
		for _, wiped := range wipes {
			for _, back := range rollbacks {
				if back < wiped+heals {
					t.Errorf("seed %d: an agent is rolled back at %s, and a disk wiped at %s", seed, back, wiped)
				}
			}
		}
	}
	if both == 0 {
		t.Error("no life has both a wiped disk and an agent that is rolled back")
	}
}
