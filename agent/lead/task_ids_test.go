package lead

import (
	"math/rand/v2"
	"testing"

	"skein/raftfsm/fleet"
)

func TestTaskIDsOfOneRunRiseAndDifferInTheirFirstDigits(t *testing.T) {
	ids := NewTaskIDs(rand.NewChaCha8([32]byte{1}))
	seen := map[fleet.TaskID]bool{}
	heads := map[fleet.TaskID]bool{}
	last, falls := fleet.TaskID(""), 0
	for i := range 10 * taskIDRun {
		if i%taskIDRun == 0 {
			clear(heads)
		}
		id := ids.Next()
		if len(id) != 32 || seen[id] || heads[id[:8]] {
			t.Fatalf("id %d is %q: of 32 digits %t, seen before %t, its first digits in this run %t", i, id, len(id) == 32,
				seen[id], heads[id[:8]])
		}
		if id < last {
			falls++
		}
		seen[id], heads[id[:8]], last = true, true, id
	}
	if falls == 0 || falls > 10 {
		t.Errorf("ids fell %d times in 10 runs, each of which begins anywhere", falls)
	}
}

func TestTwoSourcesOfTaskIDsShareNone(t *testing.T) {
	a, b := NewTaskIDs(rand.NewChaCha8([32]byte{1})), NewTaskIDs(rand.NewChaCha8([32]byte{2}))
	seen := map[fleet.TaskID]bool{}
	for range taskIDRun {
		seen[a.Next()] = true
	}
	for range taskIDRun {
		if id := b.Next(); seen[id] {
			t.Fatalf("both gave %s", id)
		}
	}
}
