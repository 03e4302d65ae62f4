package simdetector

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// Detector are one leader's view of the fleet, from its election to Close or to the
// end of its agent.
type Detector struct {
	m           *Membership
	leader      fleet.HostID
	run         *virtual.Run
	began       time.Duration
	phase       time.Duration // of its ticks
	closed      bool
	onChange    func()
	sendingAges bool

	views     []*view        // by voter
	order     []*watchedHost // by host
	hosts     map[fleet.HostID]*watchedHost
	suspects  map[fleet.HostID]*watchedHost // not alive by its stream
	witnesses witnessSet

	liveness   plan.FleetLiveness
	livenessAt time.Duration
}

// view is what the leader knows of one voter's streams.
type view struct {
	voter  fleet.HostID
	known  bool // it has told at all
	linked bool // it tells: what it has now counts
	at     time.Duration
	last   ledger // else what it told last
	timer  *virtual.Timer
}

// watchedHost is one host as the leader sees it.
type watchedHost struct {
	id       fleet.HostID
	zone     string
	state    fleet.HostState
	noticed  time.Duration
	liveness plan.Liveness
	since    time.Duration
	session  uint64 // of the stream that it is alive by; 0: by none

	verdict   plan.Liveness // what witnesses found; LivenessUnknown for nothing that counts
	verdictAt time.Duration
	again     time.Duration // not to be asked about before
	probing   bool
	disturbed bool // the network changed while it was being asked about
	forced    bool
	asked     int          // how often witnesses were
	unfound   int          // how often they found silence, since anything changed
	reached   *watchedHost // the witness that found it last; nil when that finds it no more

	suspect, able, eligible bool // see file

	timer *virtual.Timer // the next look
	due   time.Duration
}

// Detector begins the view of a new leader: unknown at first, with the ages that
// voters have. They end with life.
func (m *Membership) Detector(leader fleet.HostID, run *virtual.Run) *Detector {
	e := &Detector{
		m: m, leader: leader, run: run, began: m.time.Now(), phase: m.chance.Between(0, protocol.WatchEvery-1),
		hosts: map[fleet.HostID]*watchedHost{}, suspects: map[fleet.HostID]*watchedHost{}, witnesses: witnessSet{zones: map[string]*zone{}},
	}
	for h := range e.state().Hosts() {
		e.know(h.ID)
	}
	e.takeVoters()
	e.after(protocol.NeverSeenAfter, e.pollAll)
	m.detectors = append(m.detectors, e)
	run.OnEnd(e.Close)
	return e
}

// Close ends the view; closing twice, or nil, is harmless.
func (e *Detector) Close() {
	if e == nil || e.closed {
		return
	}
	e.closed = true
	e.m.detectors = slices.DeleteFunc(e.m.detectors, func(o *Detector) bool { return o == e })
}

// OnChange has f called after sights have changed, as long as this view lasts.
func (e *Detector) OnChange(f func()) { e.onChange = f }

// Applied tells what an entry touched in the leader's State: new hosts, lives and
// voters are known by it.
func (e *Detector) Applied(t fleet.ChangeSet) {
	if e.closed {
		return
	}
	for id := range t.HostRows() {
		if s := e.know(id); s != nil {
			e.doubt(s)
			e.arm(s, e.m.time.Now())
		}
	}
	if t.Any(fleet.SubjectVoters) {
		e.takeVoters()
	}
}

// Probe has witnesses look at hosts that are suspect, soon.
func (e *Detector) Probe(hosts []fleet.HostID) {
	for _, id := range hosts {
		if s := e.hosts[id]; s != nil && !e.closed {
			s.forced = true
			e.arm(s, e.m.time.Now())
		}
	}
}

func (e *Detector) state() *fleet.State { return e.m.cfg.State(e.leader) }

// know is a host of State, or nil when there is none of that name.
func (e *Detector) know(id fleet.HostID) *watchedHost {
	row := e.state().Host(id)
	s := e.hosts[id]
	if row == nil || row.State == fleet.HostForgotten {
		if s != nil {
			e.forget(s)
		}
		return nil
	}
	if s == nil {
		now := e.m.time.Now()
		s = &watchedHost{id: id, zone: row.Zone, state: row.State, noticed: now, since: now}
		e.hosts[id] = s
		e.order = insert(e.order, s)
		e.witnesses.add(s)
		e.file(s)
		if now > e.began {
			e.arm(s, now+protocol.NeverSeenAfter)
		}
		e.changed()
	}
	if s.zone != row.Zone || s.state != row.State {
		e.witnesses.remove(s)
		s.zone, s.state = row.Zone, row.State
		e.witnesses.add(s)
		e.file(s)
	}
	return s
}

func (e *Detector) forget(s *watchedHost) {
	s.timer.Stop()
	delete(e.hosts, s.id)
	delete(e.suspects, s.id)
	e.order = remove(e.order, s)
	e.witnesses.remove(s)
	e.changed()
}

// takeVoters begins views of new voters and drops those of old ones.
func (e *Detector) takeVoters() {
	voters := map[fleet.HostID]bool{e.leader: true}
	for v := range e.state().Voters() {
		voters[v.Host] = true
	}
	for _, v := range slices.Clone(e.views) {
		if voters[v.voter] {
			delete(voters, v.voter)
			continue
		}
		v.timer.Stop()
		e.views = slices.DeleteFunc(e.views, func(o *view) bool { return o == v })
		e.after(0, func() { e.pollHost(e.hostsOf(v)) })
	}
	for _, voter := range slices.Sorted(maps.Keys(voters)) {
		v := &view{voter: voter}
		e.views = append(e.views, v)
		e.link(v)
	}
	slices.SortFunc(e.views, func(a, b *view) int { return cmp.Compare(a.voter, b.voter) })
}

func (e *Detector) viewOf(voter fleet.HostID) *view {
	for _, v := range e.views {
		if v.voter == voter {
			return v
		}
	}
	return nil
}

// unlink keeps what voters told last that cannot tell more.
func (e *Detector) unlink() {
	for _, v := range e.views {
		if !v.linked || e.tells(v.voter) {
			continue
		}
		v.linked, v.at, v.last = false, e.m.time.Now(), maps.Clone(e.m.voters[v.voter])
		if s := e.hosts[v.voter]; s != nil {
			e.arm(s, v.at)
		}
		// All its hosts in one event: they have time to find another voter.
		e.after(protocol.NeverSeenAfter+1, func() { e.pollHost(e.hostsOf(v)) })
	}
}

// tells reports whether a voter's words reach this leader.
func (e *Detector) tells(voter fleet.HostID) bool {
	leader, said := e.m.follows[voter]
	return e.m.net.Linked(e.leader, voter) && (!said || leader == e.leader || voter == e.leader)
}

func (e *Detector) linkAll() {
	for _, v := range e.views {
		e.link(v)
	}
}

// link has a voter tell all it has, when it next tells.
func (e *Detector) link(v *view) {
	if v.linked || v.timer.Waiting() || !e.tells(v.voter) {
		return
	}
	var wait time.Duration
	if v.voter != e.leader {
		wait = e.m.chance.Between(0, protocol.AgesEvery)
	}
	v.timer = e.after(wait, func() {
		if v.linked || !e.tells(v.voter) {
			return
		}
		before := e.hostsOf(v)
		v.known, v.linked, v.last = true, true, nil
		e.pollHost(append(append(before, e.hostsOf(v)...), v.voter))
	})
}

// ledger is what the leader knows of a voter's streams.
func (e *Detector) ledger(v *view) ledger {
	if v.linked {
		return e.m.voters[v.voter]
	}
	return v.last
}

func (e *Detector) hostsOf(v *view) []fleet.HostID { return slices.Collect(maps.Keys(e.ledger(v))) }

// agesTold takes note of a change of one stream, when its voter next tells.
func (e *Detector) agesTold(voter, host fleet.HostID) {
	s := e.know(host)
	if s == nil {
		return
	}
	if e.viewOf(voter) == nil {
		e.takeVoters() // it may vote since a moment ago
	}
	wait := time.Duration(0)
	if voter != e.leader && s.liveness != plan.LivenessAlive {
		wait = e.m.chance.Between(0, protocol.AgesEvery)
	}
	e.arm(s, e.m.time.Now()+wait)
}

// netChanged looks again at what a change of the network may have changed.
func (e *Detector) netChanged(id fleet.HostID) {
	e.linkAll()
	switch {
	case id == e.leader:
		e.after(0, e.pollAll) // it goes on after it stood still
	case id != "":
		e.disturb(e.suspects[id])
	default:
		for _, id := range slices.Sorted(maps.Keys(e.suspects)) {
			e.disturb(e.suspects[id])
		}
	}
}

// disturb has a host asked about again that was judged in another network.
func (e *Detector) disturb(s *watchedHost) {
	if s == nil {
		return
	}
	if s.probing {
		s.disturbed = true
		return
	}
	e.doubt(s)
	if s.again > 0 {
		e.arm(s, s.again)
	}
}

// doubt has a verdict looked at again when it would be in a fleet that looks all
// the time.
func (e *Detector) doubt(s *watchedHost) {
	s.unfound = 0
	wait := protocol.AgainAnswered
	if s.verdict == plan.LivenessSilent {
		wait = protocol.AgainSilent
	}
	if s.again > e.m.time.Now()+wait {
		s.again = e.m.time.Now() + e.m.chance.Between(0, wait)
	}
}

// after runs f at the first tick after a while.
func (e *Detector) after(d time.Duration, f func()) *virtual.Timer {
	now := e.m.time.Now()
	ticks := (now + d - e.phase + protocol.WatchEvery - 1) / protocol.WatchEvery
	return e.run.After(ticks*protocol.WatchEvery+e.phase-now, func() {
		if !e.closed {
			f()
		}
	})
}

// arm has a host looked at by a time.
func (e *Detector) arm(s *watchedHost, at time.Duration) {
	if at >= never || s.timer.Waiting() && s.due <= at {
		return
	}
	s.timer.Stop()
	s.due = at
	s.timer = e.after(at-e.m.time.Now(), func() { e.pollHost([]fleet.HostID{s.id}) })
}

// changed says that there is something new to see.
func (e *Detector) changed() {
	e.liveness = plan.FleetLiveness{}
	if e.sendingAges {
		return
	}
	e.sendingAges = true
	e.run.After(sendAgesAfter, func() {
		e.sendingAges = false
		if !e.closed && e.onChange != nil {
			e.onChange()
		}
	})
}
