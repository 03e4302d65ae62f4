package raftfsm

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
)

// When a leader's program ends while its machine lives, its kernel closes the
// connections and refuses new ones. Followers that see this do not wait for the usual
// heartbeat timeout: they use the shortest one that the lease allows, one after the
// other.
//
// Pre-votes stay on. A follower that alone is refused, for example by a firewall,
// therefore deposes nobody: the others still hear the leader and give no vote. Followers
// stand in turn, so that votes do not split. All count their turns from the moment when
// the connections end, which they notice together, and each turn leaves time for an
// election.

const (
	// refusedEvery is the pause between two dials of a leader that hung up.
	refusedEvery = 20 * time.Millisecond
	// refusedFor is how long a leader that hung up is dialed: after that the usual
	// timeout has passed for everybody.
	refusedFor = time.Second
	// turnEvery is the pause between the candidacies of two followers: two rounds
	// of messages and two syncs.
	turnEvery = 40 * time.Millisecond
)

// watchLeader runs until the node stops. It looks after a leader that hung up.
func (n *Node) watchLeader() {
	for {
		select {
		case <-n.stream.hungUp:
			n.lookAfterLeader()
		case <-n.stop:
			return
		}
	}
}

// lookAfterLeader dials a leader until it answers, is another, or refuses.
func (n *Node) lookAfterLeader() {
	hungUp := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), refusedFor)
	defer cancel()
	for {
		_, id := n.raft.LeaderWithID()
		leader := fleet.RaftID(id)
		if leader == "" || leader == n.cfg.ID || n.cutOff() {
			return
		}
		conn, err := n.cfg.Dial(ctx, leader.Host())
		switch {
		case err == nil:
			_ = conn.Close()
			return
		case errors.Is(err, syscall.ECONNREFUSED):
			n.cfg.Log.Info("leader refuses connections", "leader", leader)
			n.stand(ctx, leader, hungUp)
			return
		}
		if !n.sleep(ctx, refusedEvery) {
			return
		}
	}
}

// stand has this node stand for election when it is its turn, unless it hears a
// leader before.
func (n *Node) stand(ctx context.Context, leader fleet.RaftID, hungUp time.Time) {
	turn, ok := n.turnAfter(leader)
	if !ok {
		return
	}
	timeout := n.cfg.Timing.Lease
	if !n.sleep(ctx, timeout+time.Duration(turn)*turnEvery-time.Since(hungUp)) {
		return
	}
	_, id := n.raft.LeaderWithID()
	if fleet.RaftID(id) != leader || n.raft.State() != raft.Follower || time.Since(n.raft.LastContact()) < timeout {
		return
	}
	n.setHeartbeat(timeout) // has the library look at once
	defer n.setHeartbeat(n.cfg.Timing.Heartbeat)
	for n.raft.State() == raft.Follower && n.sleep(ctx, refusedEvery/4) {
	}
}

// turnAfter is when this node stands, among the voters that a leader leaves.
func (n *Node) turnAfter(leader fleet.RaftID) (turn int, ok bool) {
	members, err := n.Members()
	if err != nil {
		return 0, false
	}
	members = slices.DeleteFunc(members, func(m Member) bool { return !m.Voting || m.ID == leader })
	turn = slices.IndexFunc(members, func(m Member) bool { return m.ID == n.cfg.ID })
	return turn, turn >= 0
}

func (n *Node) setHeartbeat(timeout time.Duration) {
	n.reload(func(c *raft.ReloadableConfig) { c.HeartbeatTimeout = timeout })
}

// reload changes the library's configuration; two loops do.
func (n *Node) reload(change func(c *raft.ReloadableConfig)) {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	c := n.raft.ReloadableConfig()
	before := c
	if change(&c); c == before {
		return
	}
	if err := n.raft.ReloadConfig(c); err != nil {
		n.cfg.Log.Warn("raft was not configured", "err", err)
	}
}

// sleep pauses; false once ctx or the node has ended.
func (n *Node) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-n.stop:
		return false
	}
}
