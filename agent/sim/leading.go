package sim

import (
	"fmt"
	"time"

	"skein/agent/lead"
	"skein/agent/sim/simdetector"
	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// leading carries out what the leader loop of one voter decides; it stands for
// lead.Leader over the simulated log.
type leading struct {
	a          *agent
	loop       *lead.Loop
	detector   *simdetector.Detector // nil while the log does not lead
	keeping    *keeping
	timer      *virtual.Timer
	pending    *lead.Applied
	woken      bool
	notices    int
	regain     time.Duration
	waiting    bool   // a barrier is under way
	passes     uint64 // counted so far
	livenessAt time.Duration
	// hostMoved: a host's row has changed since the sights were read.
	hostMoved bool
}

func newLeading(a *agent) *leading {
	l := &leading{a: a}
	l.loop = lead.NewLoop(a.w.newTaskID, a.w.planners()...)
	l.keeping = newKeeping(a)
	return l
}

func (l *leading) now() lead.Instant {
	return lead.Instant{Wall: l.a.fleetTime(), Mono: l.a.w.time.Now()}
}

// turned takes note of a change of leadership.
func (l *leading) turned(leads bool) {
	l.notices++
	l.step(lead.LostLeadership{})
	if l.detector != nil {
		l.detector.Close()
		l.detector = nil
	}
	if !leads {
		l.keeping.stop()
		return
	}
	l.detector = l.a.w.detectors.Detector(l.a.id, l.a.life)
	l.detector.OnChange(l.polled)
	l.barrier()
}

// barrier begins to plan once everything earlier in the log is applied here.
func (l *leading) barrier() {
	if l.waiting || l.a.node == nil || !l.a.node.IsLeader() || l.a.w.time.Now() < l.regain {
		return
	}
	l.waiting = true
	notice := l.notices
	l.a.node.Barrier(func(err error) {
		l.waiting = false
		switch {
		case l.a.node == nil || !l.a.node.IsLeader() || l.loop.Leading():
		case notice != l.notices:
			l.barrier()
		case err != nil:
			l.a.life.After(lead.LivenessEvery, l.barrier)
		default:
			l.a.w.note("%s plans from index %d", l.a.name, l.a.node.State().Index())
			l.pending = nil
			l.step(l.liveness(), lead.BecameLeader{State: l.a.node.State()})
			l.keeping.begin()
		}
	})
}

func (l *leading) liveness() lead.Event {
	l.livenessAt = l.a.w.time.Now()
	return lead.LivenessChanged{Liveness: l.detector.Liveness()}
}

func (l *leading) polled() {
	if l.detector != nil {
		l.step(l.liveness())
		l.keeping.wake()
	}
}

// applied gathers what entries touched until the loop is stepped, at once.
func (l *leading) applied(t fleet.ChangeSet) {
	if l.detector != nil {
		l.detector.Applied(t)
	}
	if !l.loop.Leading() {
		return
	}
	l.hostMoved = l.hostMoved || len(t.Hosts) > 0
	if l.pending == nil {
		l.pending = &lead.Applied{}
	}
	l.pending.State = l.a.node.State()
	l.pending.ChangeSet.Merge(t)
	if t.Voters || t.Fleet || len(t.Hosts) > 0 {
		l.keeping.wake()
	}
	if !l.woken {
		l.woken = true
		l.a.life.After(0, func() { l.woken = false; l.woke() })
	}
}

func (l *leading) step(events ...lead.Event) {
	if l.pending != nil {
		events = append(events, *l.pending)
		l.pending = nil
	}
	for _, e := range l.loop.Step(l.now(), events...) {
		l.carryOut(e)
	}
	l.a.w.countLoop(l)
}

// woke steps the loop. Production reads the sights each lead.LivenessEvery; here they
// are read again only where their ages may count.
func (l *leading) woke() {
	count := l.detector != nil && (l.hostMoved || l.detector.Aged())
	if count && l.a.w.time.Now()-l.livenessAt >= lead.LivenessEvery {
		l.hostMoved = false
		l.step(l.liveness())
		return
	}
	l.step()
}

func (l *leading) carryOut(e lead.Effect) {
	switch e := e.(type) {
	case lead.Propose:
		l.propose(e.N, e.Entries, lead.ProposalDone{N: e.N})
	case lead.Probe:
		if l.detector != nil {
			l.detector.Probe(e.Hosts)
		}
	case lead.StepDown:
		l.regain = l.a.w.time.Now() + lead.RegainAfter
		l.a.w.sometimes("a leader steps down because a proposal is unknown")
		l.transfer(e.Why)
		l.a.life.After(lead.RegainAfter+time.Millisecond, l.barrier)
	case lead.HandOver:
		l.a.w.sometimes("a leader hands over because its clock is off")
		l.transfer(e.Why)
	case lead.Wake:
		l.timer.Stop()
		l.timer = l.a.life.After(e.At-l.a.w.time.Now(), l.woke)
	}
}

// propose commits entries, each when the one before it has.
func (l *leading) propose(n uint64, entries [][]fleet.Item, done lead.ProposalDone) {
	if len(entries) == 0 {
		l.step(done)
		return
	}
	if l.a.node == nil {
		l.step(lead.ProposalUnknown{N: n, Err: simlog.ErrUnknown})
		return
	}
	l.a.node.Propose(entries[0], l.a.fleetTime(), func(results []fleet.Result, index uint64, err error) {
		switch {
		case simlog.NotProposed(err):
			done.NotProposed = err
			l.step(done)
		case err != nil:
			l.step(lead.ProposalUnknown{N: n, Err: err})
		default:
			done.Index, done.Results = index, append(done.Results, results...)
			l.propose(n, entries[1:], done)
		}
	})
}

func (l *leading) transfer(why string) {
	l.a.w.note("%s gives leadership away: %s", l.a.name, why)
	if l.a.node == nil {
		return
	}
	l.a.node.Transfer(func(err error) {
		if err != nil {
			l.a.w.note("%s still leads: %v", l.a.name, fmt.Errorf("transfer: %w", err))
		}
	})
}
