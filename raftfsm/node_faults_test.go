package raftfsm

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock/clocktest"
	"skein/runtime/seam/vfs"
)

// faulty gives each host a switch that its store asks before each write.
type faulty struct {
	hosts map[fleet.HostID]*atomic.Pointer[func() error]
}

func newFaulty() *faulty { return &faulty{hosts: map[fleet.HostID]*atomic.Pointer[func() error]{}} }

func (f *faulty) config(cfg *Config) {
	p := new(atomic.Pointer[func() error])
	f.hosts[cfg.ID.Host()] = p
	cfg.inject = func(string) error {
		if fault := p.Load(); fault != nil {
			return (*fault)()
		}
		return nil
	}
}

func (f *faulty) set(h *host, fault func() error) { f.hosts[h.id].Store(&fault) }

func TestAStalledDiskDropsLeadershipAndAnotherLeads(t *testing.T) {
	faults := newFaulty()
	inCluster(t, 3, faults.config, func(t *testing.T, c *cluster) {
		c.put("before")
		old := c.leader()
		release := make(chan struct{})
		faults.set(old, func() error { <-release; return nil })
		stuck := make(chan error, 1)
		go func() { stuck <- old.propose("stuck") }()

		start := time.Now()
		c.await("another leader", func() bool {
			for _, h := range c.hosts {
				if h != old && h.node.IsLeader() {
					return true
				}
			}
			return false
		})
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("a new leader after %v, want under 5 s", took)
		}
		if old.node.IsLeader() {
			t.Error("the stalled node says that it leads")
		}
		if id, known := old.node.Leader(); known {
			t.Errorf("the stalled node says that %s leads, and cannot know", id)
		}
		if !errors.Is(old.node.Trouble(), ErrStalled) {
			t.Errorf("trouble: %v", old.node.Trouble())
		}
		for _, h := range c.hosts {
			if h != old && h.node.IsLeader() {
				must(t, h.propose("meanwhile"))
			}
		}
		if err := <-stuck; !errors.Is(err, ErrUnknown) {
			t.Errorf("the proposal on the stalled disk: %v", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("whoever proposed it was told after %v, want under 5 s", took)
		}
		if err := old.propose("refused"); !errors.Is(err, ErrNotLeader) || !errors.Is(err, ErrStalled) {
			t.Errorf("a proposal during the stall: %v, want one that another node may take", err)
		}

		close(release)
		c.await("the old leader follows", func() bool { return !old.node.IsLeader() && old.node.Trouble() == nil })
		c.converged()
		if s := old.node.State(); !has(s, "meanwhile") || has(s, "refused") {
			t.Errorf("the old leader has %v", tokens(s))
		}
	})
}

func TestAStallOfTheOnlyVoterEndsItsLeadershipUntilTheDiskAnswers(t *testing.T) {
	faults := newFaulty()
	inCluster(t, 1, faults.config, func(t *testing.T, c *cluster) {
		h := c.leader()
		changes := h.node.Leadership()
		release := make(chan struct{})
		faults.set(h, func() error { <-release; return nil })
		stuck := make(chan error, 1)
		go func() { stuck <- h.propose("stuck") }()
		if leads := <-changes; leads || h.node.IsLeader() {
			t.Errorf("told %v, leads %v while the disk stalls", leads, h.node.IsLeader())
		}
		close(release)
		if leads := <-changes; !leads || !h.node.IsLeader() {
			t.Errorf("told %v, leads %v once the disk answers", leads, h.node.IsLeader())
		}
		if err := <-stuck; !errors.Is(err, ErrUnknown) {
			t.Errorf("the proposal on the stalled disk: %v", err)
		}
		must(t, h.propose("after"))
		if s := h.node.State(); !has(s, "stuck") {
			t.Errorf("the log took it, and State has %v", tokens(s))
		}
	})
}

func TestALeaderWhoseDiskIsSlowAfterAStallLeadsOnlyIfAMajoritySaysSo(t *testing.T) {
	faults := newFaulty()
	inCluster(t, 3, faults.config, func(t *testing.T, c *cluster) {
		// The library chooses by chance what it does first once a write returns: the
		// next write, or to look whether it still leads.
		for round := range 10 {
			old := c.leader()
			release := make(chan struct{})
			faults.set(old, func() error {
				<-release
				clocktest.Elapse(time.Second)
				return nil
			})
			for i := range 20 {
				go func() { _ = old.propose(fmt.Sprintf("round %d stuck %d", round, i)) }()
				clocktest.Elapse(10 * time.Millisecond)
			}
			c.await("another leader", func() bool {
				return slices.ContainsFunc(c.hosts, func(h *host) bool { return h != old && h.node.IsLeader() })
			})
			c.net.isolate(old.id, c.ids(), true) // so that nobody tells it
			close(release)
			c.await("the disk answers", func() bool { return old.node.Trouble() == nil })
			for range 400 {
				if old.node.IsLeader() {
					t.Fatalf("round %d: it leads by its own word", round)
				}
				clocktest.Elapse(5 * time.Millisecond)
			}
			faults.set(old, func() error { return nil })
			c.net.isolate(old.id, c.ids(), false)
			c.converged()
		}
	})
}

func TestAStalledFollowerDisturbsNobody(t *testing.T) {
	faults := newFaulty()
	inCluster(t, 3, faults.config, func(t *testing.T, c *cluster) {
		leader, f := c.leader(), c.followers()[0]
		term := leader.node.Term()
		release := make(chan struct{})
		faults.set(f, func() error { <-release; return nil })
		for i := range 20 {
			c.put(fmt.Sprint("t", i))
			clocktest.Elapse(500 * time.Millisecond)
		}
		if id, known := f.node.Leader(); known {
			t.Errorf("the stalled node says that %s leads, and cannot know", id)
		}
		close(release)
		c.converged()
		if got := leader.node.Term(); got != term {
			t.Errorf("term %d became %d", term, got)
		}
	})
}

func TestAFailedWriteEndsTheNodeAndAnotherLeads(t *testing.T) {
	faults := newFaulty()
	inCluster(t, 3, faults.config, func(t *testing.T, c *cluster) {
		c.put("before")
		old := c.leader()
		faults.set(old, func() error { return syscall.EIO })
		if err := old.propose("lost"); !errors.Is(err, ErrUnknown) {
			t.Errorf("the proposal: %v", err)
		}
		if err := old.fatal(); !errors.Is(err, syscall.EIO) {
			t.Errorf("fatal: %v", err)
		}
		if old.node.IsLeader() {
			t.Error("the failed node says that it leads")
		}
		c.await("another leader", func() bool { return c.leader() != old })
		c.put("after")
		if !has(old.node.State(), "before") {
			t.Error("the failed node has lost its State")
		}
		old.stop()
		faults.set(old, func() error { return nil })
		must(t, old.start())
		c.converged()
	})
}

func TestEveryNodeSurvivesAFailureOfItsNthWrite(t *testing.T) {
	// The n-th write of one node fails, whatever it is: a term, a vote, an append.
	for n := 1; n <= 12; n++ {
		t.Run(fmt.Sprintf("write %d", n), func(t *testing.T) {
			faults := newFaulty()
			inCluster(t, 3, faults.config, func(t *testing.T, c *cluster) {
				victim := c.followers()[0]
				var left atomic.Int64
				left.Store(int64(n))
				faults.set(victim, func() error {
					if left.Add(-1) == 0 {
						return syscall.EIO
					}
					return nil
				})
				for i := range 3 {
					c.certainly(fmt.Sprint("t", i))
				}
				_ = c.leader().node.Transfer() // makes the victim vote
				for i := range 6 {
					c.certainly(fmt.Sprint("u", i))
				}
				synctest.Wait()
				if (victim.node.Trouble() == nil) != (left.Load() > 0) {
					t.Errorf("%d writes before the failure, trouble: %v", left.Load(), victim.node.Trouble())
				}
				victim.stop()
				must(t, victim.start())
				c.converged()
				if n := len(tokens(victim.node.State())); n != 9 {
					t.Errorf("%d tokens, want 9", n)
				}
			})
		})
	}
}

func TestAFullDiskHandsLeadershipOverAndRecovers(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		c.put("before")
		old := c.leader()
		old.disk.SetCapacity(0)
		// The twin gives nothing back for a removed file: do it for the ballast.
		var full atomic.Bool
		full.Store(true)
		go func() {
			for full.Load() {
				if _, err := old.disk.Stat("/raft/" + ballastName); err != nil {
					old.disk.SetCapacity(1 << 20)
					return
				}
				clocktest.Elapse(time.Millisecond)
			}
		}()
		defer full.Store(false)
		big := token("x")
		big.Reason = strings.Repeat("r", 2000)
		c.await("another leader", func() bool {
			_, _, _ = old.node.Propose(t.Context(), []fleet.Item{big})
			return !old.node.IsLeader()
		})
		c.put("after")
		if trouble := old.node.Trouble(); !errors.Is(trouble, ErrDiskFull) {
			t.Errorf("trouble: %v", trouble)
		}
		old.disk.SetCapacity(-1)
		if errors.Is(old.node.Trouble(), syscall.ENOSPC) { // the ballast was not given up in time
			old.stop()
			must(t, old.start())
		}
		c.await("the disk has room again", func() bool { return old.node.Trouble() == nil })
		c.converged()
	})
}

func TestADamagedLogIsSetAsideAndTheHostComesBackUnderANewID(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		for i := range 20 {
			c.put(fmt.Sprint("t", i))
		}
		victim := c.followers()[0]
		victim.stop()
		name := "/raft/log/000000000001.seg"
		b, err := victim.disk.ReadFile(name)
		must(t, err)
		b[segmentHeader+100] ^= 0xff
		replace(t, victim.disk, name, b)

		err = victim.start()
		if !errors.Is(err, ErrLogDamaged) || !strings.Contains(err.Error(), "/raft/log.damaged-1") {
			t.Fatalf("got %v", err)
		}
		if _, err := victim.disk.Stat("/raft/log.damaged-1/000000000001.seg"); err != nil {
			t.Errorf("the damaged file is gone: %v", err)
		}
		for range 3 { // the agent restarts: never a vote under that name again
			if err := victim.start(); !errors.Is(err, ErrWiped) {
				t.Fatalf("opening again: %v", err)
			}
		}
		must(t, c.leader().node.RemoveServer(t.Context(), victim.raftID()))
		victim.n++
		must(t, victim.start())
		must(t, c.leader().node.AddNonvoter(t.Context(), victim.raftID()))
		must(t, c.leader().node.AddVoter(t.Context(), victim.raftID()))
		c.put("after")
		c.converged()
	})
}

func TestAWipedDiskNeverVotesUnderItsOldName(t *testing.T) {
	inCluster(t, 1, nil, func(t *testing.T, c *cluster) {
		h := c.hosts[0]
		h.stop()
		must(t, h.disk.RemoveAll("/raft/log"))
		must(t, h.disk.RemoveAll("/raft/snapshots"))
		if err := h.start(); !errors.Is(err, ErrWiped) {
			t.Errorf("got %v", err)
		}
		if id, err := Identity(h.disk, "/raft"); id != h.raftID() || err != nil {
			t.Errorf("identity %q, %v", id, err)
		}
	})
}

func TestAnotherRaftIDStartsEmptyAndKeepsTheOldFolder(t *testing.T) {
	inCluster(t, 1, nil, func(t *testing.T, c *cluster) {
		h := c.hosts[0]
		c.put("x")
		for range keptAside + 2 {
			h.stop()
			h.n++
			must(t, h.start())
			if h.node.State().Fleet() != nil || h.node.AppliedIndex() != 0 {
				t.Fatal("the new log is not empty")
			}
		}
		files, err := h.disk.ReadDir("/")
		must(t, err)
		var aside []string
		for _, f := range files {
			if f.Name() != "raft" {
				aside = append(aside, f.Name())
			}
		}
		if got, want := fmt.Sprint(aside),
			"[raft.aside-h-0000000000000001.3 raft.aside-h-0000000000000001.4 raft.aside-h-0000000000000001.5]"; got != want {
			t.Errorf("set aside: %s, want %s", got, want)
		}
	})
}

func TestALogWithoutItsMarkerIsStillItsOwners(t *testing.T) {
	inCluster(t, 1, nil, func(t *testing.T, c *cluster) {
		h := c.hosts[0]
		c.put("x")
		h.stop()
		must(t, h.disk.Remove("/raft/"+markerName))
		must(t, h.start())
		if h.node.State().Fleet() == nil {
			t.Error("the log was not taken")
		}
		h.stop()
		must(t, h.disk.Remove("/raft/"+markerName))
		h.n++
		must(t, h.start())
		if h.node.State().Fleet() != nil {
			t.Error("another id got the log")
		}
	})
}

func TestDiscardLeavesNothingAndAnInterruptedOneNeverVotes(t *testing.T) {
	for n := 1; ; n++ {
		done := false
		inCluster(t, 1, nil, func(t *testing.T, c *cluster) {
			h := c.hosts[0]
			c.put("x")
			h.stop()
			h.disk.StopAt(n)
			err := Discard(h.disk, "/raft")
			h.disk.Crash()
			if err == nil {
				done = true
				if _, err := h.disk.Stat("/raft"); err == nil {
					t.Error("the folder is still there")
				}
				return
			}
			// Either nothing has happened, or the log is gone and known to be.
			if err := h.start(); err != nil && !isOneOf(err, ErrWiped) {
				t.Errorf("after an interruption at call %d: %v", n, err)
			}
			if h.node != nil && h.node.State().Fleet() == nil {
				t.Errorf("after an interruption at call %d the node is empty under its old name", n)
			}
		})
		if done {
			if n < 4 {
				t.Errorf("only %d calls", n)
			}
			return
		}
	}
}

func TestAStartThatACrashInterruptsIsCompleted(t *testing.T) {
	for n := 1; n < 200; n++ {
		opened := false
		inCluster(t, 0, nil, func(t *testing.T, c *cluster) {
			h := &host{c: c, id: "h-0000000000000001", disk: vfs.NewMem(), n: 1}
			c.hosts = []*host{h}
			h.disk.StopAt(n)
			opened = h.start() == nil
			if opened {
				h.kill()
			} else {
				h.disk.Crash()
			}
			// Nothing was ever promised under this name: it may start again.
			if err := h.start(); err != nil {
				t.Fatalf("after a crash at call %d: %v", n, err)
			}
		})
		if opened {
			return
		}
	}
	t.Fatal("it never opened")
}

func TestADamagedSnapshotFallsBackToTheOneBeforeWhereTheLogReaches(t *testing.T) {
	change := func(cfg *Config) { cfg.SnapshotEvery, cfg.TrailingLogs, cfg.Timing.Snapshot = 20, 1000, time.Second }
	inCluster(t, 1, change, func(t *testing.T, c *cluster) {
		h := c.hosts[0]
		for i := range 60 {
			c.put(fmt.Sprint("t", i))
			clocktest.Elapse(200 * time.Millisecond)
		}
		c.put("last")
		names := fmt.Sprint(tokens(h.node.State()))
		h.stop()
		list, err := h.disk.ReadDir("/raft/snapshots")
		must(t, err)
		newest := path.Join("/raft/snapshots", list[len(list)-1].Name())
		b, err := h.disk.ReadFile(newest)
		must(t, err)
		b[10] ^= 1
		replace(t, h.disk, newest, b)
		must(t, h.start())
		c.put("after")
		if got := fmt.Sprint(tokens(h.node.State())); !strings.HasPrefix(names, "[last ") || !strings.Contains(got, " t59") {
			t.Errorf("got %s, had %s", got, names)
		}
	})
}

func TestAMissingSnapshotIsDamageWhereTheLogBeginsLater(t *testing.T) {
	change := func(cfg *Config) {
		cfg.SnapshotEvery, cfg.TrailingLogs, cfg.Timing.Snapshot, cfg.segmentBytes = 20, 5, time.Second, 2048
	}
	inCluster(t, 1, change, func(t *testing.T, c *cluster) {
		h := c.hosts[0]
		for i := range 60 {
			c.put(fmt.Sprint("t", i))
		}
		c.await("a compacted log", func() bool { return h.node.Stats()["log_first_index"] > "40" })
		c.put("more")
		h.stop()
		must(t, h.disk.RemoveAll("/raft/snapshots"))
		if err := h.start(); !errors.Is(err, ErrLogDamaged) {
			t.Errorf("got %v", err)
		}
	})
}

// The store relies on the order in which the library writes a vote.
func TestTheLibraryWritesTheTermOfAVoteBeforeItsCandidate(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		for range 5 {
			must(t, c.leader().node.Transfer())
			leader := c.leader()
			c.put(fmt.Sprint("t", leader.node.Term()))
			c.converged()
			votes := 0
			for _, h := range c.hosts {
				if v := h.node.store.stable; v.VoteTerm == leader.node.Term() && string(v.VoteFor) == string(leader.raftID()) {
					votes++
				}
			}
			if votes < 2 {
				t.Errorf("%d votes for the leader of term %d are on disk", votes, leader.node.Term())
			}
		}
	})
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	net := newMemnet()
	whole := Config{Dir: "/raft", ID: "h-0000000000000001.1", FS: vfs.NewMem(), Dial: net.dialer("a"),
		Accept: net.listen("a")}
	for name, change := range map[string]func(*Config){
		"no folder":            func(c *Config) { c.Dir = "" },
		"no id":                func(c *Config) { c.ID = "" },
		"an id without number": func(c *Config) { c.ID = "h-0000000000000001" },
		"no dialer":            func(c *Config) { c.Dial = nil },
		"no listener":          func(c *Config) { c.Accept = nil },
	} {
		cfg := whole
		change(&cfg)
		if n, err := Open(cfg); err == nil {
			t.Errorf("%s was accepted", name)
			_ = n.Close()
		}
	}
}

func TestTwoProcessesCannotOpenOneLog(t *testing.T) {
	inCluster(t, 1, nil, func(t *testing.T, c *cluster) {
		h := c.hosts[0]
		second := &host{c: c, id: h.id, disk: h.disk, n: 1}
		listener := c.net.listeners[h.id]
		if err := second.start(); !errors.Is(err, ErrLocked) {
			t.Errorf("got %v", err)
		}
		c.net.listeners[h.id] = listener
		c.put("x")
	})
}

func TestANodeRunsOnTheRealFileSystem(t *testing.T) {
	net := newMemnet()
	cfg := Config{
		Dir: path.Join(t.TempDir(), "raft"), ID: "h-0000000000000001.1",
		Dial: net.dialer("h-0000000000000001"), Accept: net.listen("h-0000000000000001"),
	}
	node, err := Open(cfg)
	must(t, err)
	h := &host{id: "h-0000000000000001", n: 1}
	must(t, node.Bootstrap(t.Context(), initFleet(h)))
	_, _, err = node.Propose(t.Context(), []fleet.Item{token("x")})
	must(t, err)
	if info, failed := os.Stat(path.Join(cfg.Dir, ballastName)); failed != nil || info.Size() != defaultBallast {
		t.Errorf("the ballast: %v, %v", info, failed)
	}
	must(t, node.Close())
	cfg.Accept = net.listen("h-0000000000000001")
	node, err = Open(cfg)
	must(t, err)
	if node.State().Fleet() == nil {
		t.Error("the fleet is gone")
	}
	must(t, node.Close())
}

func TestALeaderThatCannotReadItsSnapshotTakesAnotherOrHandsOver(t *testing.T) {
	change := func(cfg *Config) { cfg.SnapshotEvery, cfg.TrailingLogs, cfg.Timing.Snapshot = 20, 1000, time.Second }
	inCluster(t, 3, change, func(t *testing.T, c *cluster) {
		for i := range 60 {
			c.put(fmt.Sprint("t", i))
		}
		c.await("snapshots everywhere", func() bool {
			return c.all(func(h *host) bool { return h.node.Stats()["last_snapshot_index"] != "0" })
		})
		clocktest.Elapse(5 * time.Second) // no snapshot is under way any more
		victim := c.followers()[0]
		list, err := victim.node.snapshots.List()
		must(t, err)
		name := victim.node.snapshots.file(list[0].ID)
		b, err := victim.disk.ReadFile(name)
		must(t, err)
		b[10] ^= 1
		replace(t, victim.disk, name, b)
		c.await("the victim leads and has noticed", func() bool {
			if leader := c.leader(); leader != victim {
				_ = leader.node.Transfer()
				return false
			}
			list, err := victim.node.snapshots.List()
			return err == nil && victim.node.snapshots.verify(list[0].ID) == nil
		})
	})
}

// The library refuses to vote for who does not vote by the voter's own, perhaps
// old, configuration; Raft has no such rule, and with it a majority may be
// unable to elect.
func TestAMajorityElectsThoughPartOfItMissedTheLastChange(t *testing.T) {
	for _, tc := range []struct {
		name   string
		missed int // the host that does not hear of the change
	}{
		{"an old voter missed it", 1},
		{"the new voter itself missed it", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inCluster(t, 2, nil, func(t *testing.T, c *cluster) {
				first := c.hosts[0]
				if c.leader() != first {
					must(t, c.leader().node.Transfer())
				}
				third := c.add(2, nil)
				must(t, first.node.AddNonvoter(t.Context(), third.raftID()))
				c.converged()
				c.await("everybody knows the learner", func() bool {
					return c.all(func(h *host) bool { m, _ := h.node.Members(); return len(m) == 3 })
				})
				missed := c.hosts[tc.missed]
				c.net.isolate(missed.id, c.ids(), true)
				must(t, first.node.AddVoter(t.Context(), third.raftID()))
				first.kill()
				c.net.isolate(missed.id, c.ids(), false)
				c.put("after")
			})
		})
	}
}

func TestWhatAConfigLeavesOutIsTheMachinesOwn(t *testing.T) {
	net := newMemnet()
	cfg := Config{Dir: "/raft", ID: "h-0000000000000001.1", Dial: net.dialer("a"), Accept: net.listen("a")}
	cfg, err := cfg.withDefaults()
	if err != nil || cfg.FS != vfs.OS || cfg.Clock == nil || cfg.Log == nil || cfg.SnapshotEvery <= 0 ||
		cfg.SnapshotBytes <= 0 || cfg.TrailingLogs <= 0 || cfg.BallastBytes <= 0 || cfg.segmentBytes <= 0 {
		t.Errorf("got %+v, %v", cfg, err)
	}
	cfg.BallastBytes = -1
	if again, err := cfg.withDefaults(); err != nil || again.BallastBytes != 0 {
		t.Errorf("no ballast is asked for: %d, %v", again.BallastBytes, err)
	}
}
