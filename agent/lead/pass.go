package lead

import (
	"fmt"
	"strings"

	"skein/agent/plan"
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
// sees the commands of those before it applied. Source: DESIGN, "Planners".
func Planners() []Planner {
	return []Planner{
		{hosts.By, hosts.Next},
		{service.By, service.Next},
		{placement.By, new(placement.Index).Next},
	}
}

// By names the loop itself in decisions and waits.
const By = "leader"

// CodeRefused is the code of a wait about a planner whose command the fold
// refused: a bug of ours, never of the fleet.
const CodeRefused = "command-refused"

// pass runs the planners once and proposes what they decided.
func (l *Loop) pass(now Instant) []Effect {
	t := l.term
	scope, full := t.dirty, t.full
	l.addSuspects(scope)
	t.dirty, t.full, t.marked = newDirty(), false, false
	l.stats.Passes++
	if full {
		l.stats.FullPasses++
		t.nextFull = now.Mono + FullEvery
	}
	f := l.plan(now, scope, full)
	for _, wake := range f.wakes {
		t.wakes.add(wake)
	}
	var out []Effect
	if len(f.probes) > 0 {
		l.stats.Probes += uint64(len(f.probes))
		out = append(out, Probe{Hosts: f.probes})
	}
	entries, cut := entries(f.items, f.sizes)
	if len(entries) == 0 {
		return out
	}
	if cut || f.more {
		t.dirty.merge(scope)
		t.full = full
		t.mark(now)
	}
	l.stats.Proposals++
	t.flight = &flight{n: l.stats.Proposals, at: now.Mono, scope: scope, full: full}
	for _, items := range entries {
		l.stats.Commands += uint64(len(items))
	}
	return append(out, Propose{N: t.flight.n, Entries: entries})
}

// addSuspects adds the hosts of which State and sight disagree, or that may have to
// be lost: what a host is seen to be is not an event that is repeated.
func (l *Loop) addSuspects(d *dirty) {
	for _, id := range l.suspects {
		if host := l.term.state.Host(id); host != nil && (host.State == fleet.HostReady || host.State == fleet.HostSilent) {
			d.hosts[id] = struct{}{}
		}
	}
}

// fold is a pass under way: State with the commands so far applied.
type fold struct {
	in     plan.Input
	before *fleet.State // as it was before the last planner's commands
	index  uint64
	scope  *dirty
	full   bool
	items  []fleet.Item
	sizes  []int // of each item in the log
	probes []fleet.HostID
	wakes  []plan.Wake
	more   bool
	stats  *Stats
}

// plan runs all planners over a clone of State.
func (l *Loop) plan(now Instant, scope *dirty, full bool) *fold {
	t := l.term
	liveness := l.liveness
	liveness.LeaderAge, liveness.Taken = now.Mono-t.since, now.Mono-l.seenAt
	f := &fold{
		in:    plan.Input{State: t.state.Clone(), Liveness: liveness, Now: l.fleetTime(now), NewID: l.newID},
		index: t.state.Index(), scope: newDirty(), full: full, stats: &l.stats,
	}
	f.scope.merge(scope)
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
	f.in.Scope = f.scope.scope(f.full)
	p := next(f.in)
	f.probes = append(f.probes, p.Probes...)
	f.wakes = append(f.wakes, p.Wakes...)
	f.more = f.more || p.More
	refused := f.apply(p.Items)
	f.stats.FoldRefused[by] += uint64(len(refused))

	var own plan.Plan
	subject := plan.PlannerSubject(by)
	if len(refused) > 0 {
		own.SetCondition(f.in, By, fleet.PutCondition{Subject: subject, Code: CodeRefused,
			Message: fmt.Sprintf("%d commands of the planner were dropped, the first: %s", len(refused), strings.ToValidUTF8(refused[0].Error(), "?"))})
	} else if f.full {
		own.ClearCondition(f.in, By, subject)
	}
	f.apply(own.Items)
}

// apply folds items into the work State, keeps those that it takes and returns
// why it refused others: each is a bug, dropped so that the rest goes on.
func (f *fold) apply(items []fleet.Item) []error {
	items, sizes, refused := encodable(items)
	if len(items) == 0 {
		return refused
	}
	f.before = f.in.State.Clone()
	f.index++
	outcome := f.in.State.Apply(f.index, fleet.Entry{At: f.in.Now, Items: items})
	f.scope.touch(outcome.ChangeSet, f.before, f.in.State)
	for i, r := range outcome.Results {
		if r.Err == nil {
			f.items, f.sizes = append(f.items, items[i]), append(f.sizes, sizes[i])
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

// entries parts items into entries of the log; cut says that not all were taken.
func entries(items []fleet.Item, sizes []int) (entries [][]fleet.Item, cut bool) {
	for len(items) > 0 && len(entries) < MaxEntries {
		n := fill(sizes)
		entries = append(entries, items[:n:n])
		items, sizes = items[n:], sizes[n:]
	}
	return entries, len(items) > 0
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
