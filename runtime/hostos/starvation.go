package hostos

import (
	"context"
	"sync"
	"time"

	"skein/runtime/seam/clock"
)

// Figures of the meter. A host that is late is no witness of others' silence,
// so the bounds lie well under the shortest timer they protect: suspicion after
// 600 ms, gossip probes after 200 ms. A protected agent beside 16 busy loops
// wakes within 5.5 ms at worst, an unprotected one on the same machine within
// 12 to 30, one that shares its cgroup with the loops within 380 to 650.
const (
	// Tick is how often the meter asks to be woken, for a Window after a tick was
	// Late; CalmTick is how often else: most hosts are always on time, and waking is
	// what an idle agent costs. A stall of VeryLate and a CalmTick is seen for sure.
	Tick     = 20 * time.Millisecond
	CalmTick = 100 * time.Millisecond
	// VeryLate, once, is starved.
	VeryLate = 150 * time.Millisecond
	// Late ticks are starved when they are more than LateShare of a window.
	Late      = 20 * time.Millisecond
	LateShare = 0.1
	// SlowSync, once, is starved: a disk that stalls so long stalls the log.
	SlowSync = time.Second
	// Window is how far back the meter looks; a host must be on time for a whole
	// window before it is trusted again.
	Window = 5 * time.Second
)

const windowTicks = int(Window / Tick)

// Starvation judges from ticks whether this process gets to run. Pure: it is told
// times and reads no clock. The zero value has seen nothing and is not starved.
type Starvation struct {
	late    [windowTicks]bool // ring: tick was Late
	next    int
	ticks   int
	lateN   int
	until   time.Duration // starved at least until this instant
	alert   time.Duration // ticks each Tick until this instant
	due     time.Duration // of the next tick
	started bool
	worst   time.Duration // in this window and the one before
	worstAt time.Duration
}

// Tick tells the meter that it was woken at now, a monotonic instant, and returns
// when it asks to be woken next.
func (l *Starvation) Tick(now time.Duration) (due time.Duration) {
	if l.started {
		by := max(0, now-l.due)
		l.record(by >= Late)
		l.note(now, by)
		if by >= VeryLate || float64(l.lateN) > LateShare*float64(windowTicks) {
			l.until = now + Window
		}
		if by >= Late {
			l.alert = now + Window
		}
	}
	every := CalmTick
	if now < l.alert {
		every = Tick
	}
	l.started, l.due = true, now+clock.UntilNext(now, every)
	return l.due
}

// Sync tells the meter how long a write took to reach the disk.
func (l *Starvation) Sync(now, took time.Duration) {
	if took >= SlowSync {
		l.until = now + Window
	}
}

// Starved reports whether the host is to be trusted less, as of now.
func (l *Starvation) Starved(now time.Duration) bool { return now < l.until }

// Worst is the longest delay of the last one to two windows.
func (l *Starvation) Worst() time.Duration { return l.worst }

func (l *Starvation) record(late bool) {
	if l.ticks == windowTicks && l.late[l.next] {
		l.lateN--
	}
	l.late[l.next] = late
	if late {
		l.lateN++
	}
	l.next = (l.next + 1) % windowTicks
	l.ticks = min(l.ticks+1, windowTicks)
}

func (l *Starvation) note(now, by time.Duration) {
	if by >= l.worst || now-l.worstAt > 2*Window {
		l.worst, l.worstAt = by, now
	}
}

// Meter runs a Starvation beside the agent. Its methods may be called from any
// goroutine.
type Meter struct {
	mono func() time.Duration
	mu   sync.Mutex
	l    Starvation
}

// NewMeter makes a meter on a monotonic clock. It measures while Run runs.
func NewMeter(mono func() time.Duration) *Meter { return &Meter{mono: mono} }

// Run ticks until ctx ends and returns nil.
func (m *Meter) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			timer.Reset(m.tick())
		}
	}
}

// tick takes note of the time and returns the pause until the next tick.
func (m *Meter) tick() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.mono()
	return m.l.Tick(now) - now
}

// Sync reports how long a write took to reach the disk.
func (m *Meter) Sync(took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.l.Sync(m.mono(), took)
}

// Starved reports whether this process is late, and the worst delay seen lately.
// A meter that has itself not been woken for long is starved.
func (m *Meter) Starved() (starved bool, worst time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.mono()
	overdue := m.l.started && now-m.l.due >= VeryLate
	return overdue || m.l.Starved(now), m.l.Worst()
}
