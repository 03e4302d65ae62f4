package chart

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// axis is the numbers of a panel, from 0.
type axis struct {
	top   float64
	steps int
	unit  string
}

// newAxis makes an axis that reaches highest in at most five round steps; one
// that the caller fixed ends exactly there.
func newAxis(highest, fixed float64, unit string) axis {
	if highest <= 0 {
		highest = 1
	}
	step := roundStep(highest / 5)
	if unit == "" {
		step = max(step, 1) // nobody has half a host
	}
	if fixed == highest {
		if steps := math.Round(fixed / step); math.Abs(steps*step-fixed) < step/1e6 {
			return axis{top: fixed, steps: int(steps), unit: unit}
		}
		return axis{top: fixed, steps: 4, unit: unit}
	}
	steps := math.Ceil(highest/step - 1e-9)
	return axis{top: steps * step, steps: int(steps), unit: unit}
}

// roundStep is the smallest of 1, 2 and 5 times a power of ten that is not below v.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, by := range []float64{1, 2, 5} {
		if by*power >= v*(1-1e-9) {
			return by * power
		}
	}
	return 10 * power
}

// label is the text of the i-th step.
func (a axis) label(i int) string {
	v := a.top * float64(i) / float64(a.steps)
	switch {
	case v == 0:
		return "0" + a.unit
	case a.top >= 2e6:
		return plain(v/1e6) + "M" + a.unit
	case a.top >= 2e4:
		return plain(v/1e3) + "k" + a.unit
	}
	return plain(v) + a.unit
}

func plain(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }

// dateSteps are the distances that dates may have.
var dateSteps = []time.Duration{
	time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, day, 2 * day, 7 * day, 30 * day, 90 * day,
}

const day = 24 * time.Hour

// dateStep is the distance of dates: at most 31 of them, so that each day of a
// month has one.
func dateStep(span time.Duration) time.Duration {
	for _, step := range dateSteps {
		if span/step <= 31 {
			return step
		}
	}
	return span / 31
}

// short writes a time in few letters: 3d, 6h, 1d6h, 90s as 1m30s.
func short(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	var b strings.Builder
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / u.of; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.of
		}
	}
	return b.String()
}
