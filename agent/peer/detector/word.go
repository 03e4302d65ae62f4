package detector

import (
	"iter"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// Teller decides when a voter tells the leader of its streams, and what.
type Teller struct {
	leader fleet.HostID // who was told last
	full   bool         // that one needs all the next time
	at     time.Duration
	late   int // streams past SuspectAfter when it was told
	seq    uint64
	clock  *int64 // ms, this voter's minus the leader's; nil until measured
	await  fleet.Served
}

// Own has the next word, which the voter that leads tells itself, hold all.
func (t *Teller) Own(self fleet.HostID) { *t = Teller{leader: self, full: true, seq: t.seq} }

// TellsAll reports whether the next word to a leader will hold all.
func (t *Teller) TellsAll(leader fleet.HostID) bool { return t.full || leader != t.leader }

// Due reports whether a leader is to be told now: each so often, at once when one more
// host is late, and at once when another leads; soon when a host has come to the newest
// routes (owes, see Streams).
func (t *Teller) Due(now, every time.Duration, leader fleet.HostID, late int, owes bool) bool {
	return leader != t.leader || now-t.at >= every || late > t.late || owes && now-t.at >= RoutesGather
}

// Next is the next word to a leader. looked are the streams to look at: all that are
// open, but for those of which it is known that they are heard as always. A new leader
// is told of all. routes is how far this voter's State is with routes.
func (t *Teller) Next(
	now time.Duration, leader fleet.HostID, s *Streams, looked iter.Seq[*Stream], routes fleet.Served, starved bool,
) Ages {
	t.full = t.TellsAll(leader)
	if leader != t.leader {
		t.leader, t.clock, t.await = leader, nil, fleet.Served{}
	}
	a := s.word(now, t.full, t.awaits(s, routes), looked)
	t.seq++
	t.full, t.at, t.late = false, now, Late(now, looked)
	a.Seq, a.Starved, a.ClockMs = t.seq, starved, t.clock
	return a
}

// Await notes what the leader wants to hear that hosts serve; zero for nothing. Each
// host is told of while it has not come to that, and once when it has.
func (t *Teller) Await(asked fleet.Served) { t.await = asked }

// awaits is what hosts are told of until they have come to it: what is awaited and, while
// something is watched, the newest routes.
func (t *Teller) awaits(s *Streams, routes fleet.Served) fleet.Served {
	asked := t.await
	switch {
	case len(s.counts.watch) == 0 || routes.Epoch < asked.Epoch:
	case routes.Epoch > asked.Epoch:
		asked = routes
	default:
		asked.Routes = max(asked.Routes, routes.Routes)
	}
	return asked
}

// Told notes what became of the last word. One that may not have come, or that the
// leader could not use, is followed by one with all. clock is this voter's minus the
// leader's, in ms; nil when it was not measured.
func (t *Teller) Told(taken bool, clock *int64) {
	if !taken {
		t.full = true
	}
	if clock != nil {
		t.clock = clock
	}
}

// Late counts streams that are past SuspectAfter.
func Late(now time.Duration, looked iter.Seq[*Stream]) int {
	n := 0
	for st := range looked {
		if now-st.heard > protocol.SuspectAfter {
			n++
		}
	}
	return n
}

// NextLate is when one more stream is past SuspectAfter if nothing comes on it.
func NextLate(now time.Duration, looked iter.Seq[*Stream]) time.Duration {
	next := protocol.Never
	for st := range looked {
		if at := st.heard + protocol.SuspectAfter + 1; at > now {
			next = min(next, at)
		}
	}
	return next
}

// word says how old the streams are: all of them when full, else what changed since
// the word before, and those that are slow.
func (s *Streams) word(now time.Duration, full bool, await fleet.Served, looked iter.Seq[*Stream]) Ages {
	a := Ages{Full: full}
	if full {
		s.tellAll(now, &a)
	} else {
		s.tellChanged(now, &a)
	}
	s.opened, s.ended, s.owes = nil, nil, false
	a.Traffic = s.counts.tell(full)
	for st := range looked {
		st.tell(now, full, &a)
		st.tellServed(await, &a)
	}
	return a
}

func (s *Streams) tellAll(now time.Duration, a *Ages) {
	for host, mark := range s.gone {
		if now-mark.heard > goneKept {
			delete(s.gone, host)
			continue
		}
		a.Gone = append(a.Gone, mark.age(host, now))
	}
	for host, st := range s.open {
		a.Open = append(a.Open, OpenAge{Host: host, Session: st.session})
		st.told.report, st.told.served = nil, fleet.Served{}
	}
}

func (s *Streams) tellChanged(now time.Duration, a *Ages) {
	for _, host := range s.ended {
		if mark, ok := s.gone[host]; ok {
			a.Gone = append(a.Gone, mark.age(host, now))
		}
	}
	for _, host := range s.opened {
		if st := s.open[host]; st != nil {
			a.Open = append(a.Open, OpenAge{Host: host, Session: st.session})
		}
	}
}

// tell adds what a leader does not know of a stream yet.
func (st *Stream) tell(now time.Duration, full bool, a *Ages) {
	told := &st.told
	moved := max(st.clock-told.clock, told.clock-st.clock) > clockStep.Milliseconds()
	if st.clock != noClock && (full || told.clock == noClock || moved) {
		told.clock = st.clock
		a.Clocks = append(a.Clocks, HostClock{Host: st.host, OffMs: st.clock})
	}
	if age := now - st.heard; age > slowAge {
		a.Slow = append(a.Slow, SlowAge{Host: st.host, AgeMs: age.Milliseconds(), SuspectMs: st.limit.Milliseconds()})
	}
	if st.report != told.report && len(a.Reports) < MaxReports {
		told.report = st.report
		a.Reports = append(a.Reports, *st.report)
	}
	if st.starved {
		a.StarvedHosts = append(a.StarvedHosts, st.host)
	}
	if st.entries.says() && len(a.Entries) < MaxEntryWords {
		a.Entries = append(a.Entries, st.entries)
	}
}

// tellServed adds how far a host has come that had not come to what is awaited when
// it was told of last.
func (st *Stream) tellServed(await fleet.Served, a *Ages) {
	if st.served == st.told.served || st.told.served.Reached(await) || len(a.Served) == MaxServed {
		return
	}
	st.told.served = st.served
	a.Served = append(a.Served, HostServed{Host: st.host, Served: st.served})
}

func (m endedStream) age(host fleet.HostID, now time.Duration) GoneAge {
	return GoneAge{Host: host, AgeMs: (now - m.heard).Milliseconds(), Cut: m.ours}
}
