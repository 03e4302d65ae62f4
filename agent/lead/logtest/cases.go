package logtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"skein/raftfsm/fleet"
)

var cases = map[string]func(b *bed){
	"entries are applied in order everywhere, and each is told once, after it is published": func(b *bed) {
		var mu sync.Mutex
		told := map[fleet.HostID][]uint64{}
		for _, h := range b.Hosts {
			b.Subscribe(h, func(index uint64, t fleet.ChangeSet) {
				mu.Lock()
				defer mu.Unlock()
				told[h] = append(told[h], index)
				if got := b.State(h).Index(); got < index {
					b.t.Errorf("%s is told of %d, its State is of %d", h, index, got)
				}
				if !t.Any(fleet.SubjectEvents) {
					b.t.Errorf("%s is not told what %d touched", h, index)
				}
			})
		}
		var want []uint64
		var names []string
		for i := range 20 {
			names = append(names, fmt.Sprint("t", i))
			want = append(want, b.put(names[i]))
		}
		b.applied(want[len(want)-1])
		b.have(b.Hosts, names...)
		if !slices.IsSorted(want) {
			b.t.Errorf("proposals made in turn have the indices %v", want)
		}
		b.pass(StepTime)
		mu.Lock()
		defer mu.Unlock()
		for h, got := range told {
			if !slices.Equal(got, want) {
				b.t.Errorf("%s was told of %v, want %v", h, got, want)
			}
		}
		if len(told) != len(b.Hosts) {
			b.t.Errorf("only %d voters were told anything", len(told))
		}
	},

	"a proposal is answered once, when its entry is applied, with a result for each item": func(b *bed) {
		leader := b.leader()
		a := &answer{}
		refused := fleet.Item{Command: fleet.SilenceHost{Host: "h-none", Session: 1}}
		var there bool
		b.Propose(leader, []fleet.Item{token("a"), refused, token("b")},
			func(results []fleet.Result, index uint64, err error) {
				there = b.State(leader).Index() >= index && b.State(leader).Token("b") != nil
				a.give(results, index, err)
			})
		b.got(a)
		if a.err != nil || len(a.results) != 3 {
			b.t.Fatalf("got %v, %v", a.results, a.err)
		}
		for i, r := range a.results {
			if (r.Err != nil) != (i == 1) {
				b.t.Errorf("item %d: %v", i, r.Err)
			}
		}
		if !there {
			b.t.Error("it was answered before it was applied")
		}
		b.applied(a.index)
		b.have(b.Hosts, "a", "b")
		b.pass(time.Second)
		if a.times != 1 {
			b.t.Errorf("it was answered %d times", a.times)
		}
	},

	"proposals of one moment keep their order": func(b *bed) {
		leader := b.leader()
		var all []*answer
		for i := range 50 {
			all = append(all, b.propose(leader, fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)))
		}
		for _, a := range all {
			if b.got(a); a.err != nil || len(a.results) != 2 || a.results[0].Err != nil || a.results[1].Err != nil {
				b.t.Fatalf("got %v, %v", a.results, a.err)
			}
		}
		if n := b.State(leader).Index(); n < all[49].index {
			b.t.Errorf("State is of %d, an answer was of %d", n, all[49].index)
		}
	},

	"a proposal of nothing is no entry": func(b *bed) {
		before := b.State(b.leader()).Index()
		if a := b.got(b.propose(b.leader())); a.err != nil || len(a.results) != 0 {
			b.t.Errorf("got %v, %v", a.results, a.err)
		}
		if after := b.put("a"); after < before {
			b.t.Errorf("the index went from %d to %d", before, after)
		}
	},

	"a follower refuses, says who leads, and puts nothing into the log": func(b *bed) {
		leader, f := b.leader(), b.followers()[0]
		b.is("propose", b.got(b.propose(f, "x")).err, b.NotLeader)
		b.is("barrier", b.ask(f, b.Barrier), b.NotLeader)
		b.is("verify", b.ask(f, b.Verify), b.NotLeader)
		b.is("transfer", b.ask(f, b.Transfer), b.NotLeader)
		if got, ok := b.Leader(f); !ok || got != leader {
			b.t.Errorf("it takes %q for the leader, want %q", got, leader)
		}
		b.applied(b.put("a"))
		b.have(b.Hosts, "a")
	},

	"who has passed a barrier has applied everything earlier": func(b *bed) {
		b.put("a", "b", "c")
		old := b.leader()
		b.kill(old)
		var next fleet.HostID
		b.await("another leader", long, func() bool {
			for _, h := range b.up() {
				if b.IsLeader(h) && b.ask(h, b.Barrier) == nil {
					next = h
					return true
				}
			}
			return false
		})
		b.have([]fleet.HostID{next}, "a", "b", "c")
	},

	"a leader that has verified itself has applied everything acknowledged": func(b *bed) {
		b.put("a")
		old := b.leader()
		for _, h := range b.followers() {
			b.Slow(h, 60*time.Millisecond) // its first entry commits only after heartbeats were answered
		}
		acked := b.got(b.propose(old, "b"))
		if acked.err != nil {
			b.t.Fatalf("write b: %v", acked.err)
		}
		b.kill(old)
		verified := false
		b.await("another leader verifies itself", long, func() bool {
			for _, h := range b.up() {
				if !b.IsLeader(h) {
					continue
				}
				a := &answer{}
				b.Verify(h, func(err error) {
					if err == nil && b.State(h).Token("b") == nil {
						err = errors.New("it has verified itself without what was acknowledged")
					} else if err != nil {
						err = fmt.Errorf("not yet: %w", b.NotLeader)
					}
					a.give(nil, 0, err)
				})
				if b.got(a); a.err == nil {
					verified = true
				} else if !errors.Is(a.err, b.NotLeader) {
					b.t.Fatal(a.err)
				}
			}
			return verified
		})
	},

	"a transfer moves leadership at once": func(b *bed) {
		b.put("a")
		old := b.leader()
		a := &answer{}
		b.Transfer(old, func(err error) { a.give(nil, 0, err) })
		b.got(a)
		if a.err != nil {
			b.t.Fatalf("transfer: %v", a.err)
		}
		if b.IsLeader(old) {
			b.t.Error("it still leads")
		}
		// Without a transfer nobody would ask for votes so soon.
		b.await("another leader", 400*time.Millisecond, func() bool {
			return slices.ContainsFunc(b.up(), func(h fleet.HostID) bool { return h != old && b.IsLeader(h) })
		})
		b.applied(b.put("b"))
		b.have(b.Hosts, "a", "b")
	},

	"a leader that is killed is replaced by one that has everything acknowledged": func(b *bed) {
		b.put("a", "b")
		old := b.leader()
		under := b.propose(old, "under way")
		b.kill(old)
		took := b.await("another leader takes a write", long, func() bool {
			for _, h := range b.up() {
				if b.IsLeader(h) {
					if a := b.got(b.propose(h, "c")); a.err == nil {
						return true
					}
				}
			}
			return false
		})
		if took > failover {
			b.t.Errorf("that took %s, want %s", took, failover)
		}
		next := b.leader()
		names := []string{"a", "b", "c"}
		if b.State(next).Token("under way") != nil {
			names = append(names, "under way")
		} else if under.come() && under.err == nil {
			b.t.Error("what was under way was acknowledged and is gone")
		}
		b.start(old)
		b.applied(b.put("d"))
		b.have(b.Hosts, append(names, "d")...)
	},

	"a leader whose program ends on a machine that lives is replaced at once": func(b *bed) {
		b.put("a")
		old := b.leader()
		b.down[old] = true
		b.Die(old)
		took := b.await("another leader takes a write", long, func() bool {
			for _, h := range b.up() {
				if b.IsLeader(h) && b.got(b.propose(h, "b")).err == nil {
					return true
				}
			}
			return false
		})
		if took > handover {
			b.t.Errorf("that took %s, want %s", took, handover)
		}
		b.have([]fleet.HostID{b.leader()}, "a", "b")
	},

	"a leader that is cut off acknowledges nothing, and soon knows that it does not lead": func(b *bed) {
		b.put("a")
		old := b.leader()
		b.Cut(old)
		lost := b.propose(old, "lost")
		verified := &answer{}
		b.Verify(old, func(err error) { verified.give(nil, 0, err) })
		b.await("it steps down", stepDown, func() bool { return !b.IsLeader(old) })
		if b.got(lost); lost.err == nil {
			b.t.Error("its proposal was acknowledged")
		}
		if b.got(verified); verified.err == nil {
			b.t.Error("it was told that it leads")
		}
		b.is("propose to it later", b.got(b.propose(old, "never")).err, b.NotLeader)
		b.put("b")
		if b.State(old).Token("b") != nil {
			b.t.Error("it has what was written without it")
		}
		b.Heal()
		b.applied(b.put("c"))
		if got, ok := b.Leader(old); !ok || got != b.leader() {
			b.t.Errorf("it takes %q for the leader", got)
		}
		b.have(b.Hosts, "a", "b", "c")
	},

	"a leader whose disk stalls leads no more, though nobody writes": func(b *bed) {
		b.put("a")
		old := b.leader()
		b.pass(10 * time.Second)
		b.Stall(old, true)
		b.await("it steps down", noticed, func() bool { return !b.IsLeader(old) })
		b.is("its trouble", b.Trouble(old), b.Stalled)
		if got, ok := b.Leader(old); ok {
			b.t.Errorf("it says that %s leads, and cannot know", got)
		}
		b.await("another leads", failover, func() bool {
			return slices.ContainsFunc(b.up(), func(h fleet.HostID) bool { return h != old && b.IsLeader(h) })
		})
		b.put("b")
		b.Stall(old, false)
		b.applied(b.put("c"))
		b.is("its trouble later", b.Trouble(old), nil)
		b.have(b.Hosts, "a", "b", "c")
	},

	"a follower tells that its disk stalls, though nobody writes, and disturbs nobody": func(b *bed) {
		b.put("a")
		leader, f := b.leader(), b.followers()[0]
		b.pass(10 * time.Second)
		b.Stall(f, true)
		b.await("it tells", noticed, func() bool { return errors.Is(b.Trouble(f), b.Stalled) })
		b.put("b")
		b.Stall(f, false)
		b.applied(b.put("c"))
		b.is("its trouble later", b.Trouble(f), nil)
		if !b.IsLeader(leader) {
			b.t.Error("the leader lost its place")
		}
		b.have(b.Hosts, "a", "b", "c")
	},

	"a follower that was cut off disturbs nobody and catches up": func(b *bed) {
		leader, f := b.leader(), b.followers()[0]
		b.Cut(f)
		b.pass(5 * time.Second)
		b.put("a")
		b.Heal()
		b.applied(b.put("b"))
		b.pass(3 * time.Second)
		if !b.IsLeader(leader) {
			b.t.Error("the leader lost its place")
		}
		b.have(b.Hosts, "a", "b")
	},

	"a majority goes on, a minority does not": func(b *bed) {
		followers := b.followers()
		b.kill(followers[0])
		b.put("a")
		leader := b.leader()
		b.kill(followers[1])
		a := b.propose(leader, "alone")
		b.await("it steps down", stepDown, func() bool { return !b.IsLeader(leader) })
		if b.got(a); a.err == nil {
			b.t.Error("a proposal was acknowledged by a minority")
		}
		b.start(followers[1])
		b.put("b")
		if b.State(b.leader()).Token("a") == nil {
			b.t.Error("what was acknowledged is gone")
		}
	},

	"a voter alone remembers what it was told was committed": func(b *bed) {
		f := b.followers()[0]
		b.applied(b.put("a", "b"))
		b.applied(b.put("c"))
		for _, h := range b.Hosts {
			b.kill(h)
		}
		b.start(f)
		if b.State(f).Token("a") == nil || b.State(f).Token("b") == nil {
			b.t.Error("it has forgotten")
		}
		b.pass(3 * time.Second)
		if b.IsLeader(f) {
			b.t.Error("it leads alone")
		}
	},

	"a fleet that lost its power has everything acknowledged": func(b *bed) {
		b.put("a", "b", "c")
		for _, h := range b.Hosts {
			b.kill(h)
		}
		for _, h := range slices.Backward(b.Hosts) {
			b.start(h)
			b.pass(50 * time.Millisecond)
		}
		b.applied(b.put("d"))
		b.have(b.Hosts, "a", "b", "c", "d")
	},

	"what is too large is refused, and not done": func(b *bed) {
		leader := b.leader()
		var many []string
		for i := range 257 {
			many = append(many, fmt.Sprint("t", i))
		}
		b.is("257 commands", b.got(b.propose(leader, many...)).err, b.TooLarge)
		large := &answer{}
		item := token("large")
		item.Reason = string(make([]byte, 513<<10))
		b.Propose(leader, []fleet.Item{item}, large.give)
		if b.got(large); large.err == nil {
			b.t.Error("an entry of 513 KiB was taken")
		}
		b.applied(b.put("a"))
		b.have(b.Hosts, "a")
	},

	"what cannot be written down is refused, and not done": func(b *bed) {
		leader := b.leader()
		poison := &answer{}
		item := token("poison")
		item.Reason = "\xff" // no voter could read it back
		b.Propose(leader, []fleet.Item{token("with it"), item}, poison.give)
		b.is("a poison command", b.got(poison).err, b.Unencodable)
		if !b.IsLeader(leader) {
			b.t.Error("it leads no more")
		}
		b.applied(b.put("a"))
		b.have(b.Hosts, "a")
	},

	"when too many wait, the rest is refused, and not done": func(b *bed) {
		old := b.leader()
		b.Cut(old)
		all := map[string]*answer{}
		for i := range 7000 {
			name := fmt.Sprint("t", i)
			all[name] = b.propose(old, name)
		}
		b.await("it steps down", stepDown, func() bool { return !b.IsLeader(old) })
		b.put("a")
		b.Heal()
		b.applied(b.put("b"))
		busy := 0
		for name, a := range all {
			b.got(a)
			if a.err == nil {
				b.t.Fatalf("%s was acknowledged by a leader that was cut off", name)
			}
			if errors.Is(a.err, b.Busy) {
				busy++
			}
		}
		if busy == 0 {
			b.t.Error("none was refused")
		}
		b.have(b.Hosts, "a", "b")
	},
}
