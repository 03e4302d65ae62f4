package trust

import (
	"fmt"
	"time"
)

// MaxClockSkew is how far a voter's clock may be from the median of the fleet's
// for it to sign certificates. Two hosts that are both within it are within
// Backdate of each other, so what one signs is valid to the other at once.
const MaxClockSkew = Backdate / 2

// ClockStanding is how a voter's clock compares with the fleet's.
type ClockStanding struct {
	Known bool          // the median of enough hosts was measured of late
	Off   time.Duration // this host's clock minus the median; of no meaning unless Known
}

// MaySign refuses to sign by a clock that would make certificates of another time:
// one that is off the fleet's median. Where the median is not known, as in a fleet
// of two hosts, nobody can say which of two clocks is wrong: they must agree within
// Backdate. caller is the clock of who asks, zero where it was not told.
func (s ClockStanding) MaySign(now, caller time.Time) error {
	switch {
	case s.Known && s.Off.Abs() <= MaxClockSkew:
		return nil
	case s.Known:
		return fmt.Errorf("%w: this voter's, at %s, is %s the median of the fleet, so it signs nothing; set it right, or "+
			"ask another voter",
			ErrClock, clockText(now), aheadOrBehind(s.Off))
	case caller.IsZero() || now.Sub(caller).Abs() <= Backdate:
		return nil
	}
	return fmt.Errorf("%w: this host's is at %s, the voter's at %s, %s it, and no other hosts tell which is right; set "+
		"both right",
		ErrClock, clockText(caller), clockText(now), aheadOrBehind(now.Sub(caller)))
}

// ClockOf is the clock that another host told, in milliseconds since 1970; zero
// where it told none.
func ClockOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func clockText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func aheadOrBehind(d time.Duration) string {
	side := "ahead of"
	if d < 0 {
		side = "behind"
	}
	return fmt.Sprintf("%s %s", d.Abs().Round(time.Second), side)
}
