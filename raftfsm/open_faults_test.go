package raftfsm

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// For each call on the disk that an open makes: that one fails. The node opens with
// all that it knew to be committed, or not at all and is not in the way of the next: an
// error of the disk says nothing of what is on it.
func TestEachCallOfAnOpenMayFail(t *testing.T) {
	change := func(cfg *Config) {
		cfg.SnapshotEvery, cfg.TrailingLogs, cfg.Timing.Snapshot, cfg.segmentBytes = 20, 5, time.Second, 2048
	}
	const entries = 40
	for n, done := 1, false; !done; n++ {
		inCluster(t, 1, change, func(t *testing.T, c *cluster) {
			h := c.hosts[0]
			for i := range entries {
				c.put(fmt.Sprint("t", i))
			}
			h.stop()
			before := h.disk.Calls()
			h.disk.FailAt(n, syscall.EIO)
			err := h.start()
			done = err == nil && h.disk.Calls() < before+n
			h.disk.FailAt(1<<40, nil)
			if err == nil {
				if known := h.node.State(); !has(known, fmt.Sprint("t", entries-2)) {
					t.Errorf("call %d fails: it opens at index %d with %v", n, known.Index(), tokens(known))
				}
				return
			}
			switch again := h.start(); {
			case errors.Is(err, ErrLogDamaged):
				t.Errorf("call %d fails and all that is sound is set aside: %v", n, err)
			case again != nil:
				t.Errorf("call %d fails (%v): opening again: %v", n, err, again)
			case !has(h.node.State(), fmt.Sprint("t", entries-2)):
				t.Errorf("call %d fails (%v): opening again has lost entries: %v", n, err, tokens(h.node.State()))
			}
		})
		if n > 1000 {
			t.Fatal("it never opens whole")
		}
	}
}
