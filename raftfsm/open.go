package raftfsm

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Open starts a node. Its State is what the newest snapshot and the entries
// known to be committed give, whether or not anybody else answers.
//
// Errors: ErrLogDamaged (the log has been set aside), ErrWiped, ErrLocked,
// ErrUnreadable, or those of the file system, which say nothing of what is on the
// disk: trying again may help. Whatever it is, the host can run on without a node.
func Open(cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, fatal: make(chan error, 1), broken: make(chan struct{}), stop: make(chan struct{}),
		term: newSettled()}
	n.stream = newStream(cfg.ID, cfg.Dial, cfg.Accept, cfg.Timing.Dial)
	n.machine = newMachine(n.fail)
	n.proposals = newProposer(n)
	if err := n.openDisk(); err != nil {
		return nil, errors.Join(fmt.Errorf("open raft as %s: %w", cfg.ID, err), n.stream.Close())
	}
	if err := n.startRaft(); err != nil {
		return nil, errors.Join(fmt.Errorf("start raft as %s: %w", cfg.ID, err), n.store.Close())
	}
	n.startLoops()
	state := n.State()
	cfg.Log.Info("raft opened", "raft_id", cfg.ID, "index", state.Index(), "term", n.Term())
	return n, nil
}

// openDisk opens store and snapshots and restores State.
func (n *Node) openDisk() error {
	aside, err := claim(n.cfg.FS, n.cfg.Dir, n.cfg.ID)
	if err != nil {
		return err
	}
	if aside != "" {
		n.cfg.Log.Info("log of another raft id was set aside", "folder", aside)
	}
	err = n.openStore()
	if errors.Is(err, errOtherID) { // marker and log disagree: the log is right about itself
		if aside, err = setAside(n.cfg.FS, n.cfg.Dir, "unknown"); err == nil {
			n.cfg.Log.Warn("log of another raft id was set aside", "folder", aside)
			err = n.openStore()
		}
	}
	if err == nil {
		if err = n.restore(); err == nil {
			err = mark(n.cfg.FS, n.cfg.Dir, n.cfg.ID)
		}
		if err != nil {
			err = errors.Join(err, n.store.Close())
		}
	}
	if errors.Is(err, ErrLogDamaged) {
		return n.giveUp(err)
	}
	return err
}

func (n *Node) openStore() (err error) {
	b := &ballast{fs: n.cfg.FS, path: n.cfg.path(ballastName), bytes: n.cfg.BallastBytes}
	if err = b.fill(); err != nil {
		n.cfg.Log.Warn("ballast was not made", "err", err)
	}
	n.store, err = openStore(storeConfig{
		fs: n.cfg.FS, dir: n.cfg.path(logFolder), id: n.cfg.ID, clock: n.cfg.Clock,
		reserve: n.cfg.segmentBytes, ballast: b, onFail: n.fail, inject: n.cfg.inject,
	})
	return err
}

// giveUp sets a damaged log aside, so that the next Open of this RaftID says
// ErrWiped and the keeper replaces the voter.
func (n *Node) giveUp(cause error) error {
	aside, err := quarantine(n.cfg.FS, n.cfg.Dir)
	if err != nil {
		return errors.Join(cause, fmt.Errorf("set the log aside: %w", err))
	}
	return fmt.Errorf("%w; kept as %s", cause, aside)
}

// restore makes State from the newest sound snapshot and the committed entries
// behind it. The library will hand those entries in again; the machine skips
// them.
func (n *Node) restore() error {
	var err error
	if n.snapshots, err = openSnapshots(n.cfg.FS, n.cfg.path(snapFolder)); err != nil {
		return err
	}
	n.snapshots.saved = n.snapshotSaved
	meta, source, damaged, err := n.snapshots.newest()
	if err != nil {
		return err
	}
	for _, id := range damaged {
		n.cfg.Log.Error("snapshot was damaged and set aside", "snapshot", id)
	}
	end := snapshotEnd{}
	if meta != nil {
		if err := n.restoreSnapshot(source); err != nil {
			return fmt.Errorf("snapshot %s: %w", meta.ID, err)
		}
		end = snapshotEnd{meta.Index, meta.Term}
	}
	if err := n.store.coverAtOpen(end); err != nil {
		return err
	}
	return n.replay(end.index)
}

func (n *Node) restoreSnapshot(source io.ReadCloser) error {
	disk := &diskReader{Reader: source}
	state, err := readState(disk)
	switch err = errors.Join(err, source.Close()); {
	case err == nil:
		n.machine.live = state
		return nil
	case disk.err != nil:
		return disk.err // whatever the decoder takes it for
	case errors.Is(err, ErrUnreadable):
		return err
	}
	return fmt.Errorf("%w: %w", ErrLogDamaged, err)
}

// diskReader keeps the error of the disk that ended the reading of a file.
type diskReader struct {
	io.Reader
	err error
}

func (r *diskReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// replay applies the committed entries after index.
func (n *Node) replay(index uint64) error {
	commit, err := n.store.committed()
	if err != nil {
		return err
	}
	m := n.machine
	for at := max(index, m.live.Index()) + 1; at <= commit; at++ {
		var log raft.Log
		_, found, err := n.store.wal.read(at, &log)
		if err == nil && !found {
			err = fmt.Errorf("%w: entry %d is missing", ErrLogDamaged, at)
		}
		if err != nil {
			return fmt.Errorf("read the committed entries up to %d: %w", commit, err)
		}
		if log.Type != raft.LogCommand {
			continue
		}
		if _, err := applyEntry(m.live, &log); err != nil {
			return fmt.Errorf("entry %d of term %d: %w", at, log.Term, err)
		}
		m.since.Add(int64(len(log.Data)))
	}
	m.saw(max(index, commit, m.live.Index()))
	m.publish()
	m.reach()
	return nil
}

// snapshotSaved is told of each snapshot, our own or the leader's.
func (n *Node) snapshotSaved(meta raft.SnapshotMeta) {
	if err := n.store.cover(snapshotEnd{meta.Index, meta.Term}); err != nil {
		n.cfg.Log.Warn("log was not compacted", "err", err)
	}
	n.cfg.Log.Info("snapshot saved", "index", meta.Index, "term", meta.Term, "bytes", meta.Size)
}

func (n *Node) startRaft() error {
	lib := newLibraryLog(n.cfg.Log, n.cfg.Clock)
	n.leading.changes = make(chan bool, leadershipBuffer)
	n.transport = newTransport(n.stream, n.cfg, lib)
	// In a goroutine of its own: should the store fail right now, it is ended.
	done := make(chan struct{})
	err := errors.New("ended early")
	go func() {
		defer close(done)
		n.raft, err = raft.NewRaft(n.raftConfig(lib), n.machine, n.store, n.store, n.snapshots, n.transport)
	}()
	<-done
	if err = errors.Join(err, n.store.Err()); err != nil {
		return errors.Join(err, n.transport.Close())
	}
	return nil
}

func (n *Node) raftConfig(lib hclog.Logger) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.cfg.ID)
	c.Logger = lib
	c.NotifyCh = n.leading.changes
	t := n.cfg.Timing
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout, c.CommitTimeout = t.Heartbeat, t.Election, t.Lease,
		t.Commit
	c.MaxAppendEntries = maxAppend
	c.SnapshotInterval, c.SnapshotThreshold = t.Snapshot, n.cfg.SnapshotEvery
	c.TrailingLogs = n.cfg.TrailingLogs
	c.ShutdownOnRemove = false        // who is removed is told so by the keeper, and then closes
	c.NoSnapshotRestoreOnStart = true // restore has done it
	c.RestoreCommittedLogs = true     // so that commit indices are staged; see store.GetCommitIndex
	c.PreVoteDisabled = false         // never: see store.SetUint64
	c.NoLegacyTelemetry = true
	return c
}
