package raftfsm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/failpoint"
)

var _ = failpoint.Register(
	"raftfsm/before-append", "raftfsm/before-sync", "raftfsm/after-append", "raftfsm/between-vote-writes",
	"raftfsm/before-apply", "raftfsm/before-answer", "raftfsm/before-snapshot-sync",
)

// Node is a member of the fleet's Raft configuration, or on its way to be one.
type Node struct {
	cfg       Config
	store     *store
	snapshots *snapshots
	machine   *machine
	stream    *stream
	transport *transport
	raft      *raft.Raft
	proposals *proposer
	leading   leadership
	term      settled
	watch     watchdog

	stamping sync.Mutex
	stamper  fleet.Stamper

	reloading sync.Mutex // of the library's configuration

	asking  atomic.Int64 // callers that wait on the library
	fatal   chan error
	failed  atomic.Pointer[error]
	broken  chan struct{} // closed once failed is set
	stop    chan struct{}
	loops   sync.WaitGroup
	closing sync.Once
	closed  error
}

// Fatal yields one error when the node can no longer take part: its disk failed
// a write, or an entry cannot be applied. It is cut off from Raft already and
// State keeps answering; Close it. After a failed write, opening it again tells
// whether the disk lied: with ErrLogDamaged and ErrWiped the host lives on
// without a vote, with ErrUnreadable it needs an upgrade.
func (n *Node) Fatal() <-chan error { return n.fatal }

// fail cuts the node off and says why, once. It may be called from anywhere in
// the library's goroutines, so it waits for nothing.
func (n *Node) fail(err error) {
	n.stream.cut("failed", true)
	if n.failed.CompareAndSwap(nil, &err) {
		n.doubt()
		close(n.broken)
		n.fatal <- err
	}
}

// Trouble is why this node should not vote now, for the host's own report:
// ErrStalled, ErrDiskFull, what Fatal said, or nil.
func (n *Node) Trouble() error {
	if err := n.failed.Load(); err != nil {
		return *err
	}
	if n.watch.stalled.Load() {
		return ErrStalled
	}
	if n.store.ballast.released() {
		return ErrDiskFull
	}
	return nil
}

// State is the newest published State, never nil. It is shared: read it only.
func (n *Node) State() *fleet.State { return n.machine.published.Load() }

// FleetTime is fleet time now, by this node's State and clocks: what it stamps
// entries with.
func (n *Node) FleetTime() fleet.Time {
	n.stamping.Lock()
	defer n.stamping.Unlock()
	return n.stamper.Stamp(n.State().Now(), fleet.TimeOf(n.cfg.Clock.Now()), n.cfg.Clock.Mono())
}

// Subscribe has a function called after each entry is applied and published,
// with what it touched; after a snapshot from the leader with everything there
// is. Calls come in order from the apply goroutine, so they must return at once;
// State may be newer than index already.
func (n *Node) Subscribe(call func(index uint64, t fleet.ChangeSet)) (cancel func()) {
	return n.machine.notify.add(call)
}

// ID is the node's name in the Raft configuration.
func (n *Node) ID() fleet.RaftID { return n.cfg.ID }

// IsLeader reports what this node believes; see Verify. A node whose log stalls
// or has failed does not lead, whatever the library believes: it is cut off.
func (n *Node) IsLeader() bool {
	return n.raft.State() == raft.Leader && !n.leading.doubted.Load() && !n.cutOff()
}

// cutOff reports whether the log stalls or has failed.
func (n *Node) cutOff() bool { return n.watch.stalled.Load() || n.failed.Load() != nil }

// Leader is the host this node takes for the leader. It knows none while it is
// cut off, because the library still has the one from before.
func (n *Node) Leader() (fleet.HostID, bool) {
	_, id := n.raft.LeaderWithID()
	if n.cutOff() || fleet.RaftID(id) == n.cfg.ID && n.leading.doubted.Load() {
		return "", false
	}
	return fleet.RaftID(id).Host(), id != ""
}

// Term is the current term.
func (n *Node) Term() uint64 { return n.raft.CurrentTerm() }

// CommitIndex is the highest index this node knows to be committed; just after
// a start, what it knew before.
func (n *Node) CommitIndex() uint64 { return max(n.raft.CommitIndex(), n.AppliedIndex()) }

// AppliedIndex is the index of the last command or configuration applied. The
// library's own entries do not count, so it may stay below CommitIndex.
func (n *Node) AppliedIndex() uint64 { return n.machine.applied.Load() }

// Transfer hands leadership to the most advanced voter and returns once this
// node leads no more. Errors: ErrNotLeader, ErrUnknown, or that there is nobody.
func (n *Node) Transfer() error {
	return n.ask(context.Background(), "transfer leadership",
		func(time.Duration) raft.Future { return n.raft.LeadershipTransfer() })
}

// maxAsking bounds the callers that wait on the library at one time: on a
// stalled disk each holds a goroutine until the disk returns.
const maxAsking = 256

// ask has the library do something and waits for it, at most Timing.Propose.
func (n *Node) ask(ctx context.Context, what string, start func(limit time.Duration) raft.Future) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Propose)
	defer cancel()
	if n.asking.Add(1) > maxAsking {
		n.asking.Add(-1)
		return fmt.Errorf("%s: %w", what, ErrBusy)
	}
	done := make(chan error, 1)
	go func() {
		defer n.asking.Add(-1)
		done <- start(n.cfg.Timing.Propose).Error()
	}()
	select {
	case err := <-done:
		if err = outcomeOf(err); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: %w", what, ErrUnknown, context.Cause(ctx))
	case <-n.broken:
		return fmt.Errorf("%s: %w: %w", what, ErrUnknown, *n.failed.Load())
	case <-n.stop:
		return fmt.Errorf("%s: %w: %w", what, ErrUnknown, ErrClosed)
	}
}

// outcomeOf translates the library's errors.
func outcomeOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return ErrNotLeader
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return ErrStalled
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}

// Stats are figures for people: the library's and our own.
func (n *Node) Stats() map[string]string {
	out := maps.Clone(n.raft.Stats())
	first, last := n.store.wal.bounds()
	reserved, live := n.store.wal.size()
	for key, value := range map[string]uint64{
		"log_first_index": first, "log_last_index": last,
		"log_live_bytes": uint64(live), "log_reserved_bytes": uint64(reserved),
		"state_index": n.State().Index(), "snapshot_due_bytes": uint64(n.machine.since.Load()),
	} {
		out[key] = strconv.FormatUint(value, 10)
	}
	out["trouble"] = "none"
	if err := n.Trouble(); err != nil {
		out["trouble"] = err.Error()
	}
	return out
}

// Close hands leadership over if it can, and stops. Every step is bounded: on a
// disk that hangs it returns an error and leaves goroutines in the kernel.
func (n *Node) Close() error {
	n.closing.Do(func() { n.closed = n.shutdown() })
	return n.closed
}

const (
	// transferLimit is how long a stop waits for a successor: two elections.
	transferLimit = 2 * time.Second
	// drainLimit is how long it waits for answers under way; without a quorum
	// they come when the lease ends.
	drainLimit = time.Second
	// stopLimit is for the library's goroutines and the files, together.
	stopLimit = 5 * time.Second
)

func (n *Node) shutdown() error {
	n.proposals.refuse()
	if n.IsLeader() && n.hasPeers() {
		if err := within(transferLimit, n.Transfer); err != nil {
			n.cfg.Log.Warn("leadership was not handed over", "err", err)
		}
	}
	n.proposals.drain(drainLimit)
	close(n.stop)
	n.stream.hangUp()
	err := within(stopLimit, func() error {
		err := n.raft.Shutdown().Error()
		n.loops.Wait()
		return errors.Join(err, n.transport.Close(), n.store.Close())
	})
	if err != nil {
		return fmt.Errorf("close raft: %w", err)
	}
	return nil
}

func (n *Node) hasPeers() bool {
	members, err := n.Members()
	if err != nil {
		return false
	}
	for _, m := range members {
		if m.Voting && m.ID != n.cfg.ID {
			return true
		}
	}
	return false
}

// within runs f and gives up waiting for it after a while.
func within(limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("not done after %v", limit)
	}
}

func (c Config) path(name string) string { return path.Join(c.Dir, name) }
