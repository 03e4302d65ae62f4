package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"skein/runtime/seam/clock"
)

func TestMonotonicTimeGrowsWithTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.System()
		wall, mono := c.Now(), c.Mono()
		time.Sleep(90 * time.Second)
		if got := c.Now().Sub(wall); got != 90*time.Second {
			t.Errorf("wall clock moved %v in 90 s", got)
		}
		if got := c.Mono() - mono; got != 90*time.Second {
			t.Errorf("monotonic time moved %v in 90 s", got)
		}
	})
}

func TestOffsetMovesOnlyTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		right := clock.System()
		wrong := clock.Offset(right, -3*time.Hour)
		if got := wrong.Now().Sub(right.Now()); got != -3*time.Hour {
			t.Errorf("wall clock is off by %v", got)
		}
		if wrong.Mono() != right.Mono() {
			t.Errorf("monotonic time is %v, want %v", wrong.Mono(), right.Mono())
		}
	})
}

func TestNowCarriesNoMonotonicReadingAndIsUTC(t *testing.T) {
	now := clock.System().Now()
	if now != now.Round(0) {
		t.Error("Now carries a monotonic reading: a jump of the wall clock would be hidden")
	}
	if now.Location() != time.UTC {
		t.Errorf("Now is in %v", now.Location())
	}
}

func TestUntilNextEndsAtAMultipleAndIsNeverZero(t *testing.T) {
	for now, want := range map[time.Duration]time.Duration{
		0: 100 * time.Millisecond, time.Millisecond: 99 * time.Millisecond, 350 * time.Millisecond: 50 * time.Millisecond,
		400 * time.Millisecond: 100 * time.Millisecond,
	} {
		if got := clock.UntilNext(now, 100*time.Millisecond); got != want {
			t.Errorf("from %v it is %v to the next 100 ms, want %v", now, got, want)
		}
	}
}

func TestUntilNextOfALongPauseEndsAtAMomentThatAllShare(t *testing.T) {
	const every = 250 * time.Millisecond
	var now time.Duration
	for _, want := range []time.Duration{300, 500, 800, 1000, 1300} {
		now += clock.UntilNext(now, every)
		if want *= time.Millisecond; now != want {
			t.Fatalf("the pause ended at %v, want %v", now, want)
		}
	}
	for now, want := range map[time.Duration]time.Duration{
		250 * time.Millisecond: 50 * time.Millisecond, 299 * time.Millisecond: time.Millisecond,
		301 * time.Millisecond: 199 * time.Millisecond, 501 * time.Millisecond: 299 * time.Millisecond,
	} {
		if got := clock.UntilNext(now, every); got != want {
			t.Errorf("from %v it is %v to the next 250 ms, want %v", now, got, want)
		}
	}
}
