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
	// Leader is whom the log of a voter names as the leader, and whether it names
	// anybody; see LeadersChanged.
	Leader func(voter fleet.HostID) (fleet.HostID, bool)
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

	voters    map[fleet.HostID]*voter
	open      map[fleet.HostID][]fleet.HostID // host -> voters that have a stream of it
	starved   map[fleet.HostID]bool
	clocks    map[fleet.HostID]time.Duration // those that are off
	served    map[fleet.HostID]fleet.Served  // as each host says with its beats
	detectors []*Detector                    // the newest last
}

// New makes the membership of a network; it follows the network's changes from
// now on.
func New(t *virtual.Time, net *virtual.Network, seed uint64, cfg Config) *Membership {
	m := &Membership{
		time: t, net: net, chance: virtual.NewChance(seed, "membership"), cfg: cfg,
		voters: map[fleet.HostID]*voter{}, open: map[fleet.HostID][]fleet.HostID{},
		starved: map[fleet.HostID]bool{}, clocks: map[fleet.HostID]time.Duration{},
		served: map[fleet.HostID]fleet.Served{},
	}
	net.Watch(m.netChanged)
	return m
}

// Opened notes that a voter's agent has a stream of a host's session.
func (m *Membership) Opened(host, voter fleet.HostID, session uint64) {
	m.voter(voter).opened(host, session)
	if at := m.open[host]; !slices.Contains(at, voter) {
		m.open[host] = append(at, voter)
	}
}

// Closed notes that a stream has ended at the host's end, or by itself.
func (m *Membership) Closed(host, voter fleet.HostID) { m.closed(host, voter, false) }

// Cut notes that a voter has ended a stream: its host gets time to find another.
func (m *Membership) Cut(host, voter fleet.HostID) { m.closed(host, voter, true) }

func (m *Membership) closed(host, voter fleet.HostID, cut bool) {
	if v := m.voters[voter]; v != nil {
		v.closed(host, cut)
	}
	m.dropOpen(host, voter)
}

func (m *Membership) dropOpen(host, voter fleet.HostID) {
	m.open[host] = slices.DeleteFunc(m.open[host], func(v fleet.HostID) bool { return v == voter })
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
	m.saysOtherwise(host)
	for _, d := range m.detectors {
		d.resetAsks("")
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
	m.saysOtherwise(host)
}

// SetServed says how far a host's agent has come with what it is sent; zero of one that
// has just begun. A host that has come to what is awaited has no more words said of it.
func (m *Membership) SetServed(host fleet.HostID, served fleet.Served) {
	before := m.served[host]
	m.served[host] = served
	for _, id := range m.open[host] {
		if d := m.leaderOf(id); d != nil && (!before.Reached(d.await) || len(d.watched) > 0) {
			m.voters[id].news[host] = true
			m.voters[id].soon()
		}
	}
}

// saysOtherwise has the voters tell that hear a host, and those that compare
// themselves with it.
func (m *Membership) saysOtherwise(host fleet.HostID) {
	for _, id := range m.open[host] {
		m.voters[id].news[host] = true
	}
	for _, id := range slices.Sorted(maps.Keys(m.voters)) {
		v, d := m.voters[id], m.leaderOf(id)
		if id == host {
			for st := range v.streams.All() {
				v.news[st.Host()] = true // its clock is what theirs are compared with
			}
		}
		if v.news[host] || id == host || d != nil && d.leader == host {
			v.differs = true
			v.soon()
		}
	}
}

// Hears reports whether a voter hears a host on its own stream of a session.
func (m *Membership) Hears(voter, host fleet.HostID, session uint64) bool {
	v := m.voters[voter]
	if v == nil {
		return false
	}
	if st := v.streams.Of(host); st != nil && !v.still[host] {
		v.heard(st, m.time.Now())
	}
	return v.streams.Heard(m.time.Now(), host, session)
}

// leaderOf is whom a voter tells: the leader that its log names, while there is a link
// to it.
func (m *Membership) leaderOf(voter fleet.HostID) *Detector {
	leader, known := m.cfg.Leader(voter)
	if !known {
		return nil
	}
	for _, d := range m.detectors {
		if d.leader == leader && (leader == voter || m.net.Linked(leader, voter)) {
			return d
		}
	}
	return nil
}

// LeadersChanged says that the log of some voter names another leader than before.
func (m *Membership) LeadersChanged() {
	for _, d := range m.detectors {
		d.unlink()
	}
	for _, d := range m.detectors {
		d.link()
	}
}

// netChanged takes note of a machine's new condition, or with no name of a cut
// or its end. Leaders lose voters before streams stand still: what they
// knew last is from before.
func (m *Membership) netChanged(id fleet.HostID) {
	for _, d := range m.detectors {
		d.unlink()
	}
	if id == "" {
		for _, voter := range slices.Sorted(maps.Keys(m.voters)) {
			m.voters[voter].reflow()
		}
	} else {
		m.machineChanged(id)
	}
	for _, d := range slices.Clone(m.detectors) {
		d.netChanged(id)
	}
}

func (m *Membership) machineChanged(id fleet.HostID) {
	agentGone := m.net.Condition(id) == virtual.Down || m.net.Condition(id) == virtual.Off
	for _, voter := range slices.Clone(m.open[id]) {
		if agentGone {
			m.closed(id, voter, false)
		} else {
			m.voters[voter].flow(id)
		}
	}
	v := m.voters[id]
	if v == nil || !agentGone {
		v.reflow()
		return
	}
	delete(m.voters, id) // what it remembers dies with it
	v.timer.Stop()
	for st := range v.streams.All() {
		m.dropOpen(st.Host(), id)
	}
}

// lastBeat is when a stream was heard last that flowed until now.
func (m *Membership) lastBeat(since time.Duration) time.Duration {
	return max(since, m.time.Now()-m.chance.Between(0, protocol.HostBeat))
}
