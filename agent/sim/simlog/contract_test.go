package simlog_test

import (
	"testing"
	"time"

	"skein/agent/lead/logtest"
	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func TestContractOfTheLog(t *testing.T) {
	logtest.Log(t, func(t *testing.T, run func(*testing.T, logtest.Fixture)) {
		r := newRig(t, 1, 3, 3, virtual.NetworkConditions{Delay: time.Millisecond}, simlog.Config{Shared: true})
		run(t, r.fixture())
		r.well()
	})
}

func (r *rig) fixture() logtest.Fixture {
	hosts := map[fleet.HostID]*host{}
	f := logtest.Fixture{
		NotLeader: simlog.ErrNotLeader, Unknown: simlog.ErrUnknown, TooLarge: simlog.ErrTooLarge,
		Unencodable: simlog.ErrUnencodable, Busy: simlog.ErrBusy, Stalled: simlog.ErrStalled,
		Step: func() { r.pass(logtest.StepTime) },
		Heal: r.net.Heal,
	}
	for _, h := range r.hosts {
		hosts[h.id] = h
		f.Hosts = append(f.Hosts, h.id)
	}
	f.State = func(id fleet.HostID) *fleet.State { return hosts[id].node.State() }
	f.IsLeader = func(id fleet.HostID) bool { return hosts[id].node.IsLeader() }
	f.Leader = func(id fleet.HostID) (fleet.HostID, bool) { return hosts[id].node.Leader() }
	f.Subscribe = func(id fleet.HostID, call func(uint64, fleet.ChangeSet)) { hosts[id].node.Subscribe(call) }
	f.Propose = func(id fleet.HostID, items []fleet.Item, done func([]fleet.Result, uint64, error)) {
		hosts[id].node.Propose(items, began.Add(r.time.Now()), done)
	}
	f.Barrier = func(id fleet.HostID, done func(error)) { hosts[id].node.Barrier(done) }
	f.Verify = func(id fleet.HostID, done func(error)) { hosts[id].node.Verify(done) }
	f.Transfer = func(id fleet.HostID, done func(error)) { hosts[id].node.Transfer(done) }
	f.Kill = func(id fleet.HostID) { hosts[id].kill() }
	f.Die = func(id fleet.HostID) {
		r.net.Set(id, virtual.Down)
		hosts[id].node = nil
	}
	f.Start = func(id fleet.HostID) { hosts[id].start() }
	f.Slow = func(id fleet.HostID, takes time.Duration) { hosts[id].disk.Slow(takes) }
	f.Stall = func(id fleet.HostID, on bool) { hosts[id].disk.Stall(on) }
	f.Trouble = func(id fleet.HostID) error { return hosts[id].node.Trouble() }
	f.Cut = func(id fleet.HostID) {
		for _, other := range f.Hosts {
			if other != id {
				r.net.Cut([]fleet.HostID{id}, []fleet.HostID{other})
				r.net.Cut([]fleet.HostID{other}, []fleet.HostID{id})
			}
		}
	}
	return f
}
