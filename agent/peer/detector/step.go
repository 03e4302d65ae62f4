package detector

import (
	"fmt"
	"slices"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// WitnessRequest is a host whose silence witnesses should look at. The answer goes to
// Answer, also when there is none.
type WitnessRequest struct {
	Host      fleet.HostID
	Witnesses []fleet.HostID // at most three, this host perhaps among them
	Needed    int            // of how many a majority must be silent; Answer takes it
}

// Outcome is what a witness's dial found.
type Outcome uint8

// The outcomes. Silent is every error that a dead machine gives, unreachable
// included (m: a dead host answers with a timeout and EHOSTUNREACH in turn).
const (
	Connected Outcome = iota + 1
	Refused
	Silent
)

func (o Outcome) String() string {
	if o < Connected || o > Silent {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return [...]string{"", "connected", "refused", "silent"}[o]
}

// Vote is one witness's word about one host.
type Vote struct {
	By      fleet.HostID
	Outcome Outcome
	Starved bool
}

// Step looks at the hosts that are due and returns those to ask witnesses about,
// at most room. starved says that this host is late itself.
func (w *Watch) Step(now time.Duration, starved bool, room int) []WitnessRequest {
	if w.starved != starved {
		w.starved = starved
		w.queueAll()
	}
	w.queueOverdue(now)
	var asks []WitnessRequest
	for _, s := range w.due.take(now) {
		if w.hosts[s.id] != s {
			continue // forgotten since
		}
		if w.look(s, now) && len(asks) < room {
			if ask, ok := w.ask(s); ok {
				asks = append(asks, ask)
			}
		}
		w.due.put(s, w.next(s, now))
	}
	return asks
}

// look judges a host by what was told, and reports whether witnesses are to be
// asked about it.
func (w *Watch) look(s *watchedHost, now time.Duration) bool {
	heard, limit, ever := w.last(s, now, w.starved)
	if now-heard <= limit {
		w.judged(s, plan.LivenessUnknown)
		if ever {
			w.see(s, now, plan.LivenessAlive)
		}
		w.hear(s, w.live(s, now, w.starved))
		s.forced, s.again = false, 0
		return false
	}
	w.hear(s, nil)
	if s.verdict != plan.LivenessUnknown && heard > s.verdictAt {
		w.judged(s, plan.LivenessUnknown) // heard since, and lost again
	}
	if s.verdict == plan.LivenessUnknown {
		w.see(s, now, plan.LivenessSuspect)
	}
	return !s.probing && (now >= s.again || s.forced) && worthAsking(s.state)
}

func (w *Watch) ask(s *watchedHost) (WitnessRequest, bool) {
	witnesses := w.witnessSets.pick(s)
	if len(witnesses) == 0 {
		return WitnessRequest{}, false
	}
	s.probing, s.forced = true, false
	s.askedWitnesses++
	return WitnessRequest{Host: s.id, Witnesses: witnesses, Needed: w.witnessSets.needed(len(witnesses))}, true
}

// worthAsking leaves out hosts whose fate is decided: a lost one that returns
// opens a session.
func worthAsking(state fleet.HostState) bool {
	return state == fleet.HostJoining || state == fleet.HostReady || state == fleet.HostSilent
}

// Force has witnesses asked about hosts at the next Step that finds them
// suspect, unless they have just been.
func (w *Watch) Force(hosts []fleet.HostID) {
	for _, id := range hosts {
		if s := w.hosts[id]; s != nil {
			s.forced = true
			w.due.queue(s)
		}
	}
}

// Answer notes what witnesses found. needed is the WitnessRequest's; answered is how long
// ago the host answered gossip, negative for not at all.
func (w *Watch) Answer(now time.Duration, host fleet.HostID, needed int, votes []Vote, answered time.Duration) {
	s := w.hosts[host]
	if s == nil {
		return
	}
	s.probing = false
	w.due.queue(s)
	w.recordReached(s, votes)
	heard, _, _ := w.last(s, now, false)
	verdict, again := judge(needed, votes, now-heard, answered)
	s.again = now + again
	switch verdict {
	case plan.LivenessUnknown:
		return // an earlier verdict stands: it was clear
	case plan.LivenessSuspect:
		w.judged(s, plan.LivenessUnknown)
	default:
		w.judged(s, verdict)
		s.verdictAt = now
	}
	w.see(s, now, verdict)
}

// recordReached keeps the witness that finds a host: it is asked each time, while
// the others change, or the host would be silent each time it is left out.
func (w *Watch) recordReached(s *watchedHost, votes []Vote) {
	var by *watchedHost
	lost := false
	for _, v := range votes {
		is := s.reached != nil && v.By == s.reached.id
		switch {
		case v.Outcome == Silent:
			lost = lost || is
		case by == nil || is:
			by = w.hosts[v.By]
		}
	}
	if by != nil || lost {
		s.reached = by
	}
}

// judge weighs votes about a host unheard for age: LivenessUnknown when they do
// not suffice, LivenessSuspect when gossip overrules them. It also says when to ask
// again. A word that the machine answers outweighs any number of silent ones.
func judge(needed int, votes []Vote, age, answered time.Duration) (plan.Liveness, time.Duration) {
	count := map[Outcome]int{}
	for _, v := range votes {
		if v.Starved && v.Outcome == Silent && age < protocol.HungAfter {
			continue // it may only be late itself
		}
		count[v.Outcome]++
	}
	switch {
	case count[Connected] > 0 && age < protocol.HungAfter:
		return plan.LivenessAlive, protocol.AgainAnswered
	case count[Connected] > 0 || count[Refused] > 0:
		return plan.LivenessRefused, protocol.AgainAnswered
	case 2*count[Silent] <= needed:
		return plan.LivenessUnknown, protocol.AgainUnclear
	case answered >= 0 && answered <= protocol.VetoWithin:
		return plan.LivenessSuspect, protocol.AgainUnclear
	}
	return plan.LivenessSilent, protocol.AgainSilent
}

func (w *Watch) see(s *watchedHost, now time.Duration, liveness plan.Liveness) {
	if s.liveness != liveness {
		s.liveness, s.since = liveness, now
		w.changed = true
		w.file(s)
	}
}

// judged keeps what witnesses found.
func (w *Watch) judged(s *watchedHost, verdict plan.Liveness) {
	if s.verdict != verdict {
		s.verdict = verdict
		w.file(s)
	}
}

// hear notes the stream that a host is alive by; nil for none.
func (w *Watch) hear(s *watchedHost, e *evidence) {
	var session uint64
	if e != nil {
		session = e.session
	}
	if s.session != session {
		s.session, w.changed = session, true
	}
}

// clock is a host's clock minus the leader's, by the stream that it is alive by.
func (w *Watch) clock(s *watchedHost, now time.Duration) (off time.Duration, ok bool) {
	e := w.live(s, now, w.starved)
	if e == nil || !e.clocked || !e.view.clocked {
		return 0, false
	}
	return e.clock + e.view.clock, true
}

// Changed reports whether any liveness changed since it was last asked.
func (w *Watch) Changed() bool {
	changed := w.changed
	w.changed = false
	return changed
}

// Liveness is the leader's view. report may add what hosts said of themselves; it
// may be nil. The map is the caller's.
func (w *Watch) Liveness(now time.Duration, report func(fleet.HostID) (fleet.CapacityReport, bool)) plan.FleetLiveness {
	liveness := plan.FleetLiveness{Hosts: make(map[fleet.HostID]plan.HostLiveness, len(w.hosts)), LeaderAge: now - w.since}
	clocks := make([]time.Duration, 0, len(w.hosts)) // minus the leader's
	for id, s := range w.hosts {
		if id == w.self {
			clocks = append(clocks, 0)
		} else if s.state == fleet.HostReady {
			if off, ok := w.clock(s, now); ok {
				clocks = append(clocks, off)
			}
		}
		heard, _, ever := w.last(s, now, false)
		hs := plan.HostLiveness{Liveness: s.liveness, Session: s.session, For: now - s.since, Age: -1, Starved: s.starved,
			Served: s.served()}
		if told := s.entryWord(); told != nil {
			hs.Leaving, hs.Troubles = told.Leaving, told.Troubles
		}
		if ever {
			hs.Age = now - heard
		}
		if report != nil {
			if r, ok := report(id); ok {
				hs.Pressure = r.Pressure.Highest()
				hs.Starved = hs.Starved || r.Starved
			}
		}
		liveness.Hosts[id] = hs
	}
	if liveness.ClockSamples = len(clocks); len(clocks) > 0 {
		slices.Sort(clocks)
		liveness.ClockOffset = clocks[len(clocks)/2]
	}
	return liveness
}

// Heard reports whether a host is heard in a session on any voter's stream. A leader
// that has just begun does not know yet: known is false for NeverSeenAfter.
func (w *Watch) Heard(now time.Duration, host fleet.HostID, session uint64) (heard, known bool) {
	if now-w.since < protocol.NeverSeenAfter {
		return false, false
	}
	s := w.hosts[host]
	if s == nil || session == 0 || s.session != session {
		return false, true
	}
	last, _, ever := w.last(s, now, false)
	return ever && now-last < HeardWithin, true
}
