package detector

import (
	"slices"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// witnessSets are the hosts that may bear witness, by zone: alive and ready. Those that
// are starved, and those that State has as silent though they are heard, are asked only
// where there are too few others. Kept as liveness changes, so that a silent zone of
// thousands does not cost a look at all hosts for each.
type witnessSets struct {
	zones    []string                  // of hosts, sorted
	hosts    map[string][]fleet.HostID // by id; none is empty
	last     []fleet.HostID            // asked after all others
	eligible int                       // hosts that are alive, or may be: a new leader has not heard of most
}

// witness is what a host is as a witness.
type witness struct {
	able     bool
	last     bool
	eligible bool
	zone     string
}

// file puts a host where what is seen of it belongs. One that State has as silent is
// a witness while its stream is heard: it may be held back for minutes because it comes and
// goes, and without it the leader of a fleet of three would judge the third host alone.
func (w *Watch) file(s *watchedHost) {
	alive := s.liveness == plan.LivenessAlive && s.verdict == plan.LivenessUnknown
	switch {
	case s.state == fleet.HostReady || s.id == w.self:
		w.witnessSets.put(s, witness{
			able: alive || s.id == w.self, last: s.starved, zone: s.zone,
			eligible: s.liveness == plan.LivenessAlive || s.liveness == plan.LivenessUnknown,
		})
	case s.state == fleet.HostSilent && alive:
		w.witnessSets.put(s, witness{able: true, last: true, zone: s.zone, eligible: true})
	default:
		w.witnessSets.put(s, witness{})
	}
}

func (p *witnessSets) put(s *watchedHost, as witness) {
	if s.witness == as {
		return
	}
	p.remove(s)
	s.witness = as
	if as.eligible {
		p.eligible++
	}
	switch hosts := p.hosts[as.zone]; {
	case !as.able:
	case as.last:
		p.last = insert(p.last, s.id)
	default:
		if hosts == nil {
			p.zones = insert(p.zones, as.zone)
		}
		p.hosts[as.zone] = insert(hosts, s.id)
	}
}

func (p *witnessSets) remove(s *watchedHost) {
	was := s.witness
	s.witness = witness{}
	if was.eligible {
		p.eligible--
	}
	switch hosts := p.hosts[was.zone]; {
	case !was.able:
	case was.last:
		p.last = drop(p.last, s.id)
	case len(hosts) == 1:
		p.zones = drop(p.zones, was.zone)
		delete(p.hosts, was.zone)
	default:
		p.hosts[was.zone] = drop(hosts, s.id)
	}
}

// insert and drop keep a list sorted; most that come are the last.
func insert[T ~string](list []T, one T) []T {
	at := len(list)
	if at > 0 && list[at-1] > one {
		at, _ = slices.BinarySearch(list, one)
	}
	return slices.Insert(list, at, one)
}

func drop[T ~string](list []T, one T) []T {
	at, _ := slices.BinarySearch(list, one)
	return slices.Delete(list, at, at+1)
}

// needed is of how many witnesses a majority must be silent. It is more than
// there are while a new leader knows few of its hosts: one word is not enough
// when others could be had in a moment.
func (p *witnessSets) needed(picked int) int {
	return max(picked, min(protocol.MaxWitnesses, p.eligible))
}

// pick chooses up to three witnesses about a host: the one that found it last,
// then one a zone, other zones than the host's own first, then its own, then
// those that are asked last. Which ones depends on the host, so that not the same three are
// asked about thousands, and on how often it was asked about: where not all can
// reach it, all are asked in turn. A turn asks each zone once.
func (p *witnessSets) pick(s *watchedHost) []fleet.HostID {
	var out []fleet.HostID
	if r := s.reached; r != nil && r != s && r.witness.able {
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
	for i := 0; i < len(p.last) && len(out) < protocol.MaxWitnesses; i++ {
		if h := p.last[(start+i)%len(p.last)]; h != s.id && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}
