package node

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"skein/agent/peer/stream"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
	"skein/runtime/entry"
	"skein/runtime/seam/clock"
)

const (
	// holdWithin bounds a change of the kernel's addresses and rules.
	holdWithin = 5 * time.Second
	// holdEvery is how often they are put back that something else took away, and holdAgain
	// how soon what failed is tried again.
	holdEvery = 30 * time.Second
	holdAgain = 2 * time.Second
	// takenAfter is how long after a new holder was named neighbours know it: the lease of the
	// old one, the questions and the first announcements.
	takenAfter = 1500 * time.Millisecond
	// handOverPoll is how often an agent that leaves looks whether it holds nothing any more.
	handOverPoll = 50 * time.Millisecond
)

// entries has this host hold the entry addresses that it is sent, for as long as its
// voter's words last.
type entries struct {
	holder *entry.Holder
	clock  clock.Clock
	log    *slog.Logger

	mu     sync.Mutex // guards the rest; one change at a time
	duties entry.Duties
	held   time.Duration // when it was made so last
	failed error         // what of it cannot be held
}

// openEntries opens what holds entry addresses: none until a voter says which.
func (n *node) openEntries(closers *closers) {
	n.entries = &entries{clock: n.clock, log: n.Log,
		holder: entry.Open(entry.Config{Except: []string{n.Config.Network.Bridge}, Clock: n.clock, Log: n.Log})}
	closers.add(n.entries.holder.Close)
}

// beat is what this host's beats say, while it needs a lease.
func (e *entries) beat() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.duties.Any() {
		return 0
	}
	return entry.Beat(e.clock.Mono())
}

// take does what a frame says of entry addresses, and only then what it says of the
// lease: that is of the State which came with it.
func (e *entries) take(f stream.VoterFrame) {
	sent := f.Entries
	if sent == nil && f.Complete() {
		sent = &fleet.WantedEntries{}
	}
	if sent != nil {
		e.obey(sent)
	}
	if f.Lease != nil {
		age, known := f.Lease.Age()
		if !known {
			age = -1
		}
		word := entry.Word{Beat: f.Lease.Beat, Age: age, NoLeader: f.Lease.NoLeader}
		e.holder.Renew(entry.LeaseOf(e.clock.Mono(), word))
	}
}

func (e *entries) obey(sent *fleet.WantedEntries) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.duties.Take(e.clock.Mono(), sent) {
		e.hold(context.Background())
	}
}

// hold makes the kernel's addresses those of the duties. e.mu is held.
func (e *entries) hold(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, holdWithin)
	defer cancel()
	err := e.holder.Hold(ctx, e.duties.Addresses())
	if err != nil && (e.failed == nil || e.failed.Error() != err.Error()) {
		e.log.Warn("entry addresses not held", "err", err)
	}
	e.held, e.failed = e.clock.Mono(), err
}

// awaitNone waits until this host has to answer for no address any more, and then until those
// that took over do.
func (e *entries) awaitNone(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if !e.any() {
		return
	}
	tick := time.NewTicker(handOverPoll)
	defer tick.Stop()
	for e.any() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	settled := time.NewTimer(takenAfter)
	defer settled.Stop()
	select {
	case <-ctx.Done():
	case <-settled.C:
	}
}

func (e *entries) any() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.duties.Any()
}

// troubles are those with addresses that this host is to answer for.
func (e *entries) troubles() (all []plan.EntryTrouble) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.duties.Any() {
		return nil
	}
	return entryTroubles(e.duties.Addresses(), e.holder.Status(), e.failed, e.clock.Mono())
}

// entryTroubles: an address that is not among those that are held has failed; one that a
// neighbour goes on to say is its own is not ours. The former holder of a planned move is
// such a neighbour for a moment.
func entryTroubles(
	want []entry.Address, held []entry.Status, failed error, now time.Duration,
) (all []plan.EntryTrouble) {
	for _, w := range want {
		i := slices.IndexFunc(held, func(s entry.Status) bool { return s.Addr == w.Addr })
		t := plan.EntryTrouble{Addr: w.Addr}
		switch {
		case w.Role != entry.Holding || len(all) == plan.MaxEntryTroubles:
			continue
		case i < 0 && failed != nil:
			t.Why = cmp.Or(entry.WhyNot(failed, w.Addr), "other addresses failed first")
		case i >= 0 && !held[i].Answering && held[i].Other != "" && now-held[i].Since >= entry.HandOver:
			t.Other = held[i].Other
		default:
			continue
		}
		all = append(all, t.Clip())
	}
	return all
}

// run puts back what something else took away.
func (e *entries) run(ctx context.Context) error {
	return every(ctx, holdAgain, func() { e.repair(ctx) })
}

func (e *entries) repair(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	due := e.clock.Mono()-e.held >= holdEvery && len(e.duties.Addresses()) > 0
	if due || e.failed != nil {
		e.hold(ctx)
	}
}
