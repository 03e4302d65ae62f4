package gossip

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"skein/runtime/seam/vfs"
)

func TestTheFloorRisesWithEachStart(t *testing.T) {
	fsys := vfs.NewMem()
	for life := range 3 {
		got, err := nextFloor(fsys, "/data/gossip/incarnation")
		if err != nil {
			t.Fatal(err)
		}
		if want := life * incarnationBlock; got != want {
			t.Errorf("start %d: got floor %d, want %d", life+1, got, want)
		}
	}
}

func TestAnUnreadableFloorIsTakenAsTheHighest(t *testing.T) {
	for _, content := range []string{"", "junk", "-4", "99999999999999999999", "1000000"} {
		fsys := vfs.NewMem()
		if err := fsys.MkdirAll("/d", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFileAtomic(fsys, "/d/f", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := nextFloor(fsys, "/d/f")
			if err != nil {
				t.Fatal(err)
			}
			if got != maxRaised {
				t.Errorf("content %q: got floor %d, want %d", content, got, maxRaised)
			}
		}
	}
}

func TestEachLifeStartsAboveTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 1)
		defer f.end()
		last := uint64(0)
		for range 3 {
			f.start(0)
			// memberlist does not tell its incarnation; reading the field is for this test only.
			got := reflect.ValueOf(f.rings[0].list).Elem().FieldByName("incarnation").FieldByName("v").Uint()
			if got <= last {
				t.Errorf("incarnation %d is not above the last life's %d", got, last)
			}
			f.rings[0].SetRole("voter")
			time.Sleep(time.Second)
			last = got + 1
			f.kill(0)
		}
	})
}
