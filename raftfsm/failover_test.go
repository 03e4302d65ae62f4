package raftfsm

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock/clocktest"
)

// writable waits until somebody takes a write, and returns how long that took.
func (c *cluster) writable(name string) time.Duration {
	c.t.Helper()
	start := time.Now()
	c.await("a write is taken", func() bool {
		return slices.ContainsFunc(c.hosts, func(h *host) bool {
			return h.node != nil && h.node.IsLeader() && h.propose(name) == nil
		})
	})
	return time.Since(start)
}

func TestALeaderWhoseProgramEndsIsReplacedAtOnce(t *testing.T) {
	for _, size := range []int{3, 5, 7} {
		t.Run(fmt.Sprintf("%d voters", size), func(t *testing.T) {
			inCluster(t, size, nil, func(t *testing.T, c *cluster) {
				var took []time.Duration
				for round := range 9 {
					c.converged()
					old := c.leader()
					old.die()
					took = append(took, c.writable(fmt.Sprint("round-", round)))
					clocktest.Elapse(10 * time.Second) // whatever its node still waits for
					old.revive()
				}
				slices.Sort(took)
				t.Logf("until the next write: %v", took)
				if median, most := took[len(took)/2], took[len(took)-1]; median > 500*time.Millisecond || most > 3*time.Second {
					t.Errorf("a write was taken only after %v, want a median under 500 ms", took)
				}
				for _, h := range c.hosts {
					if got := h.node.raft.ReloadableConfig().HeartbeatTimeout; got != h.node.cfg.Timing.Heartbeat {
						t.Errorf("%s goes on with a heartbeat timeout of %v", h.id, got)
					}
				}
			})
		})
	}
}

func TestAFollowerThatAloneIsRefusedDeposesNobody(t *testing.T) {
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		leader := c.leader()
		refused := c.followers()[0]
		term := leader.node.Term()
		c.net.refuse(refused.id, leader.id)
		for range 50 {
			select {
			case refused.node.stream.hungUp <- struct{}{}:
			default:
			}
			clocktest.Elapse(50 * time.Millisecond)
			if !leader.node.IsLeader() || leader.node.Term() != term {
				t.Fatalf("it was deposed:\n%s", c.describe())
			}
		}
		// Unheard by one of them too, the leader still has the others.
		c.net.cut(leader.id, refused.id, true)
		clocktest.Elapse(5 * time.Second)
		if !leader.node.IsLeader() || leader.node.Term() != term {
			t.Fatalf("it was deposed:\n%s", c.describe())
		}
		c.net.cut(leader.id, refused.id, false)
		c.put("after")
	})
}

func TestWhoeverHangsUpIsNoticedByReadsAndWrites(t *testing.T) {
	for name, use := range map[string]func(net.Conn) error{
		"a read":  func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err },
		"a write": func(c net.Conn) error { _, err := c.Write([]byte{1}); return err },
	} {
		for _, accepted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, accepted %v", name, accepted), func(t *testing.T) {
				s := newStream("h-0000000000000001.1", nil, nil, time.Second)
				near, far := net.Pipe()
				conn, err := s.keep(near, accepted)
				must(t, err)
				must(t, far.Close())
				if use(conn) == nil {
					t.Fatal("the connection still works")
				}
				if got := len(s.hungUp) == 1; got != accepted {
					t.Errorf("noticed: %v, want %v", got, accepted)
				}
			})
		}
	}
}

func TestFollowersOfALeaderTakeTurns(t *testing.T) {
	inCluster(t, 5, nil, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.await("everybody has heard of all voters", func() bool {
			return c.all(func(h *host) bool {
				members, err := h.node.Members()
				return err == nil && !slices.ContainsFunc(members, func(m Member) bool { return !m.Voting }) &&
					len(members) == len(c.hosts)
			})
		})
		turns := map[int]fleet.HostID{}
		for _, h := range c.followers() {
			turn, ok := h.node.turnAfter(leader.raftID())
			if !ok || turns[turn] != "" {
				t.Errorf("%s has turn %d, as %q has", h.id, turn, turns[turn])
			}
			turns[turn] = h.id
		}
		for turn := range 4 {
			if turns[turn] == "" {
				t.Errorf("nobody has turn %d", turn)
			}
		}
	})
}
