package simdetector

import (
	"iter"
	"maps"
	"slices"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// voter runs a voter's end of the failure detector: the record of its streams, and its
// words to the leader.
type voter struct {
	m       *Membership
	id      fleet.HostID
	streams *detector.Streams
	still   map[fleet.HostID]bool // streams that do not flow
	news    map[fleet.HostID]bool // streams that say something new
	teller  detector.Teller
	differs bool           // it is to say what makes no other liveness, but is to be seen
	timer   *virtual.Timer // of the next word
	due     time.Duration
	via     *Detector // whom it will be told
	asked   awaited
}

// awaited is what a leader wants to hear that hosts serve.
type awaited struct {
	by     *Detector
	what   fleet.Served
	routes bool // how far hosts have come with them, as well
}

func (m *Membership) voter(id fleet.HostID) *voter {
	v := m.voters[id]
	if v == nil {
		v = &voter{m: m, id: id, streams: detector.NewStreams()}
		v.still, v.news = map[fleet.HostID]bool{}, map[fleet.HostID]bool{}
		m.voters[id] = v
	}
	return v
}

func (v *voter) opened(host fleet.HostID, session uint64) {
	v.streams.Open(v.m.time.Now(), host, session)
	delete(v.still, host)
	if !v.m.net.Linked(host, v.id) {
		v.still[host] = true
	}
	v.news[host] = true
	v.soon()
}

func (v *voter) closed(host fleet.HostID, cut bool) {
	st := v.streams.Of(host)
	if st == nil {
		return
	}
	if !v.still[host] {
		v.heard(st, v.m.lastBeat(st.Last()))
	}
	v.streams.Close(st, cut)
	delete(v.still, host)
	delete(v.news, host)
	v.soon()
}

// heard brings what a stream has brought by a time.
func (v *voter) heard(st *detector.Stream, at time.Duration) {
	off := v.m.clocks[st.Host()] - v.m.clocks[v.id]
	st.Set(at, off.Milliseconds(), v.m.starved[st.Host()], v.m.served[st.Host()])
}

// reflow looks at all streams of a voter.
func (v *voter) reflow() {
	if v == nil {
		return
	}
	var hosts []fleet.HostID
	for st := range v.streams.All() {
		if v.still[st.Host()] == v.m.net.Linked(st.Host(), v.id) {
			hosts = append(hosts, st.Host())
		}
	}
	slices.Sort(hosts)
	for _, host := range hosts {
		v.flow(host)
	}
}

// flow looks at one stream.
func (v *voter) flow(host fleet.HostID) {
	st, flows := v.streams.Of(host), v.m.net.Linked(host, v.id)
	if st == nil || v.still[host] != flows {
		return
	}
	if !flows {
		v.heard(st, v.m.lastBeat(st.Last()))
		v.still[host] = true
		v.tellLate()
		return
	}
	delete(v.still, host)
	v.news[host] = true
	v.soon()
}

// looked are the streams that may have something to tell; all for a word of all.
func (v *voter) looked(all bool) iter.Seq[*detector.Stream] {
	return func(yield func(*detector.Stream) bool) {
		for host := range v.mayDiffer(all) {
			st := v.streams.Of(host)
			if st == nil {
				continue
			}
			if !v.still[host] {
				v.heard(st, v.m.time.Now())
			}
			if !yield(st) {
				return
			}
		}
	}
}

func (v *voter) mayDiffer(all bool) map[fleet.HostID]bool {
	hosts := map[fleet.HostID]bool{}
	if all {
		for st := range v.streams.All() {
			hosts[st.Host()] = true
		}
	}
	for _, some := range []map[fleet.HostID]bool{v.still, v.news, v.m.starved} {
		maps.Copy(hosts, some)
	}
	return hosts
}

// soon has the next word told when it is due: at the next tick of the voter that
// leads.
func (v *voter) soon() {
	now := v.m.time.Now()
	if d := v.m.leaderOf(v.id); d == nil || d.leader != v.id {
		now += v.m.chance.Between(0, protocol.AgesEvery)
	}
	v.by(now)
}

// tellLate has a word told at once when one more host is late.
func (v *voter) tellLate() {
	v.by(detector.NextLate(v.m.time.Now(), func(yield func(*detector.Stream) bool) {
		for host := range v.still {
			if !yield(v.streams.Of(host)) {
				return
			}
		}
	}))
}

// by has a word told by a time, at the latest one tick after it.
func (v *voter) by(at time.Duration) {
	d := v.m.leaderOf(v.id)
	if d == nil || at == protocol.Never || v.timer.Waiting() && v.via == d && v.due <= at {
		return
	}
	v.timer.Stop()
	v.due, v.via = at, d
	v.timer = d.after(at-v.m.time.Now(), v.tell)
}

// tell has the leader know what changed.
func (v *voter) tell() {
	m, now := v.m, v.m.time.Now()
	d := m.leaderOf(v.id)
	if m.voters[v.id] != v || d == nil || !d.tells(v.id) {
		return
	}
	looked := v.looked(v.teller.TellsAll(d.leader))
	ages := v.teller.Next(now, d.leader, v.streams, looked, v.routes(), m.starved[v.id])
	clear(v.news)
	taken := !d.take(v.id, ages)
	v.hearAwaited(d, len(ages.Served))
	off := (m.clocks[v.id] - m.clocks[d.leader]).Milliseconds()
	measured := v.id == d.leader || ages.ClockMs != nil && *ages.ClockMs == off
	v.teller.Told(taken, &off)
	d.liveness = plan.FleetLiveness{}
	if v.differs && taken {
		d.changed()
	}
	v.differs = v.differs && !(taken && measured)
	if !measured || !taken {
		v.soon() // the next tells the clock, or all
	}
	v.tellLate()
}

// routes is how far the voter's State is with routes.
func (v *voter) routes() fleet.Served { return v.m.cfg.State(v.id).ServedRoutes() }

// hearAwaited notes what the answer to a word says is awaited. Where that is new, or the
// word had no room for more, the next is of all streams.
func (v *voter) hearAwaited(d *Detector, told int) {
	now := awaited{d, d.await, len(d.watched) > 0}
	if now == v.asked && told < detector.MaxServed {
		return
	}
	v.asked = now
	v.teller.Await(d.await)
	v.streams.Watch(d.watched)
	if d.await == (fleet.Served{}) && len(d.watched) == 0 {
		return
	}
	for st := range v.streams.All() {
		v.news[st.Host()] = true
	}
	v.soon()
}
