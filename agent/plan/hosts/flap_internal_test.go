package hosts

import (
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func TestAHostIsHeardTwiceAsLongAfterEachSilenceThatFollowsSoonUpToABound(t *testing.T) {
	for flaps, want := range []time.Duration{
		ReturnAfter, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 2 * time.Minute,
	} {
		if got := returnAfter(&fleet.Host{Flaps: flaps}); got != want {
			t.Errorf("after %d such silences: %s, want %s", flaps, got, want)
		}
	}
	if got := returnAfter(&fleet.Host{Flaps: fleet.MaxFlaps}); got != ReturnMost {
		t.Errorf("after the most that are counted: %s, want %s", got, ReturnMost)
	}
}
