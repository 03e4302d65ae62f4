package simdetector

import (
	"slices"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Liveness is what the leader sees; the value does not change. It is made anew when
// a sight has changed and, while a host is not alive, when it is 100 ms old: the
// ages of hosts that are alive are as old as the value.
func (e *Detector) Liveness() plan.FleetLiveness {
	now := e.m.time.Now()
	if e.closed {
		return plan.FleetLiveness{Hosts: map[fleet.HostID]plan.HostLiveness{}}
	}
	if e.liveness.Hosts == nil || len(e.suspects) > 0 && now-e.livenessAt >= protocol.LivenessEvery {
		e.liveness, e.livenessAt = e.make(), now
	}
	return e.liveness
}

func (e *Detector) make() plan.FleetLiveness {
	now := e.m.time.Now()
	liveness := plan.FleetLiveness{Hosts: make(map[fleet.HostID]plan.HostLiveness, len(e.order)), LeaderAge: now - e.began}
	for _, s := range e.order {
		hs := plan.HostLiveness{Liveness: s.liveness, Session: s.session, For: now - s.since, Starved: len(e.m.starved) > 0 && e.m.starved[s.id]}
		if s.suspect {
			hs.Age = -1
			if heard, _, ever := e.heard(s); ever {
				hs.Age = now - heard
			}
		}
		liveness.Hosts[s.id] = hs
	}
	liveness.ClockOffset, liveness.ClockSamples = e.clock()
	return liveness
}

// clock is the median of the clocks of ready hosts that are heard, against the
// leader's.
func (e *Detector) clock() (offset time.Duration, samples int) {
	samples = e.witnesses.able
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
