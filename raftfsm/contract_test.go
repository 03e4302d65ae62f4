package raftfsm

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"skein/agent/lead/logtest"
	"skein/raftfsm/fleet"
)

func TestContractOfTheLog(t *testing.T) {
	logtest.Log(t, func(t *testing.T, run func(*testing.T, logtest.Fixture)) {
		disks := newFaulty()
		inCluster(t, 3, disks.config, func(t *testing.T, c *cluster) { run(t, c.fixture(disks)) })
	})
}

func (c *cluster) fixture(disks *faulty) logtest.Fixture {
	hosts := map[fleet.HostID]*host{}
	f := logtest.Fixture{
		Hosts: c.ids(), NotLeader: ErrNotLeader, Unknown: ErrUnknown, TooLarge: ErrTooLarge, Unencodable: ErrUnencodable,
		Busy: ErrBusy, Stalled: ErrStalled,
		Step: func() {
			time.Sleep(logtest.StepTime)
			synctest.Wait()
		},
		Heal: func() {
			for _, id := range c.ids() {
				c.net.isolate(id, c.ids(), false)
			}
		},
	}
	for _, h := range c.hosts {
		hosts[h.id] = h
	}
	node := func(id fleet.HostID) *Node { return hosts[id].node }
	f.State = func(id fleet.HostID) *fleet.State { return node(id).State() }
	f.IsLeader = func(id fleet.HostID) bool { return node(id).IsLeader() }
	f.Leader = func(id fleet.HostID) (fleet.HostID, bool) { return node(id).Leader() }
	f.Subscribe = func(id fleet.HostID, call func(uint64, fleet.ChangeSet)) { node(id).Subscribe(call) }
	f.Propose = func(id fleet.HostID, items []fleet.Item, done func([]fleet.Result, uint64, error)) {
		n := node(id)
		go func() { done(n.Propose(context.Background(), items)) }()
	}
	ask := func(call func(*Node) error) func(fleet.HostID, func(error)) {
		return func(id fleet.HostID, done func(error)) {
			n := node(id)
			go func() { done(call(n)) }()
		}
	}
	f.Barrier = ask(func(n *Node) error { return n.Barrier(context.Background()) })
	f.Verify = ask(func(n *Node) error { return n.Verify(context.Background()) })
	f.Transfer = ask((*Node).Transfer)
	f.Kill = func(id fleet.HostID) { hosts[id].kill() }
	f.Die = func(id fleet.HostID) { hosts[id].die() }
	f.Start = func(id fleet.HostID) { must(c.t, hosts[id].start()) }
	f.Slow = func(id fleet.HostID, takes time.Duration) {
		disks.set(hosts[id], func() error { time.Sleep(takes); return nil })
	}
	stalls := map[fleet.HostID]chan struct{}{}
	f.Stall = func(id fleet.HostID, on bool) {
		if !on {
			disks.set(hosts[id], func() error { return nil })
			close(stalls[id])
			return
		}
		answers := make(chan struct{})
		stalls[id] = answers
		disks.set(hosts[id], func() error { <-answers; return nil })
	}
	f.Trouble = func(id fleet.HostID) error { return node(id).Trouble() }
	f.Cut = func(id fleet.HostID) { c.net.isolate(id, c.ids(), true) }
	return f
}
