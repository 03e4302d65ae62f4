package raftfsm

import (
	"testing"
	"time"
)

func TestALeaderKnowsHowLongThereWasNone(t *testing.T) {
	const apart = 40 * time.Second
	inCluster(t, 3, nil, func(t *testing.T, c *cluster) {
		c.leader().kill()
		if d := c.leader().node.Leaderless(); d <= 0 || d > 10*time.Second {
			t.Errorf("after a leader's death it says that there was none for %v", d)
		}
		for _, h := range c.hosts {
			if h.node == nil {
				must(t, h.start())
			}
		}
		c.converged()
		for _, h := range c.hosts {
			c.net.isolate(h.id, c.ids(), true)
		}
		began := time.Now()
		c.await("no quorum for a while", func() bool { return time.Since(began) > apart })
		for _, h := range c.hosts {
			c.net.isolate(h.id, c.ids(), false)
		}
		if d := c.leader().node.Leaderless(); d < apart-5*time.Second || d > apart+time.Minute {
			t.Errorf("after %v without a quorum it says %v", apart, d)
		}
	})
}
