package hosts

import (
	"testing"

	"skein/raftfsm/fleet"
)

func TestWhichOutagesCount(t *testing.T) {
	for _, tt := range []struct {
		name           string
		silent, booted int64
		want           bool
	}{
		{"one that was noticed", 50_000, 90_000, true},
		{"one that nobody noticed", 0, 90_000, true},
		{"one that ended long ago", 0, 10_000, false},
		{"none: it booted at once", 90_000, 90_000, true},
		{"one before the host fell silent again", 95_000, 90_000, false},
	} {
		const now = 100_000
		o, ok := outageOf(fleet.Time(tt.silent), fleet.Time(tt.booted), fleet.Time(now))
		if ok != tt.want || ok && o.to < o.from {
			t.Errorf("%s: %+v (%v), want it to count: %v", tt.name, o, ok, tt.want)
		}
	}
}
