package sim

import (
	"fmt"

	"skein/agent/lead"
	"skein/agent/plan"
	"skein/agent/sim/simdetector"
	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// leading runs the leader of one voter over the simulated log and failure detector.
type leading struct {
	a        *agent
	driver   *lead.Driver
	detector *simdetector.Detector // nil while the log does not lead
	traffic  *traffic
	keeping  *keeping
	carrying *executing
	timer    *virtual.Timer
	pending  *lead.Applied
	woken    bool
	turns    turns[lead.Event]
	passes   uint64 // counted so far
}

func newLeading(a *agent) *leading {
	l := &leading{a: a, keeping: &keeping{a: a}, driver: lead.NewDriver(lead.DriverConfig{
		NewID: a.w.newTaskID, Planners: a.w.planners(), NotProposed: simlog.NotProposed, Told: true,
	})}
	l.traffic = &traffic{l: l}
	l.carrying = &executing{a: a, detector: func() plan.FleetLiveness { return l.detector.Liveness() }}
	return l
}

// turned takes note of a change of leadership.
func (l *leading) turned(leads bool) {
	if l.detector != nil {
		l.detector.Close()
		l.detector = nil
	}
	if leads {
		l.detector = l.a.w.detectors.Detector(l.a.id, l.a.life)
		l.detector.OnChange(l.noticed)
	}
	l.step(lead.LeadershipChanged{})
}

func (l *leading) noticed() {
	l.step(lead.LivenessNoticed{})
	l.keeping.wake()
}

// applied gathers what entries changed until the driver is stepped, at once.
func (l *leading) applied(changes fleet.ChangeSet) {
	if l.detector != nil {
		l.detector.Applied(changes)
	}
	if !l.driver.Leading() {
		return
	}
	if l.pending == nil {
		l.pending = &lead.Applied{}
	}
	l.pending.Merge(l.a.node.State(), changes)
	if changes.Any(fleet.SubjectVoters, fleet.SubjectFleet, fleet.SubjectHost) {
		l.keeping.wake()
	}
	l.carrying.wake(changes)
	if !l.woken {
		l.woken = true
		l.a.life.After(0, func() { l.woken = false; l.step() })
	}
}

func (l *leading) step(events ...lead.Event) {
	l.turns.take(events, func() bool { return true }, l.stepOnce)
	l.a.w.countLoop(l)
}

func (l *leading) stepOnce(events []lead.Event) {
	if l.pending != nil {
		events = append(events, *l.pending)
		l.pending = nil
	}
	in := lead.Input{Now: lead.Instant{Wall: l.a.fleetTime(), Mono: l.a.w.time.Now()}}
	if l.a.node != nil {
		in.Leads, in.State = l.a.node.IsLeader() && l.detector != nil, l.a.node.State()
	}
	for _, e := range l.driver.Step(in, events...) {
		l.carryOut(e)
	}
}

func (l *leading) carryOut(e lead.Effect) {
	switch e := e.(type) {
	case lead.Barrier:
		l.a.node.Barrier(func(err error) { l.step(lead.BarrierDone{N: e.N, Err: err}) })
	case lead.ReadLiveness:
		seen := l.detector.Liveness()
		l.a.w.watch.served(seen)
		l.step(lead.LivenessChanged{Liveness: seen, Traffic: l.traffic.seen()})
	case lead.ProposeEntry:
		l.a.node.Propose(e.Items, l.a.fleetTime(), func(results []fleet.Result, index uint64, err error) {
			l.step(lead.EntryDone{N: e.N, Index: index, Results: results, Err: err})
		})
	case lead.Probe:
		l.detector.Probe(e.Hosts)
	case lead.Watch:
		l.traffic.watch(e.Groups)
		if l.detector != nil {
			l.detector.Watch(e.Groups)
		}
	case lead.StartDuties:
		l.a.w.note("%s plans from index %d", l.a.name, l.a.node.State().Index())
		l.keeping.begin()
		l.carrying.begin()
		if l.a.w.cfg.Await {
			l.await()
		}
	case lead.StopDuties:
		l.keeping.stop()
		l.carrying.stop()
	case lead.StepDown:
		l.a.w.sometimes("a leader steps down because a proposal is unknown")
		l.transfer(e.Why)
	case lead.HandOver:
		l.a.w.sometimes("a leader hands over because its clock is off")
		l.transfer(e.Why)
	case lead.Wake:
		l.timer.Stop()
		l.timer = l.a.life.After(e.At-l.a.w.time.Now(), func() { l.step() })
	}
}

// await asks how far hosts have come with what State has now, as somebody does who
// needs to know when all carry it out.
func (l *leading) await() fleet.Served {
	st := l.a.node.State()
	asked := fleet.ServedAt(st.Fleet().Epoch, st.Index())
	l.detector.Await(asked)
	return asked
}

func (l *leading) transfer(why string) {
	l.a.w.note("%s gives leadership away: %s", l.a.name, why)
	l.a.w.watch.checker.SteppedDown(l.a.node.ID())
	l.a.node.Transfer(func(err error) {
		if err != nil {
			l.a.w.note("%s still leads: %v", l.a.name, fmt.Errorf("transfer: %w", err))
		}
	})
}
