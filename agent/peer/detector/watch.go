package detector

import (
	"slices"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Watch is what the leader makes of the ages that all voters tell it, of what
// witnesses find and of gossip's word: the liveness of each host. It is pure: time
// comes with each call, on one monotonic clock, and whom to ask comes back. Not
// safe for concurrent use.
//
// A host is alive while some voter hears it; suspect when none has for longer
// than its limit; then witnesses dial it, and what they find counts until it is
// heard again or they are asked again. Silence takes a majority of them.
type Watch struct {
	self        fleet.HostID
	since       time.Duration // when this leadership began
	views       map[fleet.HostID]*view
	hosts       map[fleet.HostID]*watchedHost
	due         dueHosts
	starved     bool // this host, at the last Step
	witnessSets witnessSets
	traffic     trafficWatch
	changed     bool
}

// view is what one voter has told.
type view struct {
	at      time.Duration
	overdue bool // no word came for voterOverdue, and its hosts were looked at since
	seq     uint64
	starved bool
	open    map[fleet.HostID]bool
	slow    []fleet.HostID
	starve  []fleet.HostID
	entries []fleet.HostID // of which an EntryWord was told
	clock   time.Duration  // the voter's minus the leader's
	clocked bool           // clock was measured
}

// watchedHost is one host.
type watchedHost struct {
	id       fleet.HostID
	zone     string
	state    fleet.HostState
	view     *view      // of this host as a voter; nil for none
	evidence []evidence // one a voter that ever had its stream
	starved  bool
	noticed  time.Duration

	liveness plan.Liveness
	since    time.Duration
	session  uint64 // of the stream that it is alive by; 0: by none

	verdict        plan.Liveness // what witnesses found; LivenessUnknown for nothing that counts
	verdictAt      time.Duration
	again          time.Duration // not to be asked about before
	probing        bool
	forced         bool
	askedWitnesses int          // how often witnesses were
	reached        *watchedHost // the witness that found it last; nil when that finds it no more

	witness witness // as the witness sets have it

	queued bool          // to be looked at by the next Step
	dueAt  time.Duration // when it is to be looked at though nobody says anything; see dueHosts
}

// evidence is one voter's stream of a host.
type evidence struct {
	voter fleet.HostID
	view  *view // of the voter
	open  bool
	slow  bool // heard and limit are exact; else the host was heard within slowAge of the voter's word
	cut   bool
	heard time.Duration
	limit time.Duration

	session uint64        // of an open stream
	served  fleet.Served  // of its host, as told last
	entries *EntryWord    // of its host, as told last; nil for nothing
	clock   time.Duration // of the host, minus the voter's
	clocked bool
}

// NewWatch returns a watch that has seen nothing.
func NewWatch(self fleet.HostID) *Watch {
	w := &Watch{self: self}
	w.Begin(0)
	return w
}

// Begin forgets everything: a new leader starts with unknown, never with dead.
func (w *Watch) Begin(now time.Duration) {
	w.since = now
	w.views, w.hosts = map[fleet.HostID]*view{}, map[fleet.HostID]*watchedHost{}
	w.traffic = trafficWatch{}
	w.witnessSets, w.due = witnessSets{hosts: map[string][]fleet.HostID{}}, dueHosts{}
	w.changed = true
}

// Host is a host of State, as Know takes it.
type Host struct {
	ID    fleet.HostID
	Zone  string
	State fleet.HostState
}

// Know tells which hosts and voters there are. Hosts left out are dropped, and
// so is what voters said that are none any more.
func (w *Watch) Know(now time.Duration, hosts []Host, voters []fleet.HostID) {
	known := make(map[fleet.HostID]bool, len(hosts))
	for _, h := range hosts {
		known[h.ID] = true
		w.KnowHost(now, h)
	}
	for id := range w.hosts {
		if !known[id] {
			w.Forget(id)
		}
	}
	w.KnowVoters(voters)
}

// KnowHost tells of a host that is there, or that has changed.
func (w *Watch) KnowHost(now time.Duration, h Host) {
	s := w.host(now, h.ID)
	if s.zone != h.Zone || s.state != h.State {
		s.zone, s.state = h.Zone, h.State
		w.due.queue(s)
		w.file(s)
	}
}

// Forget drops a host.
func (w *Watch) Forget(id fleet.HostID) {
	if s := w.hosts[id]; s != nil {
		delete(w.hosts, id)
		w.witnessSets.remove(s)
		w.changed = true
	}
}

// KnowVoters tells who votes, and drops what others have said.
func (w *Watch) KnowVoters(voters []fleet.HostID) {
	for voter := range w.views {
		if voter == w.self || slices.Contains(voters, voter) {
			continue
		}
		delete(w.views, voter)
		w.traffic.drop(voter)
		for _, s := range w.hosts {
			if s.id == voter {
				s.view = nil
			}
			w.due.queue(s)
			s.evidence = slices.DeleteFunc(s.evidence, func(e evidence) bool { return e.voter == voter })
		}
	}
}

// Take notes what a voter told about its streams. It answers true when it needs
// all of them to go on.
func (w *Watch) Take(now time.Duration, voter fleet.HostID, a Ages) (needFull bool) {
	v := w.views[voter]
	if !a.Full && (v == nil || a.Seq != v.seq+1) {
		return true
	}
	if v == nil {
		v = &view{open: map[fleet.HostID]bool{}}
		w.views[voter] = v
		w.host(now, voter).view = v
	}
	w.wasSilent(v)
	if v.starved != a.Starved {
		w.queueAll()
	}
	w.told(now, voter) // its word is a sign of life of its own
	if a.Full {
		w.replaceAll(v, voter, a)
	}
	for _, o := range a.Open {
		v.open[o.Host] = true
		*w.told(now, o.Host).from(voter, v) = evidence{
			voter: voter, view: v, open: true, heard: now, limit: protocol.SuspectAfter, session: o.Session,
		}
	}
	for _, g := range a.Gone {
		delete(v.open, g.Host)
		*w.told(now, g.Host).from(voter, v) = evidence{
			voter: voter, view: v, cut: g.Cut, heard: now - ms(g.AgeMs), limit: protocol.SuspectAfter,
		}
	}
	w.takeSlow(now, v, voter, a)
	w.takeStarved(now, v, a)
	w.takeEntries(now, v, voter, a)
	w.takeClocks(now, v, voter, a)
	w.takeServed(now, v, voter, a)
	v.at, v.overdue, v.seq, v.starved = now, false, a.Seq, a.Starved
	w.traffic.take(now, voter, a.Traffic)
	w.traffic.mark(now, func(voter fleet.HostID) bool { return w.tells(voter, now) })
	return false
}

// tells reports whether a voter's word is not old.
func (w *Watch) tells(voter fleet.HostID, now time.Duration) bool {
	v := w.views[voter]
	return v != nil && now-v.at <= voterOverdue
}

// Still notes that a voter has gone on telling that nothing changed, for a shell that
// does not carry each such word.
func (w *Watch) Still(now time.Duration, voter fleet.HostID) {
	if v := w.views[voter]; v != nil {
		w.wasSilent(v)
		w.told(now, voter)
		v.at, v.overdue = now, false
	}
}

// wasSilent has the hosts of a voter that tells again looked at: they were judged by
// its silence.
func (w *Watch) wasSilent(v *view) {
	if v.overdue {
		w.queueStreams(v)
	}
}

// replaceAll ends the streams that a full word does not name any more.
func (w *Watch) replaceAll(v *view, voter fleet.HostID, a Ages) {
	still := make(map[fleet.HostID]bool, len(a.Open))
	for _, o := range a.Open {
		still[o.Host] = true
	}
	for host := range v.open {
		if s := w.hosts[host]; s != nil && !still[host] {
			w.due.queue(s)
			e := s.from(voter, v)
			if !e.slow {
				e.heard = v.at
			}
			e.open, e.slow = false, false
		}
	}
	v.open = still
}

func (w *Watch) takeSlow(now time.Duration, v *view, voter fleet.HostID, a Ages) {
	for _, host := range v.slow {
		if s := w.hosts[host]; s != nil {
			w.due.queue(s)
			if e := s.from(voter, v); e.open {
				e.slow, e.heard, e.limit = false, now, protocol.SuspectAfter
			}
		}
	}
	v.slow = v.slow[:0]
	for _, slow := range a.Slow {
		if !v.open[slow.Host] {
			continue
		}
		v.slow = append(v.slow, slow.Host)
		e := w.told(now, slow.Host).from(voter, v)
		e.slow, e.heard = true, now-ms(slow.AgeMs)
		e.limit = min(max(ms(slow.SuspectMs), protocol.SuspectAfter), maxSuspectAfter)
	}
}

func (w *Watch) takeStarved(now time.Duration, v *view, a Ages) {
	before := v.starve
	v.starve = a.StarvedHosts
	for _, host := range before {
		if s := w.hosts[host]; s != nil {
			s.starved = false
		}
	}
	for _, host := range v.starve {
		w.told(now, host).starved = true
	}
	for _, host := range slices.Concat(before, v.starve) {
		if s := w.hosts[host]; s != nil {
			w.file(s)
		}
	}
}

func (w *Watch) takeClocks(now time.Duration, v *view, voter fleet.HostID, a Ages) {
	for _, c := range a.Clocks {
		if v.open[c.Host] {
			e := w.told(now, c.Host).from(voter, v)
			e.clock, e.clocked = Off(c.OffMs), true
		}
	}
	v.clock, v.clocked = 0, voter == w.self
	if a.ClockMs != nil && voter != w.self {
		v.clock, v.clocked = Off(*a.ClockMs), true
	}
}

func (w *Watch) takeServed(now time.Duration, v *view, voter fleet.HostID, a Ages) {
	for _, told := range a.Served {
		if v.open[told.Host] {
			w.told(now, told.Host).from(voter, v).served = told.Served
			w.changed = true
		}
	}
}

// served is the newest that a host was told to serve, by its open streams.
func (s *watchedHost) served() (newest fleet.Served) {
	for i := range s.evidence {
		if e := &s.evidence[i]; e.open && e.served.Reached(newest) {
			newest = e.served
		}
	}
	return newest
}

func (w *Watch) host(now time.Duration, id fleet.HostID) *watchedHost {
	s := w.hosts[id]
	if s == nil {
		s = &watchedHost{id: id, noticed: now, since: now, view: w.views[id]}
		w.hosts[id] = s
		w.due.queue(s)
		w.file(s)
	}
	return s
}

// told is a host of which a voter says something: the next Step looks at it.
func (w *Watch) told(now time.Duration, id fleet.HostID) *watchedHost {
	s := w.host(now, id)
	w.due.queue(s)
	return s
}

func (w *Watch) queueAll() {
	for _, s := range w.hosts {
		w.due.queue(s)
	}
}

func (w *Watch) queueStreams(v *view) {
	for id := range v.open {
		if s := w.hosts[id]; s != nil {
			w.due.queue(s)
		}
	}
}

// from is a voter's evidence about the host, made when there is none.
func (s *watchedHost) from(voter fleet.HostID, v *view) *evidence {
	for i := range s.evidence {
		if s.evidence[i].voter == voter {
			return &s.evidence[i]
		}
	}
	s.evidence = append(s.evidence, evidence{voter: voter, view: v})
	return &s.evidence[len(s.evidence)-1]
}

// last is when a host was last heard, how long it may stay unheard from then,
// and false when nobody ever heard it.
func (w *Watch) last(s *watchedHost, now time.Duration, starved bool) (heard, limit time.Duration, ever bool) {
	if s.id == w.self {
		return now, protocol.SuspectAfter, true
	}
	heard, limit = max(w.since, s.noticed), protocol.NeverSeenAfter
	slower := starved
	for i := range s.evidence {
		e := &s.evidence[i]
		v := e.view
		at, within := e.holds(v, now)
		if !ever || at > heard {
			heard, limit, ever, slower = at, within, true, starved || v.starved
		}
	}
	// A voter's word is a sign of life of its own; one that streams from itself has no
	// other voter to find.
	if v := s.view; v != nil && (!ever || v.at >= heard) {
		heard, limit, ever, slower = v.at, protocol.SuspectAfter, true, starved
	}
	if slower {
		limit *= protocol.StarvedFactor
	}
	return heard, limit, ever
}

// holds is when the host was heard on a stream of a voter, and how long that holds.
func (e *evidence) holds(v *view, now time.Duration) (at, within time.Duration) {
	at, within = e.heard, e.limit
	if e.open && !e.slow {
		at = v.at
	}
	if e.cut || e.open && now-v.at > voterOverdue {
		// The host, or its voter, has to find another first.
		within = protocol.NeverSeenAfter
	}
	return at, within
}

// live is the open stream that a host is alive by, or nil: of several that of the
// newest session, since a session ends those before it, then the one heard last.
func (w *Watch) live(s *watchedHost, now time.Duration, starved bool) (live *evidence) {
	var last time.Duration
	for i := range s.evidence {
		e := &s.evidence[i]
		v := e.view
		if !e.open {
			continue
		}
		at, within := e.holds(v, now)
		if starved || v.starved {
			within *= protocol.StarvedFactor
		}
		if now-at > within {
			continue
		}
		if live == nil || e.session > live.session || e.session == live.session && at > last {
			live, last = e, at
		}
	}
	return live
}
