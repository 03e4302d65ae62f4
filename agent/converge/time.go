package converge

import (
	"cmp"
	"container/heap"
	"fmt"
	"time"

	"skein/raftfsm/fleet"
)

// timer is a task's wish to be looked at.
type timer struct {
	at   time.Duration
	task fleet.TaskID
}

// timers is a heap of timers, earliest first; ties by task so that equal
// machines agree.
type timers []timer

func (h timers) Len() int { return len(h) }
func (h timers) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), cmp.Compare(h[i].task, h[j].task)) < 0
}
func (h timers) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timers) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timers) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// wake looks at everything whose time has come.
func (m *Machine) wake() {
	for len(m.timers) > 0 && m.timers[0].at <= m.now.Mono {
		due := heap.Pop(&m.timers).(timer)
		if t := m.tasks[due.task]; t != nil && t.wake.due == due.at {
			t.wake.due = noTime
			m.touch(t)
		}
	}
	for len(m.maintenance) > 0 && m.maintenance[0].at <= m.now.Mono {
		due := heap.Pop(&m.maintenance).(timer)
		if t := m.tasks[due.task]; t != nil && t.wake.maintenance == due.at {
			t.wake.maintenance = noTime
			m.touch(t)
		}
	}
	m.decideBoot()
	m.watchRuntime()
	m.watchVoters()
	m.wakeImages()
	m.tidyLogs()
	m.nextInLine()
}

// watchVoters says so when no voter has been heard for a while.
func (m *Machine) watchVoters() {
	v := &m.voters
	if !v.alone && m.now.Mono >= v.heard+aloneAfter {
		v.alone = true
		m.stand(NoteAlone, "since "+v.heardWall.String())
	}
}

// cutOff ends a task that must not run on a host that no voter can reach. A
// voter without a leader does not count: it may be cut off together with this
// host, while the fleet starts a replacement elsewhere.
func (m *Machine) cutOff(t *task) {
	at := m.cutOffAt(t)
	if at == noTime || m.now.Mono < at {
		return
	}
	m.end(t, fleet.StopInfrastructureHealth, fmt.Sprintf("no voter with a leader heard for %s (onDisconnect)",
		time.Duration(t.spec.wanted.StopAfterMs)*time.Millisecond))
}

func (m *Machine) cutOffAt(t *task) time.Duration {
	if t.spec.wanted == nil || t.spec.wanted.StopAfterMs <= 0 || t.phase != phaseStarting {
		return noTime
	}
	return m.voters.led + time.Duration(t.spec.wanted.StopAfterMs)*time.Millisecond
}

// waiting finds the earliest of several times that have not come yet. One that
// has come is left out: what it asks for was done, or waits for an event.
type waiting struct{ now, due time.Duration }

func (w *waiting) until(at time.Duration) {
	if at > w.now {
		w.due = min(w.due, at)
	}
}

// schedule has a task looked at again when time alone will change something.
func (m *Machine) schedule(t *task) {
	w := waiting{now: m.now.Mono, due: noTime}
	w.until(t.sandbox.step.retryAt)
	w.until(t.sandbox.retryAt)
	w.until(t.report.notBefore)
	w.until(m.cutOffAt(t))
	w.until(m.orphanDue(t))
	w.until(m.giveUpDue(t))
	if t.start.unknownAt != 0 {
		w.until(t.start.unknownAt + unknownSettle)
	}
	for _, c := range t.containers {
		w.until(c.step.retryAt)
		w.until(c.judgeAt())
	}
	m.stopDue(t, &w)
	maintenance := waiting{now: m.now.Mono, due: noTime}
	t.probeDue(&w, &maintenance)
	t.targetDue(&w, &maintenance)
	m.timers.move(&t.wake.due, w.due, t.id)
	m.maintenance.move(&t.wake.maintenance, maintenance.due, t.id)
}

// move has a task's timer come at another time.
func (h *timers) move(from *time.Duration, to time.Duration, task fleet.TaskID) {
	if *from == to {
		return
	}
	*from = to
	if to != noTime {
		heap.Push(h, timer{at: to, task: task})
	}
}

// next drops timers that another has replaced, or whose task is gone, and
// returns the time of the first.
func (h *timers) next(valid func(timer) bool) time.Duration {
	for len(*h) > 0 {
		if valid((*h)[0]) {
			return (*h)[0].at
		}
		heap.Pop(h)
	}
	return noTime
}

func (m *Machine) orphanDue(t *task) time.Duration {
	if t.deferral == deferOrphan && m.voters.synced {
		return t.spec.orphanSince + orphanAfter
	}
	return noTime
}

// stopDue is when the stop of a task has its next deadline.
func (m *Machine) stopDue(t *task, w *waiting) {
	if t.phase != phaseStopping {
		return
	}
	t.drainDue(w)
	for _, c := range t.containers {
		if !c.living() || c.leftover {
			continue
		}
		w.until(t.signalNext(c))
		w.until(m.relist.last + relistWhileStopping)
		if c.stop.killed != 0 {
			w.until(c.stop.killed + stuckAfter)
		}
	}
}

// giveUpDue is when a task stops waiting for the wanted file.
func (m *Machine) giveUpDue(t *task) time.Duration {
	if m.disk.failing == 0 || t.phase != phaseStarting || m.wants.saved >= t.spec.listedGen {
		return noTime
	}
	return m.disk.failing + journalGiveUp
}

// arm asks for a Tick at the earliest time that anything is due.
func (m *Machine) arm() {
	next := ArmTimer{
		Work: m.timers.next(func(due timer) bool { t := m.tasks[due.task]; return t != nil && t.wake.due == due.at }),
		At: m.maintenance.next(func(due timer) bool {
			t := m.tasks[due.task]
			return t != nil && t.wake.maintenance == due.at
		}),
	}
	for _, at := range []time.Duration{m.imagesDue(), m.slotDue(), m.resendDue(), m.bootDue(), m.runtimeDue(), m.saveDue(),
		m.journalDue(),
		m.routesDue()} {
		next.Work = min(next.Work, at)
	}
	if m.routing.untold {
		next.Work = min(next.Work, m.savedRoutesDue())
	}
	if m.relist.want {
		next.Work = min(next.Work, m.relistDue())
	}
	next.At = min(next.Work, next.At, m.relistDue(), m.logsDue(), m.aloneDue())
	next.At, next.Work = max(next.At, m.now.Mono+1), max(next.Work, m.now.Mono+1)
	if next != m.armed {
		m.armed = next
		if next.At != noTime {
			m.post("", next)
		}
	}
}

func (m *Machine) bootDue() time.Duration {
	if m.voters.decided || m.voters.word {
		return noTime
	}
	return m.coldStartAt()
}

// aloneDue is when the log is to be told that no voter was heard for long. While
// a stream is up, that only means that nothing was said here meanwhile.
func (m *Machine) aloneDue() time.Duration {
	if m.voters.alone {
		return noTime
	}
	return m.voters.heard + aloneAfter
}

// runtimeDue is when the status is to say that the runtime is away.
func (m *Machine) runtimeDue() time.Duration {
	if _, told := m.standing[NoteRuntimeDown]; m.runtime.up || told {
		return noTime
	}
	return m.runtime.since + runtimeDownFor
}

// journalDue is when records that could not be written are to be tried again.
func (m *Machine) journalDue() time.Duration {
	if m.disk.owing == 0 || m.disk.journal {
		return noTime
	}
	return m.disk.owingTry
}

func (m *Machine) saveDue() time.Duration {
	if m.wants.saved == m.wants.gen || m.disk.wanted {
		return noTime
	}
	return m.disk.retry
}
