package simdetector

import (
	"maps"
	"slices"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// Config is what a membership needs from its world.
type Config struct {
	// State is the State that an agent of a voter has applied; never nil for one
	// that leads.
	State func(agent fleet.HostID) *fleet.State
	Mutants
}

// Mutants break one rule each. False is right.
type Mutants struct {
	AbsenceIsSilence bool // a host unheard for its limit is silent, without any witness
	OneWitness       bool // one silent dial suffices, whatever the others find
}

// Membership is the streams of a fleet and all that leaders make of them.
type Membership struct {
	time   *virtual.Time
	net    *virtual.Network
	chance *virtual.Chance
	cfg    Config

	voters    map[fleet.HostID]ledger
	open      map[fleet.HostID][]fleet.HostID // host -> voters that have a stream of it
	follows   map[fleet.HostID]fleet.HostID   // voter -> whom it takes for the leader, where that was said
	starved   map[fleet.HostID]bool
	clocks    map[fleet.HostID]time.Duration // those that are off
	detectors []*Detector
}

// ledger is what a voter's agent remembers of its streams; it dies with the agent.
type ledger map[fleet.HostID]record

// record is one stream at its voter, open or not.
type record struct {
	open  bool
	flows bool // beats come: it was heard just now
	cut   bool // the voter ended it: the host has to find another first
	heard time.Duration

	session uint64
}

// New makes the membership of a network; it follows the network's changes from
// now on.
func New(t *virtual.Time, net *virtual.Network, seed uint64, cfg Config) *Membership {
	m := &Membership{
		time: t, net: net, chance: virtual.NewChance(seed, "membership"), cfg: cfg,
		voters: map[fleet.HostID]ledger{}, open: map[fleet.HostID][]fleet.HostID{},
		follows: map[fleet.HostID]fleet.HostID{}, starved: map[fleet.HostID]bool{}, clocks: map[fleet.HostID]time.Duration{},
	}
	net.Watch(m.netChanged)
	return m
}

// Opened notes that a voter's agent has a stream of a host's session.
func (m *Membership) Opened(host, voter fleet.HostID, session uint64) {
	l := m.voters[voter]
	if l == nil {
		l = ledger{}
		m.voters[voter] = l
	}
	l[host] = record{open: true, flows: m.net.Linked(host, voter), heard: m.time.Now(), session: session}
	if at := m.open[host]; !slices.Contains(at, voter) {
		m.open[host] = append(at, voter)
	}
	m.told(voter, host)
}

// Closed notes that a stream has ended at the host's end, or by itself.
func (m *Membership) Closed(host, voter fleet.HostID) { m.closed(host, voter, false) }

// Cut notes that a voter has ended a stream: its host gets time to find another.
func (m *Membership) Cut(host, voter fleet.HostID) { m.closed(host, voter, true) }

func (m *Membership) closed(host, voter fleet.HostID, cut bool) {
	r, ok := m.voters[voter][host]
	if !ok || !r.open {
		return
	}
	if r.flows {
		r.heard = m.lastBeat(r)
	}
	r.open, r.flows, r.cut = false, false, cut
	m.voters[voter][host] = r
	m.dropOpen(host, voter)
	m.told(voter, host)
}

func (m *Membership) dropOpen(host, voter fleet.HostID) {
	m.open[host] = slices.DeleteFunc(m.open[host], func(v fleet.HostID) bool { return v == voter })
}

// lastBeat is when a stream that flowed until now was heard last.
func (m *Membership) lastBeat(r record) time.Duration {
	return max(r.heard, m.time.Now()-m.chance.Between(0, protocol.HostBeat))
}

// Starve makes a host late, or well again: it says so itself, its word as an
// observer counts less and it takes longer to suspect others.
func (m *Membership) Starve(host fleet.HostID, late bool) {
	if m.starved[host] == late {
		return
	}
	delete(m.starved, host)
	if late {
		m.starved[host] = true
	}
	for _, e := range m.detectors {
		if e.hosts[host] != nil {
			e.changed()
		}
	}
}

// Follow says whom a voter takes for the leader, or with no name that it knows
// none: it tells nobody else what it hears. A voter of which nothing was said tells
// every leader.
func (m *Membership) Follow(voter, leader fleet.HostID) {
	if was, said := m.follows[voter]; said && was == leader {
		return
	}
	m.follows[voter] = leader
	for _, e := range m.detectors {
		e.unlink()
		e.linkAll()
	}
}

// SetClock says how far a host's wall clock is off.
func (m *Membership) SetClock(host fleet.HostID, off time.Duration) {
	if off == m.clocks[host] {
		return
	}
	delete(m.clocks, host)
	if off != 0 {
		m.clocks[host] = off
	}
	for _, e := range m.detectors {
		e.changed()
	}
}

func (m *Membership) told(voter, host fleet.HostID) {
	for _, e := range m.detectors {
		e.agesTold(voter, host)
	}
}

// netChanged takes note of a machine's new condition, or with no name of a cut
// or its end. Leaders lose sight of voters before streams stand still: what they
// knew last is from before.
func (m *Membership) netChanged(id fleet.HostID) {
	for _, e := range m.detectors {
		e.unlink()
	}
	if id == "" {
		for _, voter := range slices.Sorted(maps.Keys(m.voters)) {
			m.reflow(voter)
		}
	} else {
		m.machineChanged(id)
	}
	for _, e := range slices.Clone(m.detectors) {
		e.netChanged(id)
	}
}

func (m *Membership) machineChanged(id fleet.HostID) {
	agentGone := m.net.Condition(id) == virtual.Down || m.net.Condition(id) == virtual.Off
	for _, voter := range slices.Clone(m.open[id]) {
		if agentGone {
			m.closed(id, voter, false)
		} else {
			m.flow(voter, id)
		}
	}
	if l := m.voters[id]; l != nil && agentGone {
		delete(m.voters, id)
		for host, r := range l {
			if r.open {
				m.dropOpen(host, id)
			}
		}
	} else {
		m.reflow(id)
	}
}

// reflow looks at all streams of a voter.
func (m *Membership) reflow(voter fleet.HostID) {
	var changed []fleet.HostID
	for host, r := range m.voters[voter] {
		if r.open && r.flows != m.net.Linked(host, voter) {
			changed = append(changed, host)
		}
	}
	slices.Sort(changed)
	for _, host := range changed {
		m.flow(voter, host)
	}
}

// flow looks at one stream.
func (m *Membership) flow(voter, host fleet.HostID) {
	r := m.voters[voter][host]
	flows := r.open && m.net.Linked(host, voter)
	if flows == r.flows {
		return
	}
	if r.flows {
		r.heard = m.lastBeat(r)
	}
	r.flows = flows
	m.voters[voter][host] = r
	m.told(voter, host)
}
