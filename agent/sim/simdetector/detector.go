package simdetector

import (
	"maps"
	"slices"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// Detector runs one leader's view of the fleet, from its election to Close or to the
// end of its agent.
type Detector struct {
	m           *Membership
	leader      fleet.HostID
	run         *virtual.Run
	phase       time.Duration // of its ticks
	closed      bool
	onChange    func()
	sendingAges bool
	await       fleet.Served
	watched     []fleet.TargetGroupName

	watch    *detector.Watch
	voters   []fleet.HostID        // sorted, itself among them
	telling  map[fleet.HostID]bool // voters whose words come
	asks     map[fleet.HostID]*asks
	asking   int // hosts that witnesses look at now
	timer    *virtual.Timer
	due      time.Duration
	liveness plan.FleetLiveness
	uneasy   bool // a host was not alive when liveness was made
	made     time.Duration
}

// Detector begins the view of a new leader: unknown at first, with the ages that
// voters have. They end with life.
func (m *Membership) Detector(leader fleet.HostID, run *virtual.Run) *Detector {
	d := &Detector{
		m: m, leader: leader, run: run, phase: m.chance.Between(0, protocol.WatchEvery-1),
		watch: detector.NewWatch(leader), telling: map[fleet.HostID]bool{}, asks: map[fleet.HostID]*asks{},
	}
	d.watch.Begin(m.time.Now())
	for h := range d.state().Hosts() {
		d.know(h.ID)
	}
	m.detectors = append(m.detectors, d)
	for _, other := range m.detectors {
		other.unlink()
	}
	m.voter(leader).teller.Own(leader)
	d.takeVoters()
	d.arm(m.time.Now())
	run.OnEnd(d.Close)
	return d
}

// Close ends the view; closing twice, or nil, is harmless.
func (d *Detector) Close() {
	if d == nil || d.closed {
		return
	}
	d.closed = true
	d.m.detectors = slices.DeleteFunc(d.m.detectors, func(o *Detector) bool { return o == d })
	for _, other := range d.m.detectors {
		other.link()
	}
}

// OnChange has f called after liveness has changed, as long as this view lasts.
func (d *Detector) OnChange(f func()) { d.onChange = f }

// Applied tells what an entry touched in the leader's State: new hosts, lives and
// voters are known by it.
func (d *Detector) Applied(t fleet.ChangeSet) {
	if d.closed {
		return
	}
	for id := range t.HostRows() {
		d.liveness = plan.FleetLiveness{}
		d.know(id)
		d.resetAsks(id)
		d.arm(d.m.time.Now())
	}
	if t.Any(fleet.SubjectVoters) {
		d.takeVoters()
		d.arm(d.m.time.Now())
	}
}

// Probe has witnesses look at hosts that are suspect, soon.
func (d *Detector) Probe(hosts []fleet.HostID) {
	if d.closed {
		return
	}
	d.watch.Force(hosts)
	for _, id := range hosts {
		d.asks[id].release(0)
	}
	d.arm(d.m.time.Now())
}

// Await has voters tell of each host how far it has come, until it serves what is asked
// for, as long as this view lasts; zero ends it. They hear of it with the answer to
// their next word, and tell with the one after that.
func (d *Detector) Await(asked fleet.Served) {
	d.await = asked
	d.tellSoon()
}

// tellSoon has voters tell again, and hear with the answer what they are to tell.
func (d *Detector) tellSoon() {
	for _, id := range slices.Sorted(maps.Keys(d.telling)) {
		if v := d.m.voters[id]; v != nil {
			v.soon()
		}
	}
}

// Watch has voters tell how far hosts have come with routes, while it names a group.
func (d *Detector) Watch(groups []fleet.TargetGroupName) {
	if len(d.watched) == 0 {
		for id := range d.telling {
			if v := d.m.voters[id]; v != nil {
				v.asked.routes = false // what it was not asked for meanwhile it has not told
			}
		}
	}
	d.watched = groups
	d.tellSoon()
}

// Liveness is what the leader sees; the value does not change. It is made anew when
// liveness has changed and, while a host is not alive, when it is 100 ms old: the
// ages of hosts that are alive are as old as the value.
func (d *Detector) Liveness() plan.FleetLiveness {
	now := d.m.time.Now()
	if d.closed {
		return plan.FleetLiveness{Hosts: map[fleet.HostID]plan.HostLiveness{}}
	}
	if d.liveness.Hosts == nil || d.uneasy && now-d.made >= protocol.LivenessEvery {
		d.hearStill()
		d.liveness, d.made, d.uneasy = d.watch.Liveness(now, nil), now, false
		for _, h := range d.liveness.Hosts {
			d.uneasy = d.uneasy || h.Liveness != plan.LivenessAlive
		}
	}
	return d.liveness
}

// Heard reports whether a host is heard in a session, and whether this leader knows it
// yet.
func (d *Detector) Heard(host fleet.HostID, session uint64) (heard, known bool) {
	if d == nil || d.closed {
		return false, false
	}
	d.hearStill()
	return d.watch.Heard(d.m.time.Now(), host, session)
}

func (d *Detector) state() *fleet.State { return d.m.cfg.State(d.leader) }

// know tells of a host of State, or that there is none of that name.
func (d *Detector) know(id fleet.HostID) {
	if row := d.state().Host(id); row != nil && row.State != fleet.HostForgotten {
		d.watch.KnowHost(d.m.time.Now(), detector.Host{ID: id, Zone: row.Zone, State: row.State})
	} else {
		d.watch.Forget(id)
		delete(d.asks, id)
	}
}

// takeVoters begins to hear new voters and drops what old ones told.
func (d *Detector) takeVoters() {
	voters := map[fleet.HostID]bool{d.leader: true}
	for v := range d.state().Voters() {
		voters[v.Host] = true
	}
	d.voters = slices.Sorted(maps.Keys(voters))
	d.watch.KnowVoters(d.voters)
	d.unlink()
	d.link()
}

// tells reports whether a voter's words are for this leader, and reach it.
func (d *Detector) tells(voter fleet.HostID) bool {
	if !slices.Contains(d.voters, voter) {
		d.takeVoters() // it may vote since a moment ago
	}
	return d.m.leaderOf(voter) == d && slices.Contains(d.voters, voter)
}

// unlink notes when voters told last that tell no more.
func (d *Detector) unlink() {
	for _, voter := range slices.Sorted(maps.Keys(d.telling)) {
		if slices.Contains(d.voters, voter) && d.m.leaderOf(voter) == d {
			continue
		}
		delete(d.telling, voter)
		d.watch.Still(d.m.time.Now(), voter)
		if v := d.m.voters[voter]; v != nil {
			v.teller.Told(false, nil)
		}
		d.arm(d.m.time.Now())
	}
}

// link has voters tell that can.
func (d *Detector) link() {
	for _, voter := range d.voters {
		if !d.telling[voter] && d.m.leaderOf(voter) == d {
			d.m.voter(voter).soon()
		}
	}
}

// take notes a voter's word; true when it has to tell all.
func (d *Detector) take(voter fleet.HostID, ages detector.Ages) (needAll bool) {
	needAll = d.watch.Take(d.m.time.Now(), voter, ages)
	for _, o := range ages.Open {
		d.know(o.Host)
		d.asks[o.Host].release(0)
	}
	for _, g := range ages.Gone {
		d.know(g.Host)
	}
	if !needAll {
		d.telling[voter] = true
	}
	d.arm(d.m.time.Now())
	return needAll
}

// hearStill brings the words of voters that go on telling: that all is as before.
func (d *Detector) hearStill() {
	for voter := range d.telling {
		d.watch.Still(d.m.time.Now(), voter)
	}
}

// look has the hosts looked at that are due, and witnesses asked.
func (d *Detector) look() {
	now := d.m.time.Now()
	d.hearStill()
	for _, ask := range d.watch.Step(now, d.m.starved[d.leader], detector.MaxExamined-d.asking) {
		d.ask(ask)
	}
	if d.watch.Changed() {
		d.changed()
	}
	d.arm(max(now+1, d.watch.Wake(func(voter fleet.HostID) bool { return d.telling[voter] })))
}

// netChanged looks again at what a change of the network may have changed.
func (d *Detector) netChanged(id fleet.HostID) {
	d.link()
	if id == d.leader {
		d.arm(d.m.time.Now()) // it goes on after it stood still
		return
	}
	d.resetAsks(id)
}

// after runs f at the first tick after a while.
func (d *Detector) after(wait time.Duration, f func()) *virtual.Timer {
	now := d.m.time.Now()
	ticks := (now + wait - d.phase + protocol.WatchEvery - 1) / protocol.WatchEvery
	return d.run.After(ticks*protocol.WatchEvery+d.phase-now, func() {
		if !d.closed {
			f()
		}
	})
}

// arm has the leader look by a time.
func (d *Detector) arm(at time.Duration) {
	if at == protocol.Never || d.timer.Waiting() && d.due <= at {
		return
	}
	d.timer.Stop()
	d.due = at
	d.timer = d.after(max(0, at-d.m.time.Now()), d.look)
}

// changed says that there is something new to see.
func (d *Detector) changed() {
	d.liveness = plan.FleetLiveness{}
	if d.sendingAges {
		return
	}
	d.sendingAges = true
	d.run.After(sendAgesAfter, func() {
		d.sendingAges = false
		if !d.closed && d.onChange != nil {
			d.onChange()
		}
	})
}
