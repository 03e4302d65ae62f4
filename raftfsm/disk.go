package raftfsm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync/atomic"
	"syscall"

	"skein/runtime/seam/vfs"
)

// defaultBallast is room for the next segment, for the stable file, and for
// handing over, on a disk that is full.
const defaultBallast = 16 << 20

// diskFull reports whether a write was refused for lack of room. Failed syncs
// do not count: after them nobody knows what the disk holds.
func diskFull(err error) bool {
	var pathError *fs.PathError
	return errors.As(err, &pathError) && pathError.Op != "fdatasync" && pathError.Op != "sync" && noRoom(err)
}

func noRoom(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// nameDiskFull adds ErrDiskFull where that is the cause.
func nameDiskFull(err error) error {
	if noRoom(err) && !errors.Is(err, ErrDiskFull) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}

// ballast is a file that only takes up room: removed when the disk is full, it
// lets the voter finish its append, hand over and say what is wrong.
type ballast struct {
	fs    vfs.FS
	path  string
	bytes int64 // 0: none
	gone  atomic.Bool
}

// release gives the room free; false when there was none to give.
func (b *ballast) release() bool {
	if b.bytes == 0 {
		return false
	}
	b.gone.Store(true)
	return b.fs.Remove(b.path) == nil
}

// released reports whether the ballast was given up and not made again since.
func (b *ballast) released() bool { return b.gone.Load() }

// fill makes the ballast if it is missing and twice its size is free, so that the
// ballast itself never fills the disk.
func (b *ballast) fill() error {
	if b.bytes == 0 {
		return nil
	}
	if info, err := b.fs.Stat(b.path); err == nil && info.Size() == b.bytes {
		b.gone.Store(false)
		return nil
	}
	if err := b.write(); err != nil {
		_ = b.fs.Remove(b.path)
		return fmt.Errorf("make ballast of %d MiB: %w", b.bytes>>20, nameDiskFull(err))
	}
	b.gone.Store(false)
	return b.fs.SyncDir(path.Dir(b.path))
}

func (b *ballast) write() error {
	f, err := b.fs.OpenFile(b.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = f.Allocate(2 * b.bytes)
	if err == nil {
		err = f.Truncate(b.bytes)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
