package detector

import (
	"iter"
	"maps"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Streams are those of one voter: at most one a host. They remember when each host
// was heard last, also after its stream has ended.
type Streams struct {
	open   map[fleet.HostID]*Stream
	gone   map[fleet.HostID]endedStream
	opened []fleet.HostID // since the last word
	ended  []fleet.HostID // since the last word
	counts trafficSums
	owes   bool // see Owes
}

// Stream is one open stream as its voter hears it.
type Stream struct {
	host    fleet.HostID
	session uint64
	opened  time.Duration // monotonic, as all times here
	heard   time.Duration
	limit   time.Duration // see arrivals
	starved bool
	clock   int64 // ms, the host's minus the voter's; see noClock
	report  *fleet.CapacityReport
	served  fleet.Served
	entries EntryWord
	counted map[fleet.TargetGroupName]*hostCounts // of groups that are watched, as told last
	start   uint64                                // of the ingress that counted
	sums    *trafficSums                          // of all streams

	arrivals arrivals
	told     struct { // as the leader has it
		clock  int64
		report *fleet.CapacityReport
		served fleet.Served
	}
}

// endedStream remembers a stream that ended.
type endedStream struct {
	opened time.Duration
	heard  time.Duration
	ours   bool // this voter ended it: its host needs time to find another
}

// NewStreams returns those of a voter that has none.
func NewStreams() *Streams {
	return &Streams{open: map[fleet.HostID]*Stream{}, gone: map[fleet.HostID]endedStream{}}
}

// Open notes a stream of a host's session; it takes the place of an older one.
func (s *Streams) Open(now time.Duration, host fleet.HostID, session uint64) *Stream {
	st := &Stream{host: host, session: session, opened: now, heard: now, limit: protocol.SuspectAfter, clock: noClock}
	st.told.clock, st.sums = noClock, &s.counts
	if old := s.open[host]; old != nil {
		s.counts.end(old)
	}
	s.open[host] = st
	delete(s.gone, host)
	s.opened = append(s.opened, host)
	return st
}

// Close notes the end of a stream; ours when this voter ended it. False for one
// whose place a newer one has taken.
func (s *Streams) Close(st *Stream, ours bool) bool {
	if s.open[st.host] != st {
		return false
	}
	s.counts.end(st)
	delete(s.open, st.host)
	s.gone[st.host] = endedStream{opened: st.opened, heard: st.heard, ours: ours}
	s.ended = append(s.ended, st.host)
	return true
}

// Len is how many streams are open.
func (s *Streams) Len() int { return len(s.open) }

// Of is a host's open stream, or nil.
func (s *Streams) Of(host fleet.HostID) *Stream { return s.open[host] }

// All are the open streams, in no order.
func (s *Streams) All() iter.Seq[*Stream] { return maps.Values(s.open) }

// TooSoon reports whether the host's last stream opened a moment ago: a host
// that opens one after another must not take the others' share.
func (s *Streams) TooSoon(now time.Duration, host fleet.HostID) bool {
	if st := s.open[host]; st != nil {
		return now-st.opened < StreamSpacing
	}
	mark, ok := s.gone[host]
	return ok && now-mark.opened < StreamSpacing
}

// Heard reports whether a host was heard within HeardWithin on a stream of a
// session.
func (s *Streams) Heard(now time.Duration, host fleet.HostID, session uint64) bool {
	st := s.open[host]
	return st != nil && st.session == session && now-st.heard < HeardWithin
}

// Beat is what a host says of itself on its stream.
type Beat struct {
	WallMs  int64 // its clock, UTC; 0: not told
	Starved bool
	Report  *fleet.CapacityReport // nil: as before; not to be changed any more
	Served  fleet.Served
	Traffic *fleet.HostTraffic // nil: nothing new; not to be changed any more
	// Leaving and Troubles: see plan.HostLiveness. Not to be changed any more.
	Leaving  bool
	Troubles []plan.EntryTrouble
}

// Beat notes a beat that came; ours is this voter's clock.
func (st *Stream) Beat(now time.Duration, ours time.Time, b Beat) {
	gap := now - st.heard
	st.arrivals.add(gap)
	if b.WallMs != 0 && inStep(gap) {
		st.clock = OffMs(b.WallMs, ours)
	}
	st.limit = st.arrivals.suspectAfter()
	st.heard, st.starved, st.served = now, b.Starved, b.Served
	st.entries = EntryWord{Host: st.host, Leaving: b.Leaving, Troubles: b.Troubles}
	if b.Report != nil {
		st.report = b.Report
	}
	if b.Traffic != nil {
		st.sums.take(st, *b.Traffic)
	}
}

// Set has a stream be as its beats would have made it, for a shell that does not
// carry each of them.
func (st *Stream) Set(heard time.Duration, offMs int64, starved bool, served fleet.Served) {
	st.heard, st.clock, st.starved, st.served = heard, offMs, starved, served
}

// Host is whose stream it is.
func (st *Stream) Host() fleet.HostID { return st.host }

// Last is when the host was heard last.
func (st *Stream) Last() time.Duration { return st.heard }
