package raftfsm

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
)

const (
	// watchEvery is how often the disk is looked at: a stall is seen at most so
	// late.
	watchEvery = 100 * time.Millisecond
	// seldom is how often what changes slowly is looked at: a ballast that was given
	// up, the size of entries.
	seldom = 10 * time.Second
	// transferEvery keeps leadership from flapping between full disks.
	transferEvery = 60 * time.Second
)

// watchdog is what the watch loop remembers.
type watchdog struct {
	stalled  atomic.Bool
	snapping atomic.Bool

	seldomAt   time.Duration
	transferAt time.Duration // 0: never
}

// startLoops starts what runs beside the library.
func (n *Node) startLoops() {
	n.leading.open()
	n.loops.Go(n.followLeadership)
	n.loops.Go(n.watchDisk)
	n.loops.Go(n.probeDisk)
	n.loops.Go(n.watchLeader)
	n.loops.Go(n.proposals.run)
	n.loops.Go(n.tellCommits)
	n.Subscribe(func(uint64, fleet.ChangeSet) { n.transport.commits.nudge() })
}

// watchDisk runs until the node stops.
func (n *Node) watchDisk() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			now := n.cfg.Clock.Mono()
			timer.Reset(clock.UntilNext(now, watchEvery))
			n.watchStall(now)
			n.watchSize()
			if now-n.watch.seldomAt >= seldom {
				n.watch.seldomAt = now
				n.refillBallast()
				n.boundTrailing()
			}
			n.watchRoom(now)
		case <-n.stop:
			return
		}
	}
}

// watchStall cuts the node off while a write hangs. The library's heartbeats
// never look at the disk, so a leader with a dead disk would lead for ever; and
// nothing that goes through the library's main goroutine, which hangs in that
// write, can take leadership away.
func (n *Node) watchStall(now time.Duration) {
	since, any := n.store.pending.oldest()
	stalled := any && now-since > n.cfg.Timing.Stall
	if stalled == n.watch.stalled.Load() {
		return
	}
	n.watch.stalled.Store(stalled)
	n.stream.cut("stalled", stalled)
	if stalled {
		n.doubt()
		n.cfg.Log.Error("disk stalled, raft is cut off", "took_ms", (now - since).Milliseconds())
	} else {
		n.loops.Go(n.confirm)
		n.cfg.Log.Warn("disk answers again, raft is connected")
	}
}

// watchRoom hands leadership over once the ballast had to be given up.
func (n *Node) watchRoom(now time.Duration) {
	if !n.store.ballast.released() || !n.IsLeader() {
		return
	}
	if n.watch.transferAt != 0 && now-n.watch.transferAt < transferEvery {
		return
	}
	n.watch.transferAt = now
	n.cfg.Log.Error("disk is full, leadership is handed over")
	n.loops.Go(func() {
		if err := n.Transfer(); err != nil {
			n.cfg.Log.Warn("leadership was not handed over", "err", err)
		}
	})
}

func (n *Node) refillBallast() {
	if n.store.ballast.released() && n.store.ballast.fill() == nil {
		n.cfg.Log.Info("disk has room again")
	}
}

// watchSize has a snapshot taken by bytes; the library counts entries only.
func (n *Node) watchSize() {
	if n.machine.since.Load() < n.cfg.SnapshotBytes || !n.watch.snapping.CompareAndSwap(false, true) {
		return
	}
	n.loops.Go(func() {
		defer n.watch.snapping.Store(false)
		err := n.raft.Snapshot().Error()
		if err == nil || errors.Is(err, raft.ErrRaftShutdown) {
			return
		}
		// Not before some more bytes: a snapshot costs as much when it fails.
		n.machine.since.Add(-n.cfg.SnapshotBytes / 4)
		n.cfg.Log.Warn("snapshot was not taken", "err", err)
	})
}

// trailing is how many entries may stay behind a snapshot, given their size.
func (n *Node) trailing() uint64 {
	first, last := n.store.wal.bounds()
	_, live := n.store.wal.size()
	if first == 0 || live == 0 {
		return n.cfg.TrailingLogs
	}
	average := max(1, live/int64(last-first+1))
	return min(n.cfg.TrailingLogs, max(minTrailing, uint64(trailingBytes/average)))
}

// boundTrailing tells the library, which asks at its next snapshot.
func (n *Node) boundTrailing() {
	want := n.trailing()
	n.reload(func(c *raft.ReloadableConfig) { c.TrailingLogs = want })
}
