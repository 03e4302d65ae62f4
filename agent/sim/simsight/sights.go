package simsight

import (
	"slices"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Sights is what the leader sees; the value does not change. It is made anew when
// a sight has changed and, while a host is not alive, when it is 100 ms old: the
// ages of hosts that are alive are as old as the value.
func (e *Eyes) Sights() plan.Seen {
	now := e.m.time.Now()
	if e.closed {
		return plan.Seen{Hosts: map[fleet.HostID]plan.HostSeen{}}
	}
	if e.seen.Hosts == nil || len(e.odd) > 0 && now-e.seenAt >= sightsEvery {
		e.seen, e.seenAt = e.make(), now
	}
	return e.seen
}

// Aged reports whether a host has been refused for so long since the last value
// of Sights that planners now count it as silent: nothing changes then but its age,
// so whoever wakes for that must look again.
func (e *Eyes) Aged() bool {
	if e.closed || len(e.odd) == 0 {
		return false
	}
	down := time.Duration(e.state().Fleet().Settings.AgentDownAfterMs) * time.Millisecond
	for _, s := range e.odd {
		if s.sight == plan.SightRefused && e.seenAt-s.since < down && e.m.time.Now()-s.since >= down {
			return true
		}
	}
	return false
}

func (e *Eyes) make() plan.Seen {
	now := e.m.time.Now()
	seen := plan.Seen{Hosts: make(map[fleet.HostID]plan.HostSeen, len(e.order)), LeaderAge: now - e.began}
	for _, s := range e.order {
		hs := plan.HostSeen{Sight: s.sight, Session: s.session, For: now - s.since, Starved: len(e.m.starved) > 0 && e.m.starved[s.id]}
		if s.odd {
			hs.Age = -1
			if heard, _, ever := e.heard(s); ever {
				hs.Age = now - heard
			}
		}
		seen.Hosts[s.id] = hs
	}
	seen.ClockOffset, seen.ClockSamples = e.clock()
	return seen
}

// clock is the median of the clocks of ready hosts that are heard, against the
// leader's.
func (e *Eyes) clock() (offset time.Duration, samples int) {
	samples = e.panel.able
	var off []time.Duration // of those that are off
	below := 0
	for host, by := range e.m.clocks {
		if s := e.hosts[host]; s == nil || !s.able {
			continue
		}
		off = append(off, by)
		if by < 0 {
			below++
		}
	}
	slices.Sort(off)
	right := samples - len(off) // hosts whose clock is right come between
	switch middle := samples / 2; {
	case samples == 0:
		return 0, 0
	case middle < below:
		offset = off[middle]
	case middle >= below+right:
		offset = off[middle-right]
	}
	return offset - e.m.clocks[e.leader], samples
}
