package raftfsm

import (
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/failpoint"
	"skein/runtime/seam/vfs"
)

// store is the log and the stable store of one RaftID, in a folder of its own.
// It implements raft.LogStore, CommitTrackingLogStore and StableStore, but not
// MonotonicLogStore though the log has no gaps: the library would clear the log
// when it installs a snapshot and go on as if it were there.
//
// After one failed write it is failed for good, since the kernel may have
// forgotten what it could not write: every later write returns the first error.
type store struct {
	fs      vfs.FS
	dir     string
	clock   clock.Clock
	ballast *ballast
	// onFail is told the error that failed the store, once, before any caller
	// sees it: the node is cut off before it could answer from a lost write.
	onFail func(error)
	// inject is the tests' seam: called before each write.
	inject func(op string) error

	wal     *wal
	lock    io.Closer
	pending pendingOps
	// writing holds one token while a write is under way; a channel, since a wait
	// for a mutex would stop the fake time of tests.
	writing chan struct{}

	// covered is the newest snapshot: damaged entries up to it are answered as
	// absent, which makes the library send the snapshot instead.
	covered atomic.Pointer[snapshotEnd]

	mu          sync.RWMutex // guards what follows
	stable      stable
	staged      uint64 // commit index to be written with the next append
	recent      recentLogs
	failed      error
	voteTerm    uint64 // the half of a vote that waits for its candidate
	votePending bool
}

type storeConfig struct {
	fs      vfs.FS
	dir     string
	id      fleet.RaftID
	clock   clock.Clock
	reserve int64 // size of segments
	ballast *ballast
	onFail  func(error)
	inject  func(op string) error
}

func (s *store) stablePath() string { return path.Join(s.dir, stableName) }

// Err returns why the store takes no more writes, or nil.
func (s *store) Err() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.failed
}

// Close releases the files. It waits for a write that hangs in the kernel.
func (s *store) Close() error {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	s.mu.Lock()
	if s.failed == nil {
		s.failed = ErrClosed
	}
	s.mu.Unlock()
	return errors.Join(s.wal.close(), s.lock.Close())
}

// write makes one durable change. Any error but a lack of room that the ballast
// cures fails the store. change may run twice.
func (s *store) write(op string, change func() error) error {
	defer s.pending.begin(s.clock.Mono())()
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	if err := s.Err(); err != nil {
		return err
	}
	err := s.try(op, change)
	if diskFull(err) && s.ballast.release() {
		// A refused write, unlike a failed sync, is known not to have happened: one
		// retry in the room the ballast made.
		err = s.try(op, change)
	}
	if err != nil {
		return s.fail(op, err)
	}
	return nil
}

func (s *store) try(op string, change func() error) error {
	if s.inject != nil {
		if err := s.inject(op); err != nil {
			return err
		}
	}
	return change()
}

// fail makes err the store's end and returns the error every caller gets.
func (s *store) fail(op string, err error) error {
	s.mu.Lock()
	first := s.failed == nil
	if first {
		s.failed = fmt.Errorf("%s in %s: %w", op, s.dir, nameDiskFull(err))
	}
	err = s.failed
	s.mu.Unlock()
	if first && s.onFail != nil {
		s.onFail(err)
	}
	return err
}

// endGoroutine ends the library's goroutine where the library would panic the
// whole process over a failed store. The node is cut off by then, and deferred
// calls run, so that a shutdown still completes.
func endGoroutine() { runtime.Goexit() }

// FirstIndex implements raft.LogStore.
func (s *store) FirstIndex() (uint64, error) {
	first, _ := s.wal.bounds()
	return first, nil
}

// LastIndex implements raft.LogStore.
func (s *store) LastIndex() (uint64, error) {
	_, last := s.wal.bounds()
	return last, nil
}

// GetLog implements raft.LogStore. Open has verified every entry; should one
// above the snapshot have rotted since, the store fails and the calling
// goroutine ends, because the library panics on such an error.
//
// The snapshot's own entry, when it is compacted away, is answered with its
// term: a follower that has entries behind its snapshot would otherwise refuse
// what follows it, be sent the snapshot again, and so on for ever. It cannot be
// taken for content: nobody sends an entry whose predecessor is absent.
func (s *store) GetLog(index uint64, log *raft.Log) error {
	s.mu.RLock()
	found := s.recent.get(index, log)
	s.mu.RUnlock()
	if found {
		return nil
	}
	end := *s.covered.Load()
	_, found, err := s.wal.read(index, log)
	switch {
	case !found && index == end.index && index > 1:
		*log = raft.Log{Index: end.index, Term: end.term, Type: raft.LogNoop}
		return nil
	case !found, err != nil && index <= end.index:
		return raft.ErrLogNotFound
	case err == nil:
		return nil
	}
	_ = s.fail("read the log", err)
	endGoroutine()
	return err
}

// kindOf is the kind of an entry; false when it is not kept, or cannot be read.
func (s *store) kindOf(index uint64) (raft.LogType, bool) {
	var log raft.Log
	s.mu.RLock()
	found := s.recent.get(index, &log)
	s.mu.RUnlock()
	if found {
		return log.Type, true
	}
	_, found, err := s.wal.read(index, &log)
	return log.Type, found && err == nil
}

// StoreLog implements raft.LogStore.
func (s *store) StoreLog(log *raft.Log) error { return s.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements raft.LogStore: all entries and the staged commit index
// become durable together, or none.
func (s *store) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	first, last := s.wal.bounds()
	if err := checkRun(logs, last); err != nil {
		return err
	}
	if err := failpoint.Hit("raftfsm/before-append"); err != nil {
		return s.fail("append to the log", err)
	}
	if last != 0 && logs[0].Index > last+1 {
		// A jump forward follows an installed snapshot whose clean-up failed: what
		// stands below is covered by that snapshot.
		if err := s.DeleteRange(first, last); err != nil {
			return err
		}
	}
	s.mu.RLock()
	// The commit index must not pass the entries it rides on.
	commit := min(s.staged, logs[len(logs)-1].Index)
	s.mu.RUnlock()
	if err := s.write("append to the log", func() error { return s.wal.append(logs, commit) }); err != nil {
		return err
	}
	s.mu.Lock()
	s.recent.add(logs)
	s.mu.Unlock()
	return failpoint.Hit("raftfsm/after-append")
}

// checkRun refuses entries that do not follow each other or that would
// overwrite: the library deletes before it replaces.
func checkRun(logs []*raft.Log, last uint64) error {
	if from := logs[0].Index; last != 0 && from <= last {
		return fmt.Errorf("append entry %d: the log ends at %d already", from, last)
	}
	for i, log := range logs {
		if want := logs[0].Index + uint64(i); log.Index != want {
			return fmt.Errorf("append entry %d: want %d, the log has no gaps", log.Index, want)
		}
	}
	return nil
}

// DeleteRange implements raft.LogStore for a prefix (compaction) or a suffix
// (conflict).
func (s *store) DeleteRange(low, high uint64) error {
	first, last := s.wal.bounds()
	low, high = max(low, first), min(high, last)
	switch {
	case first == 0 || low > high:
		return nil
	case low > first && high < last:
		return fmt.Errorf("delete entries %d to %d of %d to %d: the log has no gaps", low, high, first, last)
	case low > first:
		return s.cutSuffix(low)
	}
	if err := s.write("compact the log", func() error { return s.wal.compact(high) }); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent.dropTo(high)
	return nil
}

func (s *store) cutSuffix(low uint64) error {
	if err := s.write("cut the log", func() error { return s.wal.cut(low) }); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent.dropFrom(low)
	return nil
}

// StageCommitIndex implements raft.CommitTrackingLogStore.
func (s *store) StageCommitIndex(index uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.staged = max(s.staged, index)
	return nil
}

// GetCommitIndex implements raft.CommitTrackingLogStore, as the library must see
// it: always 0. Raft 1.8.0 replays up to this index before its FSM goroutine
// runs, which hangs beyond 128 batches, and skips configuration entries up to
// it, which leaves a node without peers that never elects. Open replays by
// itself, up to committed.
func (s *store) GetCommitIndex() (uint64, error) { return 0, nil }

// committed returns the commit index that is on disk, with the last entry.
func (s *store) committed() (uint64, error) {
	_, last := s.wal.bounds()
	if last == 0 {
		return 0, nil
	}
	var log raft.Log
	commit, _, err := s.wal.read(last, &log)
	return min(commit, last), err
}

// snapshotEnd is the last entry that a snapshot stands for.
type snapshotEnd struct{ index, term uint64 }

// cover relates the log to the newest snapshot. A log that ends below it is of
// no use. One that disagrees with it at its last entry has diverged there, and
// what stands up to it was never committed; behind it, the library will find
// out. (Without this a follower refuses all that follows: hashicorp/raft 697.)
func (s *store) cover(end snapshotEnd) error {
	s.covered.Store(&end)
	first, last := s.wal.bounds()
	if first == 0 || first > end.index {
		return nil
	}
	if last >= end.index {
		var log raft.Log
		if _, _, err := s.wal.read(end.index, &log); err != nil || log.Term == end.term {
			return err
		}
	}
	return s.DeleteRange(first, end.index)
}
