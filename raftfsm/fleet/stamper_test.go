package fleet_test

import (
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func TestStamps(t *testing.T) {
	const noon = fleet.Time(1_767_355_200_000)
	hour := fleet.Time(time.Hour.Milliseconds())
	t.Run("follow the wall clock as long as it leads", func(t *testing.T) {
		var s fleet.Stamper
		for i := range 5 {
			wall := noon.Add(time.Duration(i) * time.Second)
			if got := s.Stamp(noon, wall, time.Duration(i)*time.Second); got != wall {
				t.Errorf("after %d s: %s", i, got)
			}
		}
	})
	t.Run("go on at half the pace when the wall clock is behind, however often they are made", func(t *testing.T) {
		var s fleet.Stamper
		now := noon + hour
		for mono := time.Duration(0); mono <= time.Minute; mono += 300 * time.Microsecond {
			now = max(now, s.Stamp(now, noon.Add(mono), mono))
		}
		if got := now.Sub(noon + hour); got < 29*time.Second || got > 31*time.Second {
			t.Errorf("fleet time went on by %s in a minute", got)
		}
	})
	t.Run("are the wall clock's again once it has caught up", func(t *testing.T) {
		var s fleet.Stamper
		now := noon + hour
		mono := time.Duration(0)
		for ; mono <= 3*time.Hour; mono += time.Minute {
			now = max(now, s.Stamp(now, noon.Add(mono), mono))
		}
		if wall := noon.Add(mono - time.Minute); now != wall {
			t.Errorf("fleet time is %s, the wall clock %s", now, wall)
		}
	})
	t.Run("go on from another's stamp", func(t *testing.T) {
		var s fleet.Stamper
		s.Stamp(noon+hour, noon, 0)
		if got := s.Stamp(noon+2*hour, noon, time.Second); got != noon+2*hour {
			t.Errorf("got %s", got)
		}
	})
}
