package peer

import (
	"sync"
	"sync/atomic"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/clock"
)

// hub is the streams of this voter: at most one a host. It wakes those whose
// part of State moved, and remembers when it last heard each host.
type hub struct {
	clock clock.Clock
	wakes atomic.Uint64 // streams woken, for tests and metrics

	mu      sync.Mutex
	streams map[fleet.HostID]*hostStream
	gone    map[fleet.HostID]endedStream
	closed  bool
	all     sync.WaitGroup
	changes []fleet.HostID // streams opened since the last drain
	ended   []fleet.HostID // streams ended since the last drain

	// Apart from mu, which wake takes while the log may hold a lock of its own.
	attaching sync.Mutex
	attached  Log
	cancel    func()
}

// endedStream remembers a stream that ended.
type endedStream struct {
	opened time.Duration
	heard  time.Duration
	ours   bool // this voter ended it: its host needs time to find another
}

func newHub(c clock.Clock) *hub {
	return &hub{clock: c, streams: map[fleet.HostID]*hostStream{}, gone: map[fleet.HostID]endedStream{}}
}

// attach follows a log, or none; again with the same one does nothing.
func (h *hub) attach(log Log) {
	h.attaching.Lock()
	defer h.attaching.Unlock()
	if h.attached == log {
		return
	}
	if h.cancel != nil {
		h.cancel()
		h.cancel = nil
	}
	h.attached = log
	if log != nil {
		h.cancel = log.Subscribe(h.wake)
	}
}

// wake is called from the goroutine that applies: it only sets flags.
func (h *hub) wake(_ uint64, t fleet.ChangeSet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hosts := range [][]fleet.HostID{t.Wanted, t.Hosts} {
		for _, host := range hosts {
			if s := h.streams[host]; s != nil {
				s.nudge()
				h.wakes.Add(1)
			}
		}
	}
}

// add makes s its host's stream; an older one is told to end.
func (h *hub) add(s *hostStream) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	if old := h.streams[s.host]; old != nil {
		old.end(trust.Problem{Code: "busy", Message: "a newer stream of this host took its place"})
	}
	h.streams[s.host] = s
	delete(h.gone, s.host)
	h.changes = append(h.changes, s.host)
	h.all.Add(1)
	return true
}

// remove forgets a stream; ours when this voter ended it.
func (h *hub) remove(s *hostStream, ours bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.all.Done()
	if h.streams[s.host] != s {
		return // a newer one took its place
	}
	delete(h.streams, s.host)
	h.gone[s.host] = endedStream{opened: s.opened, heard: s.lastHeard(), ours: ours}
	h.ended = append(h.ended, s.host)
}

// tooSoon reports whether the host's last stream opened a moment ago: a host
// that opens one after another must not take the others' share.
func (h *hub) tooSoon(host fleet.HostID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock.Mono()
	if s := h.streams[host]; s != nil {
		return now-s.opened < streamSpacing
	}
	mark, ok := h.gone[host]
	return ok && now-mark.opened < streamSpacing
}

func (h *hub) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// heard reports whether a host was heard within heardWithin on a stream of a
// session.
func (h *hub) heard(host fleet.HostID, session uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.streams[host]
	return s != nil && s.session == session && h.clock.Mono()-s.lastHeard() < heardWithin
}

func (h *hub) closeAll(why trust.Problem) {
	h.attach(nil)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, s := range h.streams {
		s.end(why)
	}
}

func (h *hub) wait() { h.all.Wait() }

// ages says how old the streams are. The first answer to a leader, full, holds
// all; later ones what changed since.
func (h *hub) ages(now time.Duration, full bool) Ages {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := Ages{Full: full}
	for host, mark := range h.gone {
		if now-mark.heard > goneKept {
			delete(h.gone, host)
		} else if full {
			a.Gone = append(a.Gone, mark.age(host, now))
		}
	}
	if !full {
		for _, host := range h.ended {
			if mark, ok := h.gone[host]; ok {
				a.Gone = append(a.Gone, mark.age(host, now))
			}
		}
		for _, host := range h.changes {
			if s := h.streams[host]; s != nil {
				a.Open = append(a.Open, OpenAge{Host: host, Session: s.session})
			}
		}
	}
	h.ended, h.changes = nil, nil
	for host, s := range h.streams {
		if full {
			a.Open = append(a.Open, OpenAge{Host: host, Session: s.session})
		}
		if off := s.clockOff.Load(); off != noClock && (full || s.told == noClock || max(off-s.told, s.told-off) > clockStep.Milliseconds()) {
			s.told = off
			a.Clocks = append(a.Clocks, HostClock{Host: host, OffMs: off})
		}
		if age := now - s.lastHeard(); age > slowAge {
			a.Slow = append(a.Slow, SlowAge{Host: host, AgeMs: age.Milliseconds(), SuspectMs: s.suspectAfter().Milliseconds()})
		}
		if full {
			s.reported = nil
		}
		if r := s.capacity.Load(); r != s.reported && len(a.Reports) < maxAgesReports {
			s.reported = r
			a.Reports = append(a.Reports, *r)
		}
		if s.starved.Load() {
			a.StarvedHosts = append(a.StarvedHosts, host)
		}
	}
	return a
}

func (m endedStream) age(host fleet.HostID, now time.Duration) GoneAge {
	return GoneAge{Host: host, AgeMs: (now - m.heard).Milliseconds(), Cut: m.ours}
}

// late counts streams that are past SuspectAfter.
func (h *hub) late(now time.Duration) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, s := range h.streams {
		if now-s.lastHeard() > protocol.SuspectAfter {
			n++
		}
	}
	return n
}
