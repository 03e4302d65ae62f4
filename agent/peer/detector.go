package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
)

// FailureDetector runs agent/peer/detector: on the leader it gathers ages and sends
// witnesses, on other voters it tells the leader the ages of this voter's streams. Its
// exported methods are the leader loop's view of hosts.
type FailureDetector struct {
	p       *Port
	changed chan struct{}
	woken   chan struct{} // ages are to be looked at now
	slots   chan struct{} // probes under way
	probes  sync.WaitGroup
	fresh   detector.Freshness // of State here
	// confirmed is the same by leaders of which a quorum said that they led; kept while
	// State has entry addresses, see confirm.go.
	confirmed detector.Freshness

	mu          sync.Mutex // guards what follows
	watch       *detector.Watch
	leading     bool
	began       time.Duration
	known       time.Duration // when Know was last told
	liveness    plan.FleetLiveness
	livenessAt  time.Duration
	livenessNew bool // a host's liveness changed since the view was made
	// clockOff is this voter's clock minus the fleet's median, in ms, as the leader told; nil: not known.
	clockOff   *int64
	clockOffAt time.Duration           // when the leader told
	await      fleet.Served            // see Await
	watched    []fleet.TargetGroupName // sorted: those of planned and shown; shared
	planned    []fleet.TargetGroupName // see Watch
	// shown are groups of which people look at the traffic, until when; see Show.
	shown      map[fleet.TargetGroupName]time.Duration
	confirming bool // a quorum is being asked

	// Of the goroutine that runs only.
	teller      detector.Teller
	agesResults chan agesResult
}

// agesResult is what became of a word to the leader.
type agesResult struct {
	clock  *int64 // ms, this voter's minus the leader's; nil when it was not measured
	median *int64 // of the fleet's clocks, minus the leader's; nil when it was not told
	await  fleet.Served
	watch  []fleet.TargetGroupName
	err    error
}

func newFailureDetector(p *Port) *FailureDetector {
	return &FailureDetector{
		p: p, changed: make(chan struct{}, 1), woken: make(chan struct{}, 1),
		slots: make(chan struct{}, detector.MaxExamined),
		watch: detector.NewWatch(p.self),
	}
}

func (e *FailureDetector) now() time.Duration { return e.p.cfg.Clock.Mono() }

func (e *FailureDetector) run(ctx context.Context) {
	timer := time.NewTimer(protocol.WatchEvery)
	defer timer.Stop()
	defer e.probes.Wait()
	defer e.p.relaying.Wait()
	for {
		select {
		case <-ctx.Done():
			if e.agesResults != nil {
				<-e.agesResults
			}
			return
		case <-timer.C:
		case <-e.woken:
		}
		log := e.p.log()
		e.poll(ctx, log)
		timer.Reset(e.pause(log))
	}
}

// wake has the detector look at ages now.
func (e *FailureDetector) wake() {
	select {
	case e.woken <- struct{}{}:
	default:
	}
}

// pause is how long the detector may sleep: until the next change that no call reports.
func (e *FailureDetector) pause(log Log) time.Duration {
	now, soonest := e.now(), protocol.WatchEvery
	if e.p.hub.owes() {
		soonest = detector.RoutesGather
	}
	return min(clock.UntilNext(now, protocol.WatchSeldom), max(e.due(now, log)-now, soonest))
}

// due is when a host may turn suspect, or now where this voter does not know its
// hosts or its leader yet.
func (e *FailureDetector) due(now time.Duration, log Log) time.Duration {
	if log == nil {
		return now + protocol.WatchSeldom
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leading {
		if now-e.began < protocol.NeverSeenAfter {
			return now
		}
		return e.watch.Wake(nil)
	}
	if _, known := log.Leader(); !known {
		return now
	}
	if e.p.hub.owes() {
		return now
	}
	return e.p.hub.oldest(now) + protocol.SuspectAfter
}

func (e *FailureDetector) poll(ctx context.Context, log Log) {
	e.p.keepFence(ctx)
	e.p.hub.attach(log)
	e.p.sweepRaft()
	switch {
	case log == nil:
		e.setLeading(false)
	case log.IsLeader():
		e.lead(ctx, log)
	default:
		e.setLeading(false)
		e.follow(ctx, log)
		e.p.seekRelay(ctx, log)
	}
}

func (e *FailureDetector) setLeading(leading bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leading && !leading {
		// Not when it begins: who leads may ask before that is noticed here.
		e.await, e.watched, e.planned, e.shown = fleet.Served{}, nil, nil, nil
	}
	e.leading = leading
}

// lead takes in this voter's own streams and has witnesses sent.
func (e *FailureDetector) lead(ctx context.Context, log Log) {
	now, starved := e.now(), e.p.starved()
	e.fresh.Leads(now)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.leading {
		e.leading = true
		e.watch.Begin(now)
		e.watch.WatchTraffic(e.watched) // who leads may ask before that is noticed here
		e.began, e.known = now, -knowEvery
		e.liveness = plan.FleetLiveness{}
		e.teller.Own(e.p.self)
	}
	e.endShows(now)
	e.teller.Await(e.await)
	e.p.hub.watch(e.watched)
	e.watch.Take(now, e.p.self, e.p.hub.tell(&e.teller, now, e.p.self, log.State().ServedRoutes(), starved))
	every := knowEvery
	if now-e.began < protocol.NeverSeenAfter {
		every = protocol.AgesEvery // hosts become known quickly now
	}
	if now-e.known >= every {
		e.known = now
		e.watch.Know(now, hostsOf(log.State()), votersOf(log.State()))
	}
	asks := e.watch.Step(now, starved, cap(e.slots)-len(e.slots))
	for _, ask := range asks {
		e.slots <- struct{}{}
		e.probes.Go(func() {
			defer func() { <-e.slots }()
			e.examine(ctx, ask)
		})
	}
	e.confirm(ctx, log)
	e.nudge()
}

// nudge tells the leader loop of changes. e.mu is held.
func (e *FailureDetector) nudge() {
	if !e.watch.Changed() {
		return
	}
	e.livenessNew = true
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

func hostsOf(st *fleet.State) []detector.Host {
	var hosts []detector.Host
	for h := range st.Hosts() {
		if h.State != fleet.HostForgotten {
			hosts = append(hosts, detector.Host{ID: h.ID, Zone: h.Zone, State: h.State})
		}
	}
	return hosts
}

func votersOf(st *fleet.State) []fleet.HostID {
	var voters []fleet.HostID
	for v := range st.Voters() {
		voters = append(voters, v.Host)
	}
	return voters
}

// examine sends witnesses to one host and brings back their word.
func (e *FailureDetector) examine(ctx context.Context, ask detector.WitnessRequest) {
	ctx, cancel := context.WithTimeout(ctx, probeCall)
	defer cancel()
	votes := make(chan detector.Vote, len(ask.Witnesses))
	addr, err := e.p.addrOf(ask.Host)
	var all sync.WaitGroup
	for _, witness := range ask.Witnesses {
		if err != nil {
			break
		}
		all.Go(func() {
			if witness == e.p.self {
				votes <- detector.Vote{By: witness, Outcome: e.p.dialProbe(ctx, addr), Starved: e.p.starved()}
				return
			}
			var out probeAnswer
			if e.p.call(ctx, witness, PathProbe, probeRequest{Host: ask.Host, Addr: addr}, &out) == nil {
				votes <- detector.Vote{By: witness, Outcome: out.Outcome, Starved: out.Starved}
			}
		})
	}
	all.Wait()
	close(votes)
	var words []detector.Vote
	for v := range votes {
		if v.Outcome >= detector.Connected && v.Outcome <= detector.Silent {
			words = append(words, v)
		}
	}
	answered := time.Duration(-1)
	if e.p.cfg.Answered != nil {
		if ago, ok := e.p.cfg.Answered(ask.Host); ok {
			answered = ago
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watch.Answer(e.now(), ask.Host, ask.Needed, words, answered)
	e.nudge()
	e.wake()
}

// follow tells the leader the ages of this voter's streams: each agesEvery, and
// at once when one grows suspect.
func (e *FailureDetector) follow(ctx context.Context, log Log) {
	if e.agesResults != nil {
		select {
		case told := <-e.agesResults:
			e.agesResults = nil
			e.teller.Told(told.err == nil, told.clock)
			if told.err == nil {
				e.teller.Await(told.await)
				e.p.hub.watch(told.watch)
			}
			if told.clock != nil {
				e.noteClock(told)
			}
		default:
			return
		}
	}
	leader, ok := log.Leader()
	if !ok || leader == e.p.self {
		return
	}
	now := e.now()
	every := protocol.AgesEvery
	if e.p.hub.leases(now) {
		every = confirmEvery
	}
	if !e.teller.Due(now, every, leader, e.p.hub.late(now), e.p.hub.owes()) {
		return
	}
	ages := e.p.hub.tell(&e.teller, now, leader, log.State().ServedRoutes(), e.p.starved())
	e.agesResults = make(chan agesResult, 1)
	go func() {
		e.agesResults <- e.sendAges(ctx, log, leader, ages)
		if e.p.hub.owes() {
			e.wake()
		}
	}()
}

var errNeedFull = errors.New("the leader asks for all")

func (e *FailureDetector) sendAges(
	ctx context.Context, log Log, leader fleet.HostID, ages detector.Ages,
) (t agesResult) {
	ctx, cancel := leaderContext(ctx)
	defer cancel()
	var ack detector.AgesAck
	asked := e.now()
	if t.err = e.p.call(ctx, leader, PathAges, ages, &ack); t.err != nil {
		return t
	}
	answered := e.now()
	e.p.way.heard(answered, leader)
	e.fresh.Hear(asked, ack.Index, log.State().Index())
	if ack.ConfirmedMs != nil {
		e.confirmed.Hear(asked-time.Duration(*ack.ConfirmedMs)*time.Millisecond, ack.Index, log.State().Index())
	}
	if ack.WallMs != 0 {
		// The error is at most half of the time that the call took. leaderContext bounds that
		// time, however long either host stood still.
		off := -detector.OffMs(ack.WallMs, e.p.cfg.Clock.Now().Add((asked-answered)/2))
		t.clock, t.median = &off, ack.MedianMs
	}
	t.await, t.watch = ack.Await, ack.Watch[:min(len(ack.Watch), plan.MaxWatched)]
	if ack.NeedFull {
		t.err = errNeedFull
	}
	return t
}

// take notes another voter's ages.
func (e *FailureDetector) take(voter fleet.HostID, ages detector.Ages, log Log) detector.AgesAck {
	for _, report := range ages.Reports {
		report.Clip()
		e.p.reported(report)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	ack := detector.AgesAck{NeedFull: true, WallMs: e.p.cfg.Clock.Now().UnixMilli(), ConfirmedMs: e.confirmedMs(log)}
	ack.Index = log.State().Index() // after ConfirmedMs, which speaks of no later State
	if e.leading {
		ack.NeedFull, ack.Await, ack.Watch = e.watch.Take(e.now(), voter, ages), e.await, e.watched
		if len(ages.Open)+len(ages.Gone)+len(ages.Slow) > 0 {
			e.wake()
		}
		if len(ages.Served) > 0 {
			e.nudge()
		}
		if off, known := e.median(); known {
			ms := off.Milliseconds()
			ack.MedianMs = &ms
		}
	}
	return ack
}

// median is that of the fleet's clocks minus this leader's, at most clockEvery old;
// false while too few are measured. e.mu is held.
func (e *FailureDetector) median() (time.Duration, bool) {
	if now := e.now(); e.liveness.Hosts == nil || now-e.livenessAt >= clockEvery {
		e.liveness, e.livenessAt, e.livenessNew = e.watch.Liveness(now, e.p.cfg.Report), now, false
	}
	return e.liveness.ClockOffset, e.liveness.ClockSamples >= plan.MinClockSamples
}

// noteClock keeps how far this voter's clock is from the median that the leader
// told; a leader that knows of none makes it unknown.
func (e *FailureDetector) noteClock(told agesResult) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clockOff, e.clockOffAt = nil, e.now()
	if told.median != nil {
		off := *told.clock - *told.median
		e.clockOff = &off
	}
}

// clockStanding is how this voter's clock compares with the fleet's: measured by
// itself while it leads, else as the leader told within clockKept.
func (e *FailureDetector) clockStanding() trust.ClockStanding {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leading {
		off, known := e.median()
		return trust.ClockStanding{Known: known, Off: -off}
	}
	if e.clockOff == nil || e.now()-e.clockOffAt > clockKept {
		return trust.ClockStanding{}
	}
	return trust.ClockStanding{Known: true, Off: detector.Off(*e.clockOff)}
}

// age is how long ago State here was known to be the newest: 0 while this voter
// leads, negative when it never was in this agent's life.
func (e *FailureDetector) age() time.Duration {
	log := e.p.log()
	switch {
	case log == nil:
		return e.fresh.Age(e.now(), 0)
	case log.IsLeader():
		return 0
	}
	return e.fresh.Age(e.now(), log.State().Index())
}

// Liveness is what the fleet sees of its hosts: nothing while this voter does not
// lead, and unknown at first when it does. The value is shared: it must not be
// modified, and does not change.
func (e *FailureDetector) Liveness() plan.FleetLiveness {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	if !e.leading {
		return plan.FleetLiveness{Hosts: map[fleet.HostID]plan.HostLiveness{}}
	}
	if e.liveness.Hosts == nil || e.livenessNew || now-e.livenessAt >= protocol.LivenessEvery {
		e.liveness, e.livenessAt, e.livenessNew = e.watch.Liveness(now, e.p.cfg.Report), now, false
	}
	return e.liveness
}

// heard reports whether a host is heard in a session on any voter's stream. A
// leader that has just begun does not know yet: ErrBusy.
func (e *FailureDetector) heard(host fleet.HostID, session uint64) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leading {
		if heard, known := e.watch.Heard(e.now(), host, session); known {
			return heard, nil
		}
	}
	return false, fmt.Errorf("this leader has led for less than %s and does not know yet who is heard: %w",
		protocol.NeverSeenAfter, ErrBusy)
}

// Changed receives after a host's liveness has changed, while this voter leads. For
// one receiver.
func (e *FailureDetector) Changed() <-chan struct{} { return e.changed }

// Await has the voters tell of each host how far it has come with what it is sent,
// until it serves all that is asked for: Liveness then has it. It holds for as long as
// this voter leads, and until something else is asked for; zero ends it.
func (e *FailureDetector) Await(asked fleet.Served) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.await = asked
	e.wake()
}

// Probe has witnesses look at hosts that are suspect, soon; what they find is in
// later Liveness.
func (e *FailureDetector) Probe(hosts []fleet.HostID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watch.Force(hosts)
	e.wake()
}
