package lead

import (
	"fmt"
	"slices"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Loop is the leader loop as a machine. The zero value is not usable: see
// NewLoop. Not safe for concurrent use.
type Loop struct {
	planners []Planner
	newID    func() fleet.TaskID

	stats    Stats
	liveness plan.FleetLiveness
	traffic  plan.Traffic
	// seenAt is when liveness and traffic were handed over.
	seenAt time.Duration
	// suspects are the hosts that are not seen alive, sorted. A pass visits those of which
	// State says otherwise.
	suspects   []fleet.HostID
	handedOver time.Duration // when leadership was last handed over for its clock; negative for never

	term *term // nil while not leading
}

// term is what the loop holds while it leads. All of it is made anew by the
// next election.
type term struct {
	state         *fleet.State
	since         time.Duration
	proposed      uint64          // index of the newest entry of ours that committed
	flight        *flight         // proposal under way, or nil
	dirty         fleet.ChangeSet // what the next pass visits
	full          bool            // the next pass visits everything
	rest          map[string]rest // by planner: what the bounds of the last pass left
	marked        bool            // something is dirty: plan when gathered
	firstMark     time.Duration
	lastMark      time.Duration
	nextFull      time.Duration
	nextPrune     time.Duration
	retry         time.Duration // pause after a refusal; zero after none
	visited       fleet.Time    // deadlines of State up to here were visited
	wakes         *wakes
	clockReported bool // a pass has said that the clock is off
	// watched are the target groups of which hosts are to tell, sorted.
	watched []fleet.TargetGroupName
}

// flight is a proposal under way.
type flight struct {
	n  uint64 // counted over all terms: an answer may come late
	at time.Duration
	// The scope that it was planned for; it is visited again if the log refuses commands.
	scope fleet.ChangeSet
	full  bool
}

// NewLoop returns a Loop over the given planners, in the order in which they
// run; see Planners. newID makes task ids.
func NewLoop(newID func() fleet.TaskID, planners ...Planner) *Loop {
	return &Loop{planners: planners, newID: newID, handedOver: -HandOverEvery,
		stats: Stats{FoldRefused: map[string]uint64{}}}
}

// Leading reports whether the loop plans.
func (l *Loop) Leading() bool { return l.term != nil }

// Stats returns what the loop has counted. The map is the caller's.
func (l *Loop) Stats() Stats { return l.stats.clone() }

// Step takes what happened and returns what to do, in order. While it leads the
// last effect is a Wake.
func (l *Loop) Step(now Instant, events ...Event) []Effect {
	var out []Effect
	for _, e := range events {
		out = append(out, l.take(now, e)...)
	}
	if l.term == nil {
		return out
	}
	if why := l.lateProposal(now); why != "" {
		return append(out, l.stepDown(why)...)
	}
	out = append(out, l.checkClock(now)...)
	if l.mayPlan() {
		l.collect(now)
		if l.due(now) {
			out = append(out, l.pass(now)...)
		}
	}
	return append(out, Wake{At: l.nextWake(now)})
}

func (l *Loop) take(now Instant, e Event) []Effect {
	switch e := e.(type) {
	case BecameLeader:
		l.begin(now, e.State)
	case LostLeadership:
		return l.endTerm()
	case LivenessChanged:
		l.takeLiveness(now, e)
	case Applied:
		if l.term != nil {
			l.applied(now, e)
		}
	case ProposalDone:
		if l.term != nil {
			l.committed(now, e)
		}
	case ProposalUnknown:
		if l.term != nil && l.term.flight != nil && l.term.flight.n == e.N {
			return l.stepDown(fmt.Sprintf("proposal is unknown: %v", e.Err))
		}
	}
	return nil
}

func (l *Loop) begin(now Instant, state *fleet.State) {
	l.term = &term{state: state, since: now.Mono, full: true, wakes: newWakes(),
		nextFull: now.Mono + FullEvery, nextPrune: now.Mono + PruneEvery}
}

// takeLiveness takes a new view and marks the hosts that are seen differently. While
// something is watched each view asks for a pass: routes and traffic may have moved.
func (l *Loop) takeLiveness(now Instant, e LivenessChanged) {
	before, liveness := l.liveness.Hosts, e.Liveness
	l.liveness, l.traffic, l.seenAt = liveness, e.Traffic, now.Mono
	l.suspects = l.suspects[:0]
	for id, host := range liveness.Hosts {
		if host.Liveness.Doubted() {
			l.suspects = append(l.suspects, id)
		}
		was := before[id]
		if was.Liveness != host.Liveness {
			l.markLiveness(now, id)
		} else if was.Session != host.Session {
			l.markSession(now, id, host.Session)
		}
		if l.term != nil && (was.Leaving != host.Leaving || !slices.Equal(was.Troubles, host.Troubles)) {
			l.term.mark(now)
		}
	}
	for id := range before {
		if _, still := liveness.Hosts[id]; !still {
			l.markLiveness(now, id)
		}
	}
	slices.Sort(l.suspects)
	if l.term != nil && (len(l.term.watched) > 0 || l.clockConditionStale()) {
		l.term.mark(now)
	}
}

func (l *Loop) markLiveness(now Instant, id fleet.HostID) {
	if l.term == nil {
		return
	}
	l.term.dirty.Add(fleet.HostSubject(id))
	l.term.dirty.Add(fleet.CapacitySubject()) // placement takes only hosts that are heard
	l.term.mark(now)
}

// markSession marks a silent host that is heard now in the session that State has. It
// was seen alive before in another session, which did not bring it back.
func (l *Loop) markSession(now Instant, id fleet.HostID, session uint64) {
	if l.term == nil {
		return
	}
	if host := l.term.state.Host(id); host != nil && host.State == fleet.HostSilent && host.Session.N == session {
		l.term.dirty.Add(fleet.HostSubject(id))
		l.term.mark(now)
	}
}

func (l *Loop) applied(now Instant, e Applied) {
	t := l.term
	t.dirty.Merge(e.ChangeSet)
	t.full = t.full || e.ChangeSet.Any(fleet.SubjectFleet) // a setting bounds everything
	if e.State.Index() >= t.state.Index() {
		t.state = e.State
	}
	if t.dirty.Any(planned...) {
		t.mark(now)
	}
}

// committed closes a flight. What it was for is planned again, after a pause
// that doubles, where the log refused commands though the fold took them, or was
// too busy to take them at all.
func (l *Loop) committed(now Instant, e ProposalDone) {
	t := l.term
	if t.flight == nil || t.flight.n != e.N {
		return // of a term that is over
	}
	flight := t.flight
	t.flight, t.proposed = nil, max(t.proposed, e.Index)
	refused := 0
	for _, r := range e.Results {
		if r.Err != nil {
			refused++
		} else {
			refused += len(r.Refused)
		}
	}
	l.stats.ApplyRefused += uint64(refused)
	if refused == 0 && e.NotProposed == nil {
		t.retry = 0
		return
	}
	t.retry = min(max(RetryFirst, 2*t.retry), RetryMost)
	if flight.full {
		t.nextFull = min(t.nextFull, now.Mono+t.retry)
	}
	for subject := range flight.scope.Subjects(planned...) {
		t.wakes.add(plan.Wake{At: l.fleetTime(now).Add(t.retry), Subject: subject})
	}
}

func (l *Loop) lateProposal(now Instant) string {
	if f := l.term.flight; f != nil && now.Mono-f.at >= UnknownAfter {
		return fmt.Sprintf("proposal is unknown after %s", UnknownAfter)
	}
	return ""
}

func (l *Loop) stepDown(why string) []Effect {
	l.stats.StepDowns++
	return append(l.endTerm(), StepDown{Why: why})
}

// endTerm forgets the term, and what was watched in it.
func (l *Loop) endTerm() (out []Effect) {
	if l.term != nil && len(l.term.watched) > 0 {
		out = []Effect{Watch{}}
	}
	l.term = nil
	return out
}

// mayPlan reports whether a pass may run: State holds this loop's own commands, and
// there is a fleet.
func (l *Loop) mayPlan() bool {
	t := l.term
	return t.flight == nil && t.state.Index() >= t.proposed && t.state.Fleet() != nil
}

// collect marks what is due by the clock.
func (l *Loop) collect(now Instant) {
	t, wall := l.term, l.fleetTime(now)
	due := t.wakes.due(wall)
	if wall > t.visited {
		due = slices.AppendSeq(due, t.state.Due(t.visited, wall))
		t.visited = wall
	}
	for _, subject := range due {
		t.dirty.Add(subject)
	}
	if len(due) > 0 && t.dirty.Any(planned...) {
		t.mark(now)
	}
	if now.Mono >= t.nextFull {
		t.full = true
	}
}

// due reports whether a pass is to run now: at once for a full one, after
// gathering for others.
func (l *Loop) due(now Instant) bool {
	t := l.term
	if t.full || now.Mono >= t.nextPrune {
		return true
	}
	return t.marked && now.Mono >= t.dueAt()
}

// dueAt is when what was gathered is planned.
func (t *term) dueAt() time.Duration { return min(t.lastMark+GatherFor, t.firstMark+GatherMost) }

// nextWake is when the loop has something to do though nothing happens.
func (l *Loop) nextWake(now Instant) time.Duration {
	t := l.term
	next := now.Mono + TickEvery
	if t.flight != nil {
		next = min(next, t.flight.at+UnknownAfter)
	}
	if !l.mayPlan() {
		return max(next, now.Mono)
	}
	next = min(next, t.nextFull, t.nextPrune)
	if t.full {
		next = now.Mono
	}
	if t.marked {
		next = min(next, t.dueAt())
	}
	wall := l.fleetTime(now)
	for _, due := range []fleet.Time{t.wakes.next(), t.state.NextDue(t.visited)} {
		if due > 0 {
			next = min(next, now.Mono+max(0, due.Sub(wall)))
		}
	}
	return max(next, now.Mono)
}

// fleetTime is now as planners and State see it: it never goes back.
func (l *Loop) fleetTime(now Instant) fleet.Time { return max(now.Wall, l.term.state.Now()) }

func (t *term) mark(now Instant) {
	if !t.marked {
		t.firstMark = now.Mono
	}
	t.marked, t.lastMark = true, now.Mono
}
