package simdetector

import (
	"slices"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func (e *Detector) pollAll() {
	for _, s := range e.order {
		e.poll(s)
	}
}

func (e *Detector) pollHost(hosts []fleet.HostID) {
	slices.Sort(hosts)
	for _, id := range slices.Compact(hosts) {
		if s := e.know(id); s != nil {
			e.poll(s)
		}
	}
}

// heard is when a host was heard last as far as the leader knows, how long it
// may stay unheard from then, and false when nobody ever heard it. A host that is
// heard all the time was heard now.
func (e *Detector) heard(s *watchedHost) (heard, limit time.Duration, ever bool) {
	now := e.m.time.Now()
	if s.id == e.leader {
		return now, protocol.SuspectAfter, true
	}
	heard, limit = s.noticed, protocol.NeverSeenAfter
	slower := e.m.starved[e.leader]
	for _, v := range e.views {
		if !v.known {
			continue
		}
		at, within := v.at, protocol.SuspectAfter
		if v.linked {
			at = now
		}
		if r, ok := e.ledger(v)[s.id]; ok {
			if !r.flows {
				at = r.heard
			}
			if r.cut || r.open && !v.linked {
				within = protocol.NeverSeenAfter
			}
		} else if v.voter != s.id {
			continue
		}
		if v.voter == s.id { // its word is a sign of life of its own
			at, within = v.at, protocol.SuspectAfter
			if v.linked {
				at = now
			}
		}
		if !ever || at > heard {
			heard, limit, ever, slower = at, within, true, e.m.starved[e.leader] || v.voter != s.id && e.m.starved[v.voter]
		}
	}
	if slower {
		limit *= protocol.StarvedFactor
	}
	return heard, limit, ever
}

// session is that of the open stream that a host is alive by: of several the
// newest, since a session ends those before it; 0 for none.
func (e *Detector) session(s *watchedHost) (session uint64) {
	now := e.m.time.Now()
	for _, v := range e.views {
		r := e.ledger(v)[s.id]
		if !v.known || !r.open {
			continue
		}
		at, within := v.at, protocol.SuspectAfter
		if v.linked {
			at = now
		} else {
			within = protocol.NeverSeenAfter
		}
		if !r.flows {
			at = r.heard
		}
		if e.m.starved[e.leader] || e.m.starved[v.voter] {
			within *= protocol.StarvedFactor
		}
		if now-at <= within {
			session = max(session, r.session)
		}
	}
	return session
}

// hear notes the session of the stream that a host is alive by; 0 for none.
func (e *Detector) hear(s *watchedHost, session uint64) {
	if s.session != session {
		s.session = session
		e.changed()
	}
}

// poll sees what a host is now and has witnesses asked if it must.
func (e *Detector) poll(s *watchedHost) {
	now := e.m.time.Now()
	heard, limit, ever := e.heard(s)
	if now-heard <= limit {
		s.verdict, s.forced, s.again, s.unfound = plan.LivenessUnknown, false, 0, 0
		e.hear(s, e.session(s))
		if ever {
			e.see(s, plan.LivenessAlive)
		}
		if heard < now {
			e.arm(s, heard+limit+1)
		}
		return
	}
	e.hear(s, 0)
	if s.verdict != plan.LivenessUnknown && heard > s.verdictAt {
		s.verdict, s.again = plan.LivenessUnknown, 0 // heard since, and lost again
	}
	if s.verdict == plan.LivenessUnknown {
		e.see(s, plan.LivenessSuspect)
	}
	if e.m.cfg.AbsenceIsSilence {
		e.see(s, plan.LivenessSilent)
		return
	}
	if s.probing || !worthAsking(s.state) {
		return
	}
	if now < s.again && !s.forced {
		e.arm(s, s.again)
		return
	}
	e.ask(s)
}

// worthAsking leaves out hosts whose fate is decided.
func worthAsking(state fleet.HostState) bool {
	return state == fleet.HostJoining || state == fleet.HostReady || state == fleet.HostSilent
}

// ask sends witnesses to a host.
func (e *Detector) ask(s *watchedHost) {
	witnesses := e.pick(s)
	if len(witnesses) == 0 {
		e.arm(s, e.m.time.Now()+protocol.AgainUnclear)
		return
	}
	needed := max(len(witnesses), min(protocol.MaxWitnesses, e.witnesses.eligible))
	s.probing, s.forced, s.disturbed = true, false, false
	s.asked++
	e.after(e.m.chance.Between(protocol.ProbeTry, protocol.ProbeTime-protocol.WatchEvery), func() {
		if e.hosts[s.id] == s {
			e.answer(s, witnesses, needed)
		}
	})
}

// answer is what witnesses have found.
func (e *Detector) answer(s *watchedHost, witnesses []fleet.HostID, needed int) {
	now := e.m.time.Now()
	heard, _, _ := e.heard(s)
	var found [3]int // by virtual.Reply
	var reached *watchedHost
	lost := false
	for _, w := range witnesses {
		if !e.m.net.Linked(e.leader, w) {
			continue
		}
		reply := e.m.net.Dial(w, s.id)
		was := s.reached != nil && s.reached.id == w
		if reply == virtual.Silent {
			lost = lost || was
		} else if reached == nil || was {
			reached = e.hosts[w]
		}
		if reply == virtual.Silent && e.m.starved[w] && now-heard < protocol.HungAfter {
			continue // it may only be late itself
		}
		found[reply]++
	}
	s.probing = false
	if reached != nil || lost {
		s.reached = reached
	}
	verdict := e.judge(s, needed, found, now-heard)
	switch verdict {
	case plan.LivenessUnknown: // an earlier verdict stands: it was clear
		s.again = now + protocol.AgainUnclear
	case plan.LivenessSuspect:
		s.verdict, s.again = plan.LivenessUnknown, now+protocol.AgainUnclear
	default:
		s.verdict, s.verdictAt, s.again = verdict, now, never
		switch {
		case verdict == plan.LivenessAlive:
			s.again = heard + protocol.HungAfter
		case verdict == plan.LivenessSilent && e.mayBeFound(s):
			s.again = now + protocol.AgainSilent
		}
	}
	if verdict != plan.LivenessUnknown {
		e.see(s, verdict)
	}
	if s.disturbed {
		e.doubt(s)
	}
	e.arm(s, s.again)
}

// mayBeFound reports whether others than those that were asked may reach a host
// that was found silent.
func (e *Detector) mayBeFound(s *watchedHost) bool {
	s.unfound++
	return s.unfound < min(e.witnesses.able, maxUnfound) && e.m.net.Condition(s.id) != virtual.Off
}

// judge weighs what was found: LivenessUnknown when it does not suffice,
// LivenessSuspect when gossip overrules it. A word that the machine answers outweighs
// any number of silent ones.
func (e *Detector) judge(s *watchedHost, needed int, found [3]int, age time.Duration) plan.Liveness {
	connected, refused, silent := found[virtual.Connected], found[virtual.Refused], found[virtual.Silent]
	switch {
	case e.m.cfg.OneWitness && silent > 0:
		return plan.LivenessSilent
	case connected > 0 && age < protocol.HungAfter:
		return plan.LivenessAlive
	case connected > 0 || refused > 0:
		return plan.LivenessRefused
	case 2*silent <= needed:
		return plan.LivenessUnknown
	case e.pinged(s.id):
		return plan.LivenessSuspect
	}
	return plan.LivenessSilent
}

// pinged reports whether the leader's own ring has just had an answer of a host:
// it pings one member after another.
func (e *Detector) pinged(host fleet.HostID) bool {
	others := max(1, len(e.order)-1)
	return e.m.net.Linked(e.leader, host) && e.m.chance.Is(protocol.VetoWithin.Seconds()/gossipPing.Seconds()/float64(others))
}

func (e *Detector) see(s *watchedHost, liveness plan.Liveness) {
	if s.liveness != liveness {
		s.liveness, s.since = liveness, e.m.time.Now()
		e.changed()
	}
	e.file(s)
}
