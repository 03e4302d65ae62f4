package raftfsm

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/clock/clocktest"
)

func TestALoneNodeBootstrapsAndProposes(t *testing.T) {
	inCluster(t, 1, nil, func(t *testing.T, c *cluster) {
		h := c.hosts[0]
		index := c.put("a", "b")
		if got := h.node.State().Index(); got != index {
			t.Errorf("state is at %d, the entry at %d", got, index)
		}
		if got := fmt.Sprint(tokens(h.node.State())); got != "[a b]" {
			t.Errorf("tokens %s", got)
		}
		if leader, ok := h.node.Leader(); !ok || leader != h.id {
			t.Errorf("leader %q, %v", leader, ok)
		}
		if err := h.node.Bootstrap(t.Context(), initFleet(h)); !errors.Is(err, ErrExists) {
			t.Errorf("a second bootstrap: %v", err)
		}
		must(t, h.node.Barrier(t.Context()))
		must(t, h.node.Verify(t.Context()))
		members, err := h.node.Members()
		if err != nil || len(members) != 1 || members[0] != (Member{ID: h.raftID(), Voting: true}) {
			t.Errorf("members %v, %v", members, err)
		}
	})
}

// In real time with short timers: where the disk fails inside the library's
// bootstrap, its main goroutine ends and the future is never answered.
func TestABootstrapThatACrashInterruptsAnywhereIsCompleted(t *testing.T) {
	short := func(cfg *Config) {
		cfg.Timing = Timing{Heartbeat: 20 * time.Millisecond, Election: 20 * time.Millisecond, Lease: 10 * time.Millisecond,
			Propose: 200 * time.Millisecond}
	}
	completed := false
	for n := 1; !completed; n++ {
		if n > 200 {
			t.Fatal("it was never completed")
		}
		c := &cluster{t: t, net: newMemnet(), log: slog.New(slog.DiscardHandler)}
		h := c.add(0, short)
		h.disk.StopAt(n)
		completed = h.node.Bootstrap(t.Context(), initFleet(h)) == nil
		h.kill()
		h.cfg = func(cfg *Config) { short(cfg); cfg.Timing.Propose = 5 * time.Second }
		must(t, h.start())
		if err := h.node.Bootstrap(t.Context(), initFleet(h)); err != nil && !(completed && errors.Is(err, ErrExists)) {
			t.Fatalf("crash at call %d: %v\n%s", n, err, c.describe())
		}
		if h.node.State().Fleet() == nil {
			t.Errorf("crash at call %d: no fleet", n)
		}
		other := initFleet(h)
		other.Command = fleet.InitFleet{ID: "fleet-2"}
		if err := h.node.Bootstrap(t.Context(), other); !errors.Is(err, ErrExists) {
			t.Errorf("another fleet: %v", err)
		}
		h.stop()
	}
}

func TestThreeNodesElectALeaderAndFailOver(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		c.put("before")
		old := c.leader()
		old.kill()
		start := time.Now()
		c.put("after")
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("a new leader accepted a write after %v, want under 3 s", took)
		}
		must(t, old.start())
		c.converged()
		if got := fmt.Sprint(tokens(old.node.State())); got != "[after before]" {
			t.Errorf("the old leader has %s", got)
		}
	})
}

func TestLeadershipIsHandedOverOnClose(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		old := c.leader()
		start := time.Now()
		old.stop()
		c.put("after")
		// Without a hand-over nobody asks for votes before Heartbeat has passed.
		if took := time.Since(start); took > 400*time.Millisecond {
			t.Errorf("a new leader accepted a write after %v", took)
		}
	})
}

func TestANodeThatDoesNotLeadRefusesAndEnqueuesNothing(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		f := c.followers()[0]
		last := f.node.Stats()["log_last_index"]
		for name, err := range map[string]error{
			"propose":        f.propose("x"),
			"barrier":        f.node.Barrier(t.Context()),
			"verify":         f.node.Verify(t.Context()),
			"transfer":       f.node.Transfer(),
			"add a voter":    f.node.AddVoter(t.Context(), "h-00000000000000ff.1"),
			"remove a voter": f.node.RemoveServer(t.Context(), "h-00000000000000ff.1"),
		} {
			if !errors.Is(err, ErrNotLeader) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if leader, ok := f.node.Leader(); !ok || leader != c.leader().id {
			t.Errorf("it takes %q for the leader", leader)
		}
		if got := f.node.Stats()["log_last_index"]; got != last {
			t.Errorf("the log grew from %s to %s", last, got)
		}
	})
}

func TestConcurrentProposalsShareEntriesAndKeepTheirOrder(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		leader := c.leader()
		before := leader.node.State().Index()
		const callers, each = 64, 5
		done := make(chan error, callers)
		for i := range callers {
			go func() {
				for k := range each {
					results, _, err := leader.node.Propose(t.Context(), []fleet.Item{
						token(fmt.Sprintf("t-%d-%d-a", i, k)), token(fmt.Sprintf("t-%d-%d-b", i, k)),
					})
					if err != nil || len(results) != 2 || results[0].Err != nil || results[1].Err != nil {
						done <- fmt.Errorf("caller %d: %v, %w", i, results, err)
						return
					}
				}
				done <- nil
			}()
		}
		for range callers {
			must(t, <-done)
		}
		state := leader.node.State()
		if n := len(tokens(state)); n != callers*each*2 {
			t.Errorf("%d tokens, want %d", n, callers*each*2)
		}
		if entries := state.Index() - before; entries >= callers*each {
			t.Errorf("%d entries for %d proposals: nothing was shared", entries, callers*each)
		} else {
			t.Logf("%d proposals in %d entries", callers*each, entries)
		}
		c.converged()
	})
}

func TestEachCallerGetsItsOwnResults(t *testing.T) {
	inCluster(t, 1, nil, func(t *testing.T, c *cluster) {
		node := c.hosts[0].node
		type outcome struct {
			results []fleet.Result
			err     error
		}
		outcomes := make([]chan outcome, 20)
		for i := range outcomes {
			outcomes[i] = make(chan outcome, 1)
			items := []fleet.Item{token(fmt.Sprint("t", i))}
			if i%2 == 1 {
				items = []fleet.Item{{Command: fleet.SilenceHost{Host: "h-none", Session: 1}}}
			}
			go func() {
				results, _, err := node.Propose(t.Context(), items)
				outcomes[i] <- outcome{results, err}
			}()
		}
		for i, ch := range outcomes {
			out := <-ch
			if out.err != nil || len(out.results) != 1 {
				t.Fatalf("caller %d: %+v", i, out)
			}
			if refused := out.results[0].Err != nil; refused != (i%2 == 1) {
				t.Errorf("caller %d got %v", i, out.results[0].Err)
			}
		}
	})
}

func TestWhatDoesNotFitIntoOneEntryIsRefused(t *testing.T) {
	inCluster(t, 1, nil, func(t *testing.T, c *cluster) {
		node := c.hosts[0].node
		many := make([]fleet.Item, MaxEntryItems+1)
		for i := range many {
			many[i] = token(fmt.Sprint("t", i))
		}
		big := make([]fleet.Item, 200)
		for i := range big {
			big[i] = fleet.Item{Command: token("x").Command, Reason: strings.Repeat("r", MaxEntryBytes/200)}
		}
		for name, items := range map[string][]fleet.Item{"too many commands": many, "too many bytes": big} {
			if _, _, err := node.Propose(t.Context(), items); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if _, _, err := node.Propose(t.Context(), many[:MaxEntryItems]); err != nil {
			t.Errorf("a full entry: %v", err)
		}
		if results, _, err := node.Propose(t.Context(), nil); results != nil || err != nil {
			t.Errorf("nothing: %v, %v", results, err)
		}
	})
}

func TestAnIsolatedLeaderAnswersUnknownAndStopsLeading(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		old := c.leader()
		c.net.isolate(old.id, c.ids(), true)
		start := time.Now()
		if err := old.propose("lost"); !errors.Is(err, ErrUnknown) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("the answer took %v", took)
		}
		if err := old.node.Verify(t.Context()); !isOneOf(err, ErrNotLeader, ErrUnknown) {
			t.Errorf("verify: %v", err)
		}
		c.await("it stops leading", func() bool { return !old.node.IsLeader() })
		if err := old.propose("refused"); !errors.Is(err, ErrNotLeader) {
			t.Errorf("got %v", err)
		}
		c.put("kept")
		c.net.isolate(old.id, c.ids(), false)
		c.converged()
		for _, h := range c.hosts {
			if got := fmt.Sprint(tokens(h.node.State())); got != "[kept]" {
				t.Errorf("%s has %s", h.id, got)
			}
		}
	})
}

func TestAnIsolatedFollowerComesBackWithoutAnElection(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		leader, f := c.leader(), c.followers()[0]
		term := leader.node.Term()
		c.net.isolate(f.id, c.ids(), true)
		clocktest.Elapse(10 * time.Minute)
		c.net.isolate(f.id, c.ids(), false)
		c.put("x")
		c.converged()
		if got := leader.node.Term(); got != term || !leader.node.IsLeader() {
			t.Errorf("term %d became %d, still leading: %v", term, got, leader.node.IsLeader())
		}
	})
}

func TestAReceiptMakesAnUnknownProposalSafeToRetry(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		item := token("once")
		item.Receipt = &fleet.Receipt{Token: "client-1", BodyHash: make([]byte, 32)}
		old := c.leader()
		// The entry reaches the others, their answers do not come back.
		for _, other := range c.ids() {
			if other != old.id {
				c.net.cut(other, old.id, true)
			}
		}
		_, _, err := old.node.Propose(t.Context(), []fleet.Item{item})
		if !errors.Is(err, ErrUnknown) {
			t.Fatalf("got %v", err)
		}
		c.net.isolate(old.id, c.ids(), false)
		c.await("a leader", func() bool { return c.leader() != nil })
		results, _, err := c.leader().node.Propose(t.Context(), []fleet.Item{item})
		if err != nil || results[0].Err != nil {
			t.Fatalf("the retry: %v, %v", results, err)
		}
		c.converged()
		done := 0
		for e := range c.leader().node.State().EventsAfter(0) {
			if strings.Contains(e.Subject.String()+e.Message, "once") {
				done++
			}
		}
		if done != 1 || !has(c.leader().node.State(), "once") {
			t.Errorf("it was done %d times", done)
		}
	})
}

func TestANodeAloneRemembersAllItWasTold(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		var names []string
		for i := range 40 {
			names = append(names, fmt.Sprintf("t%02d", i))
			c.put(names[i])
		}
		c.put("last") // carries the commit index of what was before it
		c.converged()
		for _, h := range c.hosts {
			h.kill()
		}
		survivor := c.hosts[2]
		must(t, survivor.start())
		state := survivor.node.State()
		for _, name := range names {
			if !has(state, name) {
				t.Errorf("alone it has forgotten %s", name)
			}
		}
		if members, _ := survivor.node.Members(); len(members) != 3 {
			t.Errorf("alone it knows the members %v", members)
		}
		if survivor.node.AppliedIndex() < state.Index() || survivor.node.CommitIndex() < state.Index() {
			t.Errorf("applied %d, commit %d, state %d", survivor.node.AppliedIndex(), survivor.node.CommitIndex(), state.Index())
		}
		must(t, c.hosts[0].start())
		c.put("again")
		must(t, c.hosts[1].start())
		c.converged()
	})
}

// The library replays at most 128 batches before its FSM runs and then hangs,
// and forgets the configuration on the way: see store.GetCommitIndex.
func TestALogOfManyEntriesWithoutASnapshotOpensAndElects(t *testing.T) {
	inCluster(t, 1, func(cfg *Config) { cfg.SnapshotEvery = 1 << 40 }, func(t *testing.T, c *cluster) {
		h := c.hosts[0]
		data, err := wire.EncodeEntry(fleet.Entry{Items: []fleet.Item{token("x")}})
		must(t, err)
		const many = 128*maxAppend + 1000
		for range many / 500 {
			for range 499 {
				h.node.raft.Apply(data, 0)
			}
			must(t, h.node.raft.Apply(data, 0).Error())
		}
		want := h.node.State().Index()
		h.stop()
		must(t, h.start())
		if got := h.node.State().Index(); got < want-maxAppend { // the last append's commit is not on disk
			t.Errorf("state is at %d, was at %d", got, want)
		}
		c.put("y")
	})
}

func TestALateJoinerGetsASnapshot(t *testing.T) {
	small := func(cfg *Config) { cfg.SnapshotEvery, cfg.TrailingLogs, cfg.Timing.Snapshot = 20, 5, time.Second }
	inCluster(t, 1, small, func(t *testing.T, c *cluster) {
		for i := range 60 {
			c.put(fmt.Sprint("t", i))
		}
		leader := c.hosts[0]
		c.await("a snapshot", func() bool { return leader.node.Stats()["log_first_index"] != "1" })
		late := c.add(1, small)
		told := make(chan change, 100)
		cancel := late.node.Subscribe(func(index uint64, changeSet fleet.ChangeSet) { told <- change{index, changeSet} })
		defer cancel()
		must(t, leader.node.AddNonvoter(t.Context(), late.raftID()))
		c.put("after")
		c.converged()
		if n := leader.node.SnapshotInstalls(late.raftID()); n != 1 {
			t.Errorf("%d snapshots were sent", n)
		}
		first := <-told
		hosts := slices.Collect(first.changeSet.HostRows())
		if first.index < 20 || len(hosts) != 1 || !first.changeSet.Has(fleet.FleetSubject()) ||
			!first.changeSet.Any(fleet.SubjectVoters) {
			t.Errorf("the snapshot was told as %+v", first)
		}
		// What it got survives, also without the leader.
		index := late.node.State().Index()
		late.kill()
		leader.stop()
		must(t, late.start())
		if got := late.node.State().Index(); got < index-1 {
			t.Errorf("state is at %d, was at %d", got, index)
		}
	})
}

func TestAFollowerThatWasAwayLongCatchesUpBySnapshot(t *testing.T) {
	small := func(cfg *Config) { cfg.SnapshotEvery, cfg.TrailingLogs, cfg.Timing.Snapshot = 20, 5, time.Second }
	inCluster(t, 3, small, func(t *testing.T, c *cluster) {
		away := c.followers()[0]
		away.kill()
		for i := range 80 {
			c.put(fmt.Sprint("t", i))
		}
		clocktest.Elapse(10 * time.Second)
		must(t, away.start())
		c.put("x")
		c.converged()
		away.kill()
		must(t, away.start())
		c.converged()
	})
}

func TestASnapshotIsTakenByBytes(t *testing.T) {
	change := func(cfg *Config) { cfg.SnapshotEvery, cfg.SnapshotBytes, cfg.TrailingLogs = 1<<40, 20_000, 10 }
	inCluster(t, 1, change, func(t *testing.T, c *cluster) {
		node := c.hosts[0].node
		for i := range 40 {
			item := token(fmt.Sprint("t", i))
			item.Reason = strings.Repeat("r", 1000)
			_, _, err := node.Propose(t.Context(), []fleet.Item{item})
			must(t, err)
		}
		c.await("a snapshot", func() bool { return node.Stats()["last_snapshot_index"] != "0" })
		if due := node.machine.since.Load(); due >= 40_000 {
			t.Errorf("%d bytes are still due", due)
		}
	})
}

func TestSubscribersHearOfEveryEntryInOrderAfterItIsPublished(t *testing.T) {
	inCluster(t, 1, nil, func(t *testing.T, c *cluster) {
		node := c.hosts[0].node
		heard := make(chan uint64, 100)
		cancel := node.Subscribe(func(index uint64, changeSet fleet.ChangeSet) {
			if node.State().Index() < index {
				t.Errorf("entry %d is not published", index)
			}
			heard <- index
		})
		want := []uint64{c.put("a")}
		for i := range 20 {
			want = append(want, c.put(fmt.Sprint("t", i)))
		}
		synctest.Wait()
		cancel()
		c.put("not-heard")
		synctest.Wait()
		close(heard)
		var got []uint64
		for index := range heard {
			got = append(got, index)
		}
		if !slices.Equal(got, want) {
			t.Errorf("heard %v, want %v", got, want)
		}
	})
}

func TestLeadershipIsTold(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		old := c.leader()
		f := c.followers()[0]
		lost, won := old.node.Leadership(), make(chan bool, 1)
		go func() {
			for _, h := range c.followers() {
				go func() {
					if <-h.node.Leadership() {
						won <- true
					}
				}()
			}
		}()
		synctest.Wait()
		old.kill()
		select {
		case <-won:
		case <-time.After(time.Minute):
			t.Fatalf("nobody was told of leadership:\n%s", c.describe())
		}
		if leads, open := <-lost; leads && open {
			t.Error("the old leader was told that it leads")
		}
		node := f.node
		f.stop()
		if _, open := <-node.Leadership(); open {
			t.Error("a closed node's channel is open")
		}
	})
}

func TestAnEntryOfANewerVersionStopsTheNodeWithAClearMessage(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		c.put("before")
		c.converged()
		leader := c.leader()
		_ = leader.node.raft.Apply(append([]byte{99}, "from the future"...), 0).Error()
		err := leader.fatal()
		for _, part := range []string{"entry ", "term ", "upgrade skein on this host", "version 99"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the message %q does not say %q", err, part)
			}
		}
		// It is committed, so whoever leads next meets it too, until no quorum is left.
		c.await("a second node stops", func() bool {
			n := 0
			for _, h := range c.hosts {
				if errors.Is(h.node.Trouble(), ErrUnreadable) {
					n++
				}
			}
			return n >= 2
		})
		for _, h := range c.hosts {
			if !has(h.node.State(), "before") {
				t.Errorf("%s has lost its State", h.id)
			}
		}
		c.await("nobody leads", func() bool { return c.all(func(h *host) bool { return !h.node.IsLeader() }) })
		h := c.hosts[0]
		h.kill()
		// The entry's commit may not be on this disk, then it opens and waits.
		if err := h.start(); err != nil && !errors.Is(err, ErrUnreadable) {
			t.Errorf("opening again: %v", err)
		}
	})
}

func (h *host) fatal() error {
	select {
	case err := <-h.node.Fatal():
		return err
	case <-time.After(time.Minute):
		return fmt.Errorf("nothing fatal within a minute:\n%s", h.c.describe())
	}
}

func TestGarbageOnTheRaftListenerDoesNoHarm(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		c.put("before")
		leader := c.leader()
		term := leader.node.Term()
		dial := c.net.dialer("h-intruder")
		for _, garbage := range [][]byte{
			nil,
			[]byte("GET / HTTP/1.1\r\n\r\n"),
			bytes.Repeat([]byte{0xff}, 4096),
			{0, 0xdf, 0xff, 0xff, 0xff, 0xff},              // appendEntries of 4 G fields
			{1, 0xdd, 0xff, 0xff, 0xff, 0xff},              // requestVote, a list of 4 G
			{2, 0x81, 0xa1, 'x', 0xc6, 255, 255, 255, 255}, // installSnapshot, 4 GB of bytes
			{4, 0x80},                         // requestPreVote of nobody
			{3, 0xc1},                         // timeoutNow, no such type
			bytes.Repeat([]byte{0x93}, 1<<16), // deep nesting
		} {
			for _, h := range c.hosts {
				conn, err := dial(t.Context(), h.id)
				must(t, err)
				_, _ = conn.Write(garbage)
				must(t, conn.SetReadDeadline(time.Now().Add(time.Second)))
				_, _ = conn.Read(make([]byte, 1024))
				_ = conn.Close()
			}
		}
		c.put("after")
		c.converged()
		if got := c.leader().node.Term(); got != term {
			t.Errorf("term %d became %d", term, got)
		}
	})
}

func TestOnlyMembersAreAdmitted(t *testing.T) {
	inCluster(t, 2, nil, func(t *testing.T, c *cluster) {
		c.converged()
		node := c.hosts[0].node
		if !node.Admits(c.hosts[1].id) || node.Admits("h-00000000000000ff") {
			t.Error("not exactly the members are admitted")
		}
		added := c.add(2, nil)
		if !added.node.Admits(c.hosts[0].id) {
			t.Error("a node without configuration does not let the leader in")
		}
	})
}

func TestARemovedServerIsOutAndStaysUp(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		out, leader := c.followers()[0], c.leader()
		term := leader.node.Term()
		must(t, c.leader().node.RemoveServer(t.Context(), out.raftID()))
		must(t, c.leader().node.RemoveServer(t.Context(), out.raftID()))
		c.put("x")
		clocktest.Elapse(time.Minute)
		if members, _ := c.leader().node.Members(); len(members) != 2 {
			t.Errorf("members %v", members)
		}
		if out.node.IsLeader() || out.node.State().Fleet() == nil {
			t.Error("the removed one leads, or has lost its State")
		}
		if got := leader.node.Term(); got != term || !leader.node.IsLeader() {
			t.Errorf("it disturbed the others: term %d became %d", term, got)
		}
	})
}

func TestProposalsOfAClosedNodeAreRefused(t *testing.T) {
	inCluster(t, 1, nil, func(t *testing.T, c *cluster) {
		node := c.hosts[0].node
		c.hosts[0].stop()
		if _, _, err := node.Propose(t.Context(), []fleet.Item{token("x")}); !isOneOf(err, ErrClosed, ErrNotLeader) {
			t.Errorf("got %v", err)
		}
		must(t, node.Close())
	})
}

func TestScaledStretchesOnlyRaftsOwnTimers(t *testing.T) {
	got := Timing{Heartbeat: time.Second}.Scaled(2)
	want := Timing{}.withDefaults()
	want.Heartbeat, want.Election, want.Lease = 2*time.Second, time.Second, 500*time.Millisecond
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
