package raftfsm

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"skein/runtime/seam/clock/clocktest"
)

func TestAnIdleDiskThatFailsEndsTheNode(t *testing.T) {
	for _, name := range []string{"leader", "follower"} {
		t.Run(name, func(t *testing.T) {
			faults := newFaulty()
			inCluster(t, 3, faults.config, func(t *testing.T, c *cluster) {
				c.put("before")
				clocktest.Elapse(time.Minute)
				victim := c.leader()
				if name == "follower" {
					victim = c.followers()[0]
				}
				faults.set(victim, func() error { return syscall.EIO })
				clocktest.Elapse(3*time.Second + watchEvery)
				if err := victim.node.Trouble(); !errors.Is(err, syscall.EIO) {
					t.Errorf("trouble: %v", err)
				}
				if victim.node.IsLeader() {
					t.Error("it says that it leads")
				}
				c.put("after")
				victim.stop()
				faults.set(victim, func() error { return nil })
				must(t, victim.start())
				c.converged()
			})
		})
	}
}

func TestADiskIsProbedOnlyWhereTheLogIsNotWrittenTo(t *testing.T) {
	var probes atomic.Int64
	count := func(cfg *Config) {
		cfg.inject = func(op string) error {
			if op == "probe the disk" {
				probes.Add(1)
			}
			return nil
		}
	}
	inCluster(t, 1, count, func(t *testing.T, c *cluster) {
		for i := range 120 {
			c.put(fmt.Sprint("t", i))
			clocktest.Elapse(500 * time.Millisecond)
		}
		if got := probes.Load(); got != 0 {
			t.Errorf("%d probes in a minute of writing, want none", got)
		}
		clocktest.Elapse(time.Minute)
		if got := probes.Load(); got < 19 || got > 20 {
			t.Errorf("%d probes in a minute without a write, want 19 or 20", got)
		}
	})
}
