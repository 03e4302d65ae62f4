package raftfsm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"skein/runtime/seam/vfs"
)

const (
	stableName = "stable"
	lockName   = "lock"
	// lockTimeout is how long another process may hold the log: enough for a
	// predecessor that is just ending.
	lockTimeout = time.Second
	lockRetry   = 50 * time.Millisecond
)

// hasStore reports whether a folder holds a log, sound or not.
func hasStore(fsys vfs.FS, dir string) (bool, error) {
	_, err := fsys.Stat(path.Join(dir, stableName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// openStore opens the log in a folder, or makes an empty one. What cannot be
// trusted gives ErrLogDamaged with the file and the place.
func openStore(cfg storeConfig) (_ *store, err error) {
	s := &store{
		fs: cfg.fs, dir: cfg.dir, clock: cfg.clock, ballast: cfg.ballast,
		onFail: cfg.onFail, inject: cfg.inject, writing: make(chan struct{}, 1),
	}
	if err = s.fs.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	if s.lock, err = lockFolder(s.fs, path.Join(s.dir, lockName)); err != nil {
		return nil, err
	}
	s.covered.Store(&snapshotEnd{})
	s.wal = &wal{fs: s.fs, dir: s.dir, reserve: cfg.reserve, began: s.began}
	if err := s.load(cfg); err != nil {
		return nil, errors.Join(err, s.wal.close(), s.lock.Close())
	}
	return s, nil
}

func lockFolder(fsys vfs.FS, name string) (io.Closer, error) {
	for waited := time.Duration(0); ; waited += lockRetry {
		lock, err := vfs.Lock(fsys, name)
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, vfs.ErrLocked) {
			return nil, err
		}
		if waited >= lockTimeout {
			return nil, fmt.Errorf("%w: %w", ErrLocked, err)
		}
		time.Sleep(lockRetry)
	}
}

// began is told of each new segment.
func (s *store) began(seq uint64) error {
	return s.putStable(func(v *stable) { v.Newest = seq })
}

func (s *store) load(cfg storeConfig) error {
	there, err := hasStore(s.fs, s.dir)
	if err != nil {
		return err
	}
	if !there {
		// Durable before anything can be voted or stored, so that a folder without
		// it has never promised anything.
		s.stable.ID = cfg.id
		return errors.Join(s.putStable(func(*stable) {}), s.fs.SyncDir(path.Dir(s.dir)))
	}
	b, err := s.fs.ReadFile(s.stablePath())
	if err != nil {
		return err
	}
	if s.stable, err = decodeStable(b); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrLogDamaged, s.stablePath(), err)
	}
	if s.stable.ID != cfg.id {
		return fmt.Errorf("%s is of %s, not of %s: %w", s.dir, s.stable.ID, cfg.id, errOtherID)
	}
	return s.wal.load(s.stable.Newest)
}

var errOtherID = errors.New("log belongs to another raft id")

// coverAtOpen is cover for a log that the library does not use yet. Here a gap
// between snapshot and log means that entries are missing.
func (s *store) coverAtOpen(end snapshotEnd) error {
	if err := s.cover(end); err != nil {
		return err
	}
	if first, _ := s.wal.bounds(); first > end.index+1 {
		return fmt.Errorf("%w: entries %d to %d are missing in %s", ErrLogDamaged, end.index+1, first-1, s.dir)
	}
	return nil
}
