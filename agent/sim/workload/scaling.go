package workload

import (
	"cmp"
	"math"
	"slices"
	"time"

	"skein/agent/sim/virtual"
)

// ScaleRates say how services follow the time of day.
type ScaleRates struct {
	Swing float64       // up to so much more at 15:00 and less at 03:00, of Desired
	Step  time.Duration // how often the desired count is looked at; 0: never
}

// Scale is a new desired count of a service.
type Scale struct {
	Service int // of those that were drawn
	Desired int
}

func (Scale) event() {}

// Scaling is the stream of Scale.
type Scaling struct {
	rates     ScaleRates
	followers []follower // in order of their offset
	step      time.Duration
	next      int
}

type follower struct {
	service, base, now int
	offset             time.Duration // within a step, so that not all come at once
}

// NewScaling makes the stream for those services that follow. A service too
// small for its count to change is left out.
func NewScaling(c *virtual.Chance, services []Service, r ScaleRates) *Scaling {
	s := &Scaling{rates: r}
	if r.Step <= 0 {
		return s
	}
	for i, v := range services {
		f := follower{service: i, base: v.Desired, now: v.Desired, offset: c.Between(0, r.Step-1)}
		if v.Follows && f.desired(-r.Swing) != f.desired(r.Swing) {
			s.followers = append(s.followers, f)
		}
	}
	slices.SortStableFunc(s.followers, func(a, b follower) int { return cmp.Compare(a.offset, b.offset) })
	return s
}

// desired is the count at so much more than the base; one task is always left.
func (f *follower) desired(more float64) int {
	return max(1, int(math.Round(float64(f.base)*(1+more))))
}

// Next is the next change of a desired count. A day without any is the end: the
// steps meet the same times of day for ever.
func (s *Scaling) Next() (time.Duration, Event) {
	if len(s.followers) == 0 {
		return Never, nil
	}
	for begin := s.step; s.step <= begin+day+s.rates.Step; {
		if s.next == len(s.followers) {
			s.next = 0
			s.step += s.rates.Step
		}
		f := &s.followers[s.next]
		s.next++
		at := s.step + f.offset
		if now := f.desired(s.rates.Swing * sun(at)); now != f.now {
			f.now = now
			return at, Scale{Service: f.service, Desired: now}
		}
	}
	return Never, nil
}
