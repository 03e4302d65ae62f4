package peer

import (
	"sync"
	"sync/atomic"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
)

// hub is the streams of this voter: at most one a host. It wakes those whose
// part of State moved, and keeps the record of when each host was heard.
type hub struct {
	clock clock.Clock
	wakes atomic.Uint64 // streams woken, for tests and metrics

	mu      sync.Mutex
	streams map[fleet.HostID]*hostStream
	heard   *detector.Streams
	leased  time.Duration // when a host asked for its lease last; negative: none did
	closed  bool
	all     sync.WaitGroup

	// Apart from mu, which wake takes while the log may hold a lock of its own.
	attaching sync.Mutex
	attached  Log
	cancel    func()
}

func newHub(c clock.Clock) *hub {
	return &hub{clock: c, streams: map[fleet.HostID]*hostStream{}, heard: detector.NewStreams(), leased: -leasedFor}
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
	if t.Any(fleet.SubjectRoutes) {
		for _, s := range h.streams {
			s.nudge()
			h.wakes.Add(1)
		}
		return
	}
	for host := range t.Hosts() {
		if s := h.streams[host]; s != nil {
			s.nudge()
			h.wakes.Add(1)
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
	s.heard = h.heard.Open(h.clock.Mono(), s.host, s.session)
	h.all.Add(1)
	return true
}

// remove forgets a stream; ours when this voter ended it.
func (h *hub) remove(s *hostStream, ours bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.all.Done()
	if h.heard.Close(s.heard, ours) {
		delete(h.streams, s.host)
	}
}

// beat notes what came on a stream. It reports whether the host has come to routes that the
// leader waits to hear of.
func (h *hub) beat(s *hostStream, b detector.Beat, routes fleet.Served) (came bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.heard.Beat(h.clock.Mono(), h.clock.Now(), b)
	return h.heard.Came(s.heard, routes)
}

// watch has hosts tell of target groups.
func (h *hub) watch(groups []fleet.TargetGroupName) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard.Watch(groups)
}

func (h *hub) watching() []fleet.TargetGroupName {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.heard.Watching()
}

// owes reports whether a host has come to routes of which the leader was not told yet.
func (h *hub) owes() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.heard.Owes()
}

// leaseAsked notes that a host with entry addresses streams from here.
func (h *hub) leaseAsked() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leased = h.clock.Mono()
}

// leases reports whether a host with entry addresses streamed from here lately.
func (h *hub) leases(now time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now-h.leased < leasedFor
}

// tooSoon: see detector.Streams.
func (h *hub) tooSoon(host fleet.HostID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.heard.TooSoon(h.clock.Mono(), host)
}

func (h *hub) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// hears reports whether a host was heard lately on a stream of a session.
func (h *hub) hears(host fleet.HostID, session uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.heard.Heard(h.clock.Mono(), host, session)
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

// tell is the next word about the streams to a leader.
func (h *hub) tell(
	t *detector.Teller, now time.Duration, leader fleet.HostID, routes fleet.Served, starved bool,
) detector.Ages {
	h.mu.Lock()
	defer h.mu.Unlock()
	return t.Next(now, leader, h.heard, h.heard.All(), routes, starved)
}

// oldest is when the stream that was silent longest was heard; now where there is none.
func (h *hub) oldest(now time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.heard.All() {
		now = min(now, s.Last())
	}
	return now
}

// late counts streams that are past SuspectAfter.
func (h *hub) late(now time.Duration) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return detector.Late(now, h.heard.All())
}
