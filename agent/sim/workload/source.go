package workload

import (
	"time"

	"skein/agent/sim/virtual"
)

// Event is something that happens to a fleet from outside: Deploy, Scale, Job,
// HostFails, ZoneFails or AgentCrashes.
type Event interface{ event() }

// Source is an endless stream of events in order of time.
type Source interface {
	// Next is the next event; at Never there is none, and none after it.
	Next() (at time.Duration, what Event)
}

// Merge makes one stream of several; of events at one instant that of the
// earlier source comes first.
func Merge(sources ...Source) Source {
	m := &merged{sources: sources, heads: make([]head, len(sources))}
	for i, s := range sources {
		m.heads[i].at, m.heads[i].what = s.Next()
	}
	return m
}

type merged struct {
	sources []Source
	heads   []head
}

type head struct {
	at   time.Duration
	what Event
}

func (m *merged) Next() (time.Duration, Event) {
	if len(m.heads) == 0 {
		return Never, nil
	}
	first := 0
	for i, h := range m.heads {
		if h.at < m.heads[first].at {
			first = i
		}
	}
	next := m.heads[first]
	if next.at < Never {
		m.heads[first].at, m.heads[first].what = m.sources[first].Next()
	}
	return next.at, next.what
}

// arrivals is a Poisson process whose rate holds for a while at a time.
type arrivals struct {
	chance *virtual.Chance
	now    time.Duration
	// rate is how many come in a second from a time on, and until when that holds;
	// until Never it may be 0.
	rate func(from time.Duration) (perSecond float64, until time.Duration)
}

// next is when the next one comes. Where the rate changes before that, the wait
// begins anew: exponential times have no memory.
func (a *arrivals) next() time.Duration {
	for {
		perSecond, until := a.rate(a.now)
		if perSecond > 0 {
			wait := bounded(a.chance.ExpFloat64() / perSecond * float64(time.Second))
			if wait < until-a.now {
				a.now += wait
				return a.now
			}
		}
		if until == Never {
			a.now = Never
			return Never
		}
		a.now = until
	}
}

// perSecond is the rate of what happens so often in a while; none in no time.
func perSecond(n float64, in time.Duration) float64 {
	if in <= 0 {
		return 0
	}
	return n / in.Seconds()
}
