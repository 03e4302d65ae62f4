package lead

import (
	"fmt"
	"slices"
	"strings"

	"skein/agent/plan"
	"skein/agent/plan/deploy"
	"skein/agent/plan/entry"
	"skein/agent/plan/hosts"
	"skein/agent/plan/placement"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// Planner is a planner with the name its commands carry.
type Planner struct {
	By   string
	Next func(plan.Input) plan.Plan
}

// Planners returns the planners of one loop in the order in which they run: each
// sees the commands of those before it applied. Source: agent/plan/DESIGN.md.
func Planners() []Planner {
	return []Planner{
		{hosts.By, hosts.Next},
		{entry.By, entry.Next},
		{deploy.By, deploy.Next},
		{service.By, new(service.Index).Next},
		{placement.By, new(placement.Index).Next},
	}
}

// Names are what commands of the loop and of its planners carry, see Planner.By.
func Names() []string {
	names := []string{By}
	for _, p := range Planners() {
		names = append(names, p.By)
	}
	return names
}

// By names the loop itself in decisions and waits.
const By = "leader"

// planned are the kinds of subject that planners visit: a change of any other asks for
// no pass.
var planned = []fleet.SubjectKind{
	fleet.SubjectService, fleet.SubjectHost, fleet.SubjectWanted, fleet.SubjectTask, fleet.SubjectCapacity,
	fleet.SubjectEntryAddress,
}

// pass runs the planners once and proposes what they decided.
func (l *Loop) pass(now Instant) []Effect {
	t := l.term
	scope, full := t.dirty, t.full
	l.addSuspects(&scope)
	t.dirty, t.full, t.marked = fleet.ChangeSet{}, false, false
	l.stats.Passes++
	if full {
		l.stats.FullPasses++
		t.nextFull = now.Mono + FullEvery
	}
	f := l.plan(now, scope, full)
	for _, wake := range f.wakes {
		t.wakes.add(wake)
	}
	out := l.watch(f.watch)
	if len(f.probes) > 0 {
		l.stats.Probes += uint64(len(f.probes))
		out = append(out, Probe{Hosts: f.probes})
	}
	t.rest = nil
	entries, taken := entries(f.items, f.sizes)
	if len(entries) == 0 {
		return out
	}
	if t.rest = f.rest(taken); len(t.rest) > 0 {
		t.mark(now)
	}
	l.stats.Proposals++
	l.stats.Commands += uint64(taken)
	t.flight = &flight{n: l.stats.Proposals, at: now.Mono}
	for _, part := range f.parts {
		t.flight.scope.Merge(part.scope)
		t.flight.full = t.flight.full || part.full
	}
	return append(out, Propose{N: t.flight.n, Entries: entries})
}

// watch has hosts tell of the groups that planners named in a pass, where those are not
// the ones of which they tell.
func (l *Loop) watch(groups []fleet.TargetGroupName) []Effect {
	slices.Sort(groups)
	groups = slices.Compact(groups)
	groups = groups[:min(len(groups), plan.MaxWatched)]
	if slices.Equal(groups, l.term.watched) {
		return nil
	}
	l.term.watched = groups
	return []Effect{Watch{Groups: slices.Clone(groups)}}
}

// rest is what a pass has left of one planner's scope: its plan was cut, or its
// commands went into no entry.
type rest struct {
	scope fleet.ChangeSet
	full  bool
	from  string // of a full one: see plan.Scope
}

// part is what one planner did in a pass.
type part struct {
	rest // as it was given
	by   string
	end  int // behind its last command
	more bool
	next string
}

// rest is what each planner must visit again after so many commands were taken.
func (f *fold) rest(taken int) map[string]rest {
	left := map[string]rest{}
	for _, p := range f.parts {
		switch {
		case p.end > taken || p.more && p.next == "":
			left[p.by] = p.rest
		case p.more && p.full:
			left[p.by] = rest{full: true, from: p.next}
		case p.more:
			left[p.by] = rest{scope: servicesFrom(p.scope, p.next)}
		}
	}
	return left
}

// servicesFrom is the services of a scope from a name on.
func servicesFrom(scope fleet.ChangeSet, name string) (from fleet.ChangeSet) {
	for _, service := range scope.Services() {
		if service >= name {
			from.Add(fleet.ServiceSubject(service))
		}
	}
	return from
}

// addSuspects adds the hosts of which State and the detector disagree, or that may have to
// be lost: what a host is seen to be is not an event that is repeated.
func (l *Loop) addSuspects(scope *fleet.ChangeSet) {
	for _, id := range l.suspects {
		if host := l.term.state.Host(id); host != nil && (host.State == fleet.HostReady || host.State == fleet.HostSilent) {
			scope.Add(fleet.HostSubject(id))
		}
	}
}

// fold is a pass under way: State with the commands so far applied.
type fold struct {
	in     plan.Input
	index  uint64
	scope  fleet.ChangeSet
	full   bool
	left   map[string]rest // by planner, of the pass before
	parts  []part
	items  []fleet.Item
	sizes  []int // of each item in the log
	probes []fleet.HostID
	wakes  []plan.Wake
	watch  []fleet.TargetGroupName
	stats  *Stats
}

// plan runs all planners over a clone of State.
func (l *Loop) plan(now Instant, scope fleet.ChangeSet, full bool) *fold {
	t := l.term
	liveness, traffic := l.liveness, l.traffic
	liveness.LeaderAge, liveness.Taken = now.Mono-t.since, now.Mono-l.seenAt
	traffic.Taken = now.Mono - l.seenAt
	f := &fold{
		in: plan.Input{State: t.state.Clone(), Liveness: liveness, Traffic: traffic, Now: l.fleetTime(now),
			NewID: l.newID},
		index: t.state.Index(), scope: scope, full: full, left: t.rest, stats: &l.stats,
	}
	// Time passes first, so that the sums in State are those of Now.
	f.in.State.Apply(f.index, fleet.Entry{At: f.in.Now})
	for _, p := range l.planners {
		f.run(p.By, p.Next)
	}
	f.run(By, clockCondition)
	t.clockReported = clockOff(liveness)
	if now.Mono >= t.nextPrune {
		t.nextPrune = now.Mono + PruneEvery
		before := len(f.items)
		f.run(By, prune)
		if len(f.items) > before {
			t.nextPrune = now.Mono + PruneAgain
		}
	}
	return f
}

// run asks one planner and applies what it says.
func (f *fold) run(by string, next func(plan.Input) plan.Plan) {
	done := part{by: by, rest: f.scopeOf(by)}
	f.in.Scope = plan.Scope{Full: done.full, From: done.from, ChangeSet: done.scope}
	p := next(f.in)
	f.probes = append(f.probes, p.Probes...)
	f.wakes = append(f.wakes, p.Wakes...)
	f.watch = append(f.watch, p.Watch...)
	f.stats.Visited += uint64(p.Visited)
	refused := f.apply(p.Items)
	f.stats.FoldRefused[by] += uint64(len(refused))

	var own plan.Plan
	subject := fleet.PlannerSubject(by)
	if len(refused) > 0 {
		own.SetCondition(f.in, By, fleet.PutCondition{Subject: subject, Code: plan.CodeRefused,
			Message: fmt.Sprintf("%d commands of the planner were dropped, the first: %s", len(refused),
				strings.ToValidUTF8(refused[0].Error(), "?"))})
	} else if f.full {
		own.ClearCondition(f.in, By, subject)
	}
	f.apply(own.Items)
	done.end, done.more, done.next = len(f.items), p.More, p.Next
	f.parts = append(f.parts, done)
}

// scopeOf is what a planner visits: the scope of the pass with what the commands
// before it changed, and what the pass before has left.
func (f *fold) scopeOf(by string) rest {
	r := rest{full: f.full}
	r.scope.Merge(f.scope)
	if left, ok := f.left[by]; ok {
		r.scope.Merge(left.scope)
		if !f.full {
			r.full, r.from = left.full, left.from
		}
	}
	return r
}

// apply folds items into the work State, keeps those that it takes and returns
// why it refused others: each is a bug, dropped so that the rest goes on.
func (f *fold) apply(items []fleet.Item) []error {
	items, sizes, refused := encodable(items)
	if len(items) == 0 {
		return refused
	}
	f.index++
	outcome := f.in.State.Apply(f.index, fleet.Entry{At: f.in.Now, Items: items})
	f.scope.Merge(outcome.ChangeSet)
	for i, r := range outcome.Results {
		if r.Err == nil {
			f.items, f.sizes = append(f.items, items[i]), append(f.sizes, sizes[i])
			for _, share := range r.Refused {
				refused = append(refused, fmt.Errorf("%s: share %d: %w", CommandName(items[i].Command), share.Share, share.Err))
			}
			continue
		}
		refused = append(refused, fmt.Errorf("%s: %w", CommandName(items[i].Command), r.Err))
	}
	return refused
}

// encodable is the items that the log can hold, with their sizes there. Another
// one would be refused by the log of each leader in turn.
func encodable(items []fleet.Item) (good []fleet.Item, sizes []int, refused []error) {
	for _, item := range items {
		encoded, err := wire.EncodeItem(item)
		if most := MaxEntryBytes - wire.JoinOverhead; err == nil && len(encoded) > most {
			err = fmt.Errorf("%T has %d bytes, at most %d go into one entry", item.Command, len(encoded), most)
		}
		if err != nil {
			refused = append(refused, err)
			continue
		}
		good, sizes = append(good, item), append(sizes, len(encoded))
	}
	return good, sizes, refused
}

// entries parts items into entries of the log; taken is how many are in them.
func entries(items []fleet.Item, sizes []int) (entries [][]fleet.Item, taken int) {
	for taken < len(items) && len(entries) < MaxEntries {
		n := fill(sizes[taken:])
		entries = append(entries, items[taken:taken+n:taken+n])
		taken += n
	}
	return entries, taken
}

// fill is how many items from the front one entry holds.
func fill(sizes []int) int {
	bytes := wire.JoinOverhead
	for i, size := range sizes {
		bytes += size
		if i == MaxEntryItems || i > 0 && bytes > MaxEntryBytes {
			return i
		}
	}
	return len(sizes)
}

// CommandName is a command's name for people and logs: "CreateTasks".
func CommandName(c fleet.Command) string {
	_, name, _ := strings.Cut(fmt.Sprintf("%T", c), ".")
	return name
}
