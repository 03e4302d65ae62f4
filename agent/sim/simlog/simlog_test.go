package simlog_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// three is a fleet of three voters that has a write.
func three(t testing.TB, cfg simlog.Config) *rig {
	r := newRig(t, 1, 4, 3, virtual.NetworkConditions{Delay: time.Millisecond}, cfg)
	r.put("before")
	r.equalThree()
	return r
}

// equalThree is equal for the first three: the fourth learns nothing yet.
func (r *rig) equalThree() {
	r.t.Helper()
	all := r.hosts
	r.hosts = r.hosts[:3]
	r.equal()
	r.hosts = all
}

func (r *rig) cutOff(h *host) {
	for _, o := range r.hosts {
		if o != h {
			r.net.Cut([]fleet.HostID{h.id}, []fleet.HostID{o.id})
			r.net.Cut([]fleet.HostID{o.id}, []fleet.HostID{h.id})
		}
	}
}

// TestLog are the sentences that only the twin can be held to: faults that the
// contract's fixtures do not have.
func TestLog(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, r *rig){
		"a quiet log has no events": func(t *testing.T, r *rig) {
			r.pass(time.Minute)
			ran := r.time.Ran()
			r.pass(30 * 24 * time.Hour)
			if n := r.time.Ran() - ran; n > 0 {
				t.Errorf("%d events in a quiet month", n)
			}
			r.put("after")
		},
		"a log without a majority has no events either": func(t *testing.T, r *rig) {
			for _, h := range r.hosts[1:3] {
				h.kill()
			}
			r.pass(time.Minute)
			ran := r.time.Ran()
			r.pass(24 * time.Hour)
			if n := r.time.Ran() - ran; n > 0 {
				t.Errorf("%d events in a day", n)
			}
			r.hosts[1].start()
			r.put("after")
		},
		"a leader that stood still acts on what it believed and acknowledges nothing": func(t *testing.T, r *rig) {
			old := r.leader()
			r.net.Set(old.id, virtual.Frozen)
			var got error
			old.state.After(0, func() {
				if !old.node.IsLeader() {
					t.Error("it knew before it heard anything")
				}
				old.propose(func(err error) { got = err }, token("stale"))
			})
			r.put("meanwhile")
			if !old.node.IsLeader() {
				t.Error("a machine that stands still changed its mind")
			}
			r.net.Set(old.id, virtual.Up)
			r.await("it steps down", func() bool { return !old.node.IsLeader() })
			r.await("an answer", func() bool { return got != nil })
			if !errors.Is(got, simlog.ErrUnknown) {
				t.Errorf("its proposal: %v", got)
			}
			r.equalThree()
			if old.has("stale") || !old.has("meanwhile") {
				t.Error("its proposal was committed, or others' were not")
			}
		},
		"one that stands still for less than a lease goes on leading": func(t *testing.T, r *rig) {
			old := r.leader()
			r.net.Set(old.id, virtual.Frozen)
			r.pass(200 * time.Millisecond)
			r.net.Set(old.id, virtual.Up)
			r.pass(5 * time.Second)
			if !old.node.IsLeader() {
				t.Error("it leads no more")
			}
		},
		"a leader that hears nobody steps down by its lease, those that hear no leader elect by their timeout": func(
			t *testing.T, r *rig) {
			old := r.leader()
			at := r.time.Now()
			r.cutOff(old)
			r.await("it steps down", func() bool { return !old.node.IsLeader() })
			if took := r.time.Now() - at; took < 250*time.Millisecond || took > 375*time.Millisecond {
				t.Errorf("it stepped down after %s", took)
			}
			r.leader()
			if took := r.time.Now() - at; took < 500*time.Millisecond || took > 2500*time.Millisecond {
				t.Errorf("another one leads after %s", took)
			}
		},
		"a cut one way is one": func(t *testing.T, r *rig) {
			old := r.leader()
			for _, o := range r.others(old) {
				r.net.Cut([]fleet.HostID{o.id}, []fleet.HostID{old.id})
			}
			r.await("it steps down", func() bool { return !old.node.IsLeader() })
			r.put("meanwhile")
			r.net.Heal()
			r.equalThree()
		},
		"a follower that is linked to the leader's other follower only disturbs nobody": func(t *testing.T, r *rig) {
			old := r.leader()
			f := r.others(old)[0]
			r.net.Cut([]fleet.HostID{f.id}, []fleet.HostID{old.id})
			r.pass(10 * time.Second)
			if !old.node.IsLeader() {
				t.Error("the leader lost its place")
			}
			if age := f.node.LeaderAge(); age < 9*time.Second {
				t.Errorf("it heard the leader %s ago", age)
			}
			if _, ok := f.node.Leader(); ok {
				t.Error("it takes somebody for the leader")
			}
			r.net.Heal()
			r.equalThree()
			if age := f.node.LeaderAge(); age != 0 {
				t.Errorf("it heard the leader %s ago", age)
			}
		},
		"a stalled disk costs the leadership after two seconds, and what waits is unknown": func(t *testing.T, r *rig) {
			old := r.leader()
			old.disk.Stall(true)
			at := r.time.Now()
			err := r.result(func(done func(error)) { old.propose(done, token("stalled")) })
			if took := r.time.Now() - at; !errors.Is(err, simlog.ErrUnknown) || took < 2*time.Second || took > 3*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
			if err := old.node.Trouble(); !errors.Is(err, simlog.ErrStalled) {
				t.Errorf("its trouble: %v", err)
			}
			r.put("meanwhile")
			if old.has("meanwhile") {
				t.Error("it was not cut off")
			}
			old.disk.Stall(false)
			r.equalThree()
			if old.node.Trouble() != nil {
				t.Errorf("its trouble: %v", old.node.Trouble())
			}
		},
		"what was not synced is lost with the power, and was not acknowledged": func(t *testing.T, r *rig) {
			f := r.others(r.leader())[0]
			f.disk.Stall(true)
			r.put("after")
			f.kill()
			f.disk.Lose()
			f.start()
			if f.has("after") {
				t.Error("it was not lost")
			}
			r.equalThree()
		},
		"a full disk gives leadership away and takes nothing": func(t *testing.T, r *rig) {
			old := r.leader()
			old.disk.Full(true)
			r.pass(time.Second)
			if old.node.IsLeader() {
				t.Error("it leads")
			}
			r.put("meanwhile")
			if !errors.Is(old.node.Trouble(), simlog.ErrDiskFull) || old.has("meanwhile") {
				t.Errorf("its trouble: %v, it has the write: %v", old.node.Trouble(), old.has("meanwhile"))
			}
			for _, o := range r.others(old) {
				if o.node.IsLeader() {
					o.kill()
					break
				}
			}
			r.pass(10 * time.Second)
			if old.node.IsLeader() {
				t.Error("it was elected")
			}
			old.disk.Full(false)
			r.leader()
		},
		"a wiped disk, another's, and one in use are not opened": func(t *testing.T, r *rig) {
			h := r.hosts[2]
			open := func(id fleet.RaftID) error {
				_, err := r.log.Open(id, h.disk, h.state)
				return err
			}
			if err := open(h.raft); !errors.Is(err, simlog.ErrLocked) {
				t.Errorf("in use: %v", err)
			}
			h.kill()
			r.net.PowerOn(h.id)
			h.state = r.net.Begin(h.id)
			if err := open(r.hosts[1].raft); !errors.Is(err, simlog.ErrOtherID) {
				t.Errorf("another's: %v", err)
			}
			h.disk.Wipe()
			if err := open(h.raft); !errors.Is(err, simlog.ErrWiped) {
				t.Errorf("wiped: %v", err)
			}
			if err := r.log.Bootstrap(r.hosts[0].disk); !errors.Is(err, simlog.ErrExists) {
				t.Errorf("bootstrap again: %v", err)
			}
		},
		"a server learns before it votes, and a removed one leaves the rest alone": func(t *testing.T, r *rig) {
			leader, fourth := r.leader(), r.hosts[3]
			r.must(func(done func(error)) { leader.node.AddNonvoter(fourth.raft, done) })
			r.equal()
			if !slices.Contains(fourth.node.Members(), simlog.Member{ID: fourth.raft}) {
				t.Errorf("members %v", fourth.node.Members())
			}
			r.must(func(done func(error)) { leader.node.AddVoter(fourth.raft, done) })
			gone := r.others(leader)[0]
			r.must(func(done func(error)) { leader.node.RemoveServer(gone.raft, done) })
			r.must(func(done func(error)) { leader.node.RemoveServer(gone.raft, done) })
			r.pass(time.Minute)
			if !leader.node.IsLeader() {
				t.Error("the leader lost its place")
			}
			for _, id := range []fleet.RaftID{r.hosts[1].raft, r.hosts[2].raft, fourth.raft} {
				if id != leader.raft {
					r.must(func(done func(error)) { leader.node.RemoveServer(id, done) })
				}
			}
			if err := r.result(func(done func(error)) { leader.node.RemoveServer(leader.raft, done) }); err == nil {
				t.Error("the last voter was removed")
			}
			r.put("alone")
		},
		"a leader that removes itself steps down once that is committed": func(t *testing.T, r *rig) {
			old := r.leader()
			r.must(func(done func(error)) { old.node.RemoveServer(old.raft, done) })
			r.await("it steps down", func() bool { return !old.node.IsLeader() })
			if next := r.leader(); next == old || len(next.node.Members()) != 2 {
				t.Errorf("%s leads %v", next.raft, next.node.Members())
			}
		},
		"a closed leader hands over": func(t *testing.T, r *rig) {
			old := r.leader()
			old.node.Close()
			old.node.Close()
			old.propose(func(err error) {
				if !errors.Is(err, simlog.ErrClosed) {
					t.Errorf("propose to it: %v", err)
				}
			}, token("closed"))
			old.node = nil
			at := r.time.Now()
			r.leader()
			if took := r.time.Now() - at; took > 400*time.Millisecond {
				t.Errorf("another one leads after %s", took)
			}
		},
		"an agent that starts again at once has lost nothing": func(t *testing.T, r *rig) {
			for _, h := range r.hosts[:3] {
				r.net.Set(h.id, virtual.Down)
				h.start()
			}
			r.equalThree()
			if !r.hosts[2].has("before") {
				t.Error("it has")
			}
		},
		"leadership is told to those who asked": func(t *testing.T, r *rig) {
			old := r.leader()
			r.cutOff(old)
			r.pass(time.Second)
			r.net.Heal()
			if got := fmt.Sprint(old.leads); got != "[true false]" {
				t.Errorf("it was told %s", got)
			}
		},
	} {
		for _, shared := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, shared=%v", name, shared), func(t *testing.T) {
				r := three(t, simlog.Config{Shared: shared})
				test(t, r)
				r.well()
			})
		}
	}
}

func TestAFollowerThatLagsGetsASnapshotAndIsToldOfEverything(t *testing.T) {
	for _, shared := range []bool{true, false} {
		r := newRig(t, 1, 3, 3, virtual.NetworkConditions{Delay: time.Millisecond},
			simlog.Config{Shared: shared, SnapshotEvery: 20, KeepEntries: 5})
		leader := r.leader()
		f := r.others(leader)[0]
		r.cutOff(f)
		for i := range 60 {
			r.put(fmt.Sprint("t", i))
		}
		before := len(f.told)
		r.net.Heal()
		r.equal()
		if n := leader.node.SnapshotInstalls(f.raft); n != 1 {
			t.Errorf("shared %v: %d snapshots were sent", shared, n)
		}
		if len(f.told) == before || !f.has("t0") {
			t.Errorf("shared %v: it was not told", shared)
		}
		r.pass(11 * time.Minute)
		if n := leader.node.SnapshotInstalls(f.raft); n != 0 {
			t.Errorf("shared %v: %d snapshots count after ten minutes", shared, n)
		}
		f.kill()
		f.start()
		r.equal()
		r.well()
	}
}

func TestAVoterThatLagsBeyondWhatIsSharedAppliesForItself(t *testing.T) {
	r := newRig(t, 1, 3, 3, virtual.NetworkConditions{Delay: time.Millisecond},
		simlog.Config{Shared: true, SnapshotEvery: 1 << 20})
	leader := r.leader()
	f := r.others(leader)[0]
	f.kill()
	for i := range 1500 {
		r.must(func(done func(error)) { leader.propose(done, token(fmt.Sprint("t", i))) })
	}
	f.start()
	r.equal()
	r.well()
	if n := leader.node.SnapshotInstalls(f.raft); n != 0 {
		t.Errorf("%d snapshots were sent", n)
	}
}

func TestAClonedDiskIsAsItWasThen(t *testing.T) {
	r := three(t, simlog.Config{Shared: true})
	f := r.others(r.leader())[0]
	clone := f.disk.Clone()
	r.put("after")
	r.equalThree()
	f.kill()
	f.disk = clone
	f.start()
	if f.has("after") || f.node.ID() != f.raft {
		t.Error("it is not as it was")
	}
	r.equalThree()
	r.well()
}

func TestProposalsWithoutAMajorityAreUnknownAfterTheirDeadline(t *testing.T) {
	// A lease so long that leadership does not end first.
	r := three(t, simlog.Config{Lease: time.Hour})
	leader := r.leader()
	r.cutOff(leader)
	at := r.time.Now()
	err := r.result(func(done func(error)) { leader.propose(done, token("x")) })
	if took := r.time.Now() - at; !errors.Is(err, simlog.ErrUnknown) || took != 10*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	if err := r.result(leader.node.Verify); !errors.Is(err, simlog.ErrUnknown) {
		t.Errorf("verify: %v", err)
	}
	if err := r.result(leader.node.Transfer); err == nil || errors.Is(err, simlog.ErrUnknown) {
		t.Errorf("transfer to nobody: %v", err)
	}
}

func TestMemoryIsBoundedOverMonths(t *testing.T) {
	r := newRig(t, 1, 3, 3, virtual.NetworkConditions{Delay: time.Millisecond},
		simlog.Config{Shared: true, SnapshotEvery: 500, KeepEntries: 100})
	r.log.Held()
	leader, most := r.leader(), 0
	item := fleet.Item{Command: fleet.UncordonHost{Host: r.hosts[0].id}}
	for range 20_000 {
		r.must(func(done func(error)) { leader.propose(done, item) })
		most = max(most, r.log.Held())
	}
	if most > 6*600+100 { // six logs, and what has just been applied
		t.Errorf("%d entries and States were held", most)
	}
}
