package simsight

import (
	"hash/fnv"
	"slices"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// panel is the hosts that may bear witness, as of a moment ago.
type panel struct {
	at       time.Duration
	zones    []string // sorted
	hosts    map[string][]fleet.HostID
	starved  []fleet.HostID
	eligible int // hosts that are alive, or may be: a new leader has not heard of most
}

// panelFor is how old a panel may be; hosts become known quickly at first.
func (e *Eyes) panelFor() time.Duration {
	if e.m.time.Now()-e.began < neverSeenAfter {
		return agesEvery
	}
	return candidatesFor
}

func (e *Eyes) fillPanel() {
	now := e.m.time.Now()
	if e.panel.hosts != nil && now-e.panel.at < e.panelFor() {
		return
	}
	p := panel{at: now, hosts: map[string][]fleet.HostID{}}
	state := e.state()
	for _, s := range e.order {
		row := state.Host(s.id)
		if row == nil || row.Life != fleet.HostReady && s.id != e.leader {
			continue
		}
		if s.sight == plan.SightAlive || s.sight == plan.SightUnknown {
			p.eligible++
		}
		switch {
		case s.id != e.leader && (s.sight != plan.SightAlive || s.verdict != plan.SightUnknown):
		case e.m.starved[s.id]:
			p.starved = append(p.starved, s.id)
		default:
			if p.hosts[row.Zone] == nil {
				p.zones = append(p.zones, row.Zone)
			}
			p.hosts[row.Zone] = append(p.hosts[row.Zone], s.id)
		}
	}
	slices.Sort(p.zones)
	e.panel = p
}

// pick chooses up to three witnesses about a host: of other zones first, then of
// its own, then starved ones; always the same about one host while the panel is.
func (p *panel) pick(about fleet.HostID, zone string) []fleet.HostID {
	var out []fleet.HostID
	start := hashOf(about)
	take := func(from []fleet.HostID, round int) {
		for i := range min(len(from), maxWitnesses+1) {
			if h := from[(start+round+i)%len(from)]; h != about && !slices.Contains(out, h) {
				out = append(out, h)
				return
			}
		}
	}
	for round := range maxWitnesses {
		for i := range p.zones {
			if z := p.zones[(start+i)%len(p.zones)]; z != zone && len(out) < maxWitnesses {
				take(p.hosts[z], round)
			}
		}
	}
	for round := 0; round < maxWitnesses && len(out) < maxWitnesses; round++ {
		take(p.hosts[zone], round)
	}
	for round := 0; round < maxWitnesses && len(out) < maxWitnesses; round++ {
		take(p.starved, round)
	}
	return out
}

func hashOf(id fleet.HostID) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return int(h.Sum32() >> 8)
}
