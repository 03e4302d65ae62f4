package simdetector

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// witnessSet is the hosts that may bear witness, kept as sights change.
type witnessSet struct {
	names    []string // of zones, sorted
	zones    map[string]*zone
	able     int // hosts that may bear witness, if only starved
	eligible int // hosts that are alive, or may be: a new leader has not heard of most
}

type zone struct {
	hosts []*watchedHost // by id
	able  int            // of them may bear witness
}

func byID(s *watchedHost, id fleet.HostID) int { return cmp.Compare(s.id, id) }

func (p *witnessSet) add(s *watchedHost) {
	z := p.zones[s.zone]
	if z == nil {
		z = &zone{}
		p.zones[s.zone] = z
		at, _ := slices.BinarySearch(p.names, s.zone)
		p.names = slices.Insert(p.names, at, s.zone)
	}
	z.hosts = insert(z.hosts, s)
}

func (p *witnessSet) remove(s *watchedHost) {
	p.count(s, false, false)
	z := p.zones[s.zone]
	z.hosts = remove(z.hosts, s)
}

// insert keeps hosts by id; most come in that order.
func insert(hosts []*watchedHost, s *watchedHost) []*watchedHost {
	at := len(hosts)
	if at > 0 && hosts[at-1].id > s.id {
		at, _ = slices.BinarySearchFunc(hosts, s.id, byID)
	}
	return slices.Insert(hosts, at, s)
}

func remove(hosts []*watchedHost, s *watchedHost) []*watchedHost {
	at, _ := slices.BinarySearchFunc(hosts, s.id, byID)
	return slices.Delete(hosts, at, at+1)
}

// count keeps the numbers of those that may bear witness, and might.
func (p *witnessSet) count(s *watchedHost, able, eligible bool) {
	if s.able != able {
		s.able = able
		p.able += sign(able)
		p.zones[s.zone].able += sign(able)
	}
	if s.eligible != eligible {
		s.eligible = eligible
		p.eligible += sign(eligible)
	}
}

func sign(up bool) int {
	if up {
		return 1
	}
	return -1
}

// file puts a host where what is seen of it belongs.
func (e *Detector) file(s *watchedHost) {
	alive := s.liveness == plan.LivenessAlive && s.verdict == plan.LivenessUnknown
	if s.suspect = !alive; s.suspect {
		e.suspects[s.id] = s
	} else {
		delete(e.suspects, s.id)
	}
	self := s.id == e.leader
	ready := self || s.state == fleet.HostReady
	e.witnesses.count(s, ready && (self || alive), ready && (s.liveness == plan.LivenessAlive || s.liveness == plan.LivenessUnknown))
}

// pick chooses up to three witnesses about a host: the one that found it last,
// then of other zones, then of its own, then starved ones. They depend on the
// host, so that not the same three are asked about thousands, and on how often it
// was asked about, as in agent/peer.
func (e *Detector) pick(about *watchedHost) []fleet.HostID {
	var out []fleet.HostID
	if r := about.reached; r != nil && r != about && r.able && e.hosts[r.id] == r {
		out = append(out, r.id)
	}
	var zones []string
	for _, name := range e.witnesses.names {
		if name != about.zone && e.witnesses.zones[name].able > 0 {
			zones = append(zones, name)
		}
	}
	asksPerTurn := max(1, (len(zones)+protocol.MaxWitnesses-1)/protocol.MaxWitnesses)
	turn, part := about.asked/asksPerTurn, about.asked%asksPerTurn
	first := hashOf(about.id)
	start := first + turn
	take := func(name string, round int) {
		z := e.witnesses.zones[name]
		for i := range z.hosts {
			if z.able == 0 || len(out) == protocol.MaxWitnesses {
				return
			}
			h := z.hosts[(start+round+i)%len(z.hosts)]
			if h.able && h != about && !e.m.starved[h.id] && !slices.Contains(out, h.id) {
				out = append(out, h.id)
				return
			}
		}
	}
	for round := range protocol.MaxWitnesses {
		for i := range zones {
			take(zones[(first+part*protocol.MaxWitnesses+i)%len(zones)], round)
		}
	}
	for round := range protocol.MaxWitnesses {
		take(about.zone, round)
	}
	if len(out) < protocol.MaxWitnesses {
		for _, id := range slices.Sorted(maps.Keys(e.m.starved)) {
			if h := e.hosts[id]; h != nil && h.able && h != about && len(out) < protocol.MaxWitnesses && !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return out
}

func hashOf(id fleet.HostID) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return int(h.Sum32() >> 8)
}
