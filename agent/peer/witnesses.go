package peer

import (
	"slices"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// witnessSets are the hosts that may bear witness, by zone, as of a moment ago: alive
// and ready, and those that are starved only when there are no others. Kept, so
// that a silent zone of thousands does not cost a look at all hosts for each.
type witnessSets struct {
	zones    []string // sorted
	hosts    map[string][]fleet.HostID
	starved  []fleet.HostID
	eligible int // hosts that are alive, or may be: a new leader has not heard of most
}

// fill is called with each Know.
func (p *witnessSets) fill(w *Watch) {
	*p = witnessSets{hosts: map[string][]fleet.HostID{}}
	for _, s := range w.sorted() {
		if s.state != fleet.HostReady && s.id != w.self {
			continue
		}
		if s.liveness == plan.LivenessAlive || s.liveness == plan.LivenessUnknown {
			p.eligible++
		}
		alive := s.liveness == plan.LivenessAlive && s.verdict == plan.LivenessUnknown
		switch {
		case s.id != w.self && !alive:
		case s.starved:
			p.starved = append(p.starved, s.id)
		default:
			if p.hosts[s.zone] == nil {
				p.zones = append(p.zones, s.zone)
			}
			p.hosts[s.zone] = append(p.hosts[s.zone], s.id)
		}
	}
	slices.Sort(p.zones)
}

// needed is of how many witnesses a majority must be silent. It is more than
// there are while a new leader knows few of its hosts: one word is not enough
// when others could be had in a moment.
func (p *witnessSets) needed(picked int) int {
	return max(picked, min(protocol.MaxWitnesses, p.eligible))
}

// has reports whether a host may bear witness.
func (p *witnessSets) has(s *watchedHost) bool {
	for _, hosts := range [][]fleet.HostID{p.hosts[s.zone], p.starved} {
		if _, ok := slices.BinarySearch(hosts, s.id); ok {
			return true
		}
	}
	return false
}

// pick chooses up to three witnesses about a host: the one that found it last,
// then one a zone, other zones than the host's own first, then its own, then
// starved ones. Which ones depends on the host, so that not the same three are
// asked about thousands, and on how often it was asked about: where not all can
// reach it, all are asked in turn. A turn asks each zone once.
func (p *witnessSets) pick(s *watchedHost) []fleet.HostID {
	var out []fleet.HostID
	if r := s.reached; r != nil && r != s && p.has(r) {
		out = append(out, r.id)
	}
	var zones []string
	for _, zone := range p.zones {
		if zone != s.zone {
			zones = append(zones, zone)
		}
	}
	asksPerTurn := max(1, (len(zones)+protocol.MaxWitnesses-1)/protocol.MaxWitnesses)
	turn, part := s.askedWitnesses/asksPerTurn, s.askedWitnesses%asksPerTurn
	first := int(protocol.Hash(string(s.id)) >> 33)
	start := first + turn
	take := func(zone string, round int) {
		hosts := p.hosts[zone]
		for i := range min(len(hosts), protocol.MaxWitnesses+1) {
			h := hosts[(start+round+i)%len(hosts)]
			if h != s.id && !slices.Contains(out, h) {
				out = append(out, h)
				return
			}
		}
	}
	for round := range protocol.MaxWitnesses {
		for i := range zones {
			if len(out) < protocol.MaxWitnesses {
				take(zones[(first+part*protocol.MaxWitnesses+i)%len(zones)], round)
			}
		}
	}
	for round := 0; round < protocol.MaxWitnesses && len(out) < protocol.MaxWitnesses; round++ {
		take(s.zone, round)
	}
	for i := 0; i < len(p.starved) && len(out) < protocol.MaxWitnesses; i++ {
		if h := p.starved[(start+i)%len(p.starved)]; h != s.id && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}
