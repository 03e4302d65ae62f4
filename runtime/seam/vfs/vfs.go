// Package vfs is the file system as Skein's durable parts see it: few calls,
// each of which a test can make fail, and an in-memory twin that forgets what
// was not synced.
//
// [OS] is the real one. [Mem] is the twin: [Mem.Crash] throws away every write
// that no Sync and every name that no SyncDir made durable, and
// [Mem.CrashKeeping] an arbitrary part of them, which is what a power loss may
// do. Code that is right on Mem's strict rules is right on any Linux file system.
//
// Names are slash-separated paths. Errors are *fs.PathError and answer to
// errors.Is with fs.ErrNotExist and its kin. Both are safe for concurrent use.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// FS is a file system.
type FS interface {
	// OpenFile is os.OpenFile: flags are os.O_*.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// ReadFile returns a file's whole content.
	ReadFile(name string) ([]byte, error)
	// Rename replaces what stands at new. It is atomic, and durable only after
	// SyncDir of the folders concerned.
	Rename(old, new string) error
	// Remove removes a file or an empty folder.
	Remove(name string) error
	// RemoveAll removes a tree; what is not there is no error.
	RemoveAll(name string) error
	// MkdirAll makes a folder with its parents.
	MkdirAll(name string, perm fs.FileMode) error
	// ReadDir returns a folder's entries sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Stat describes a file or folder.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a folder durable.
	SyncDir(name string) error
}

// File is an open file. Only what Sync has returned nil for is durable.
type File interface {
	io.Reader
	io.Writer
	io.Seeker
	io.Closer
	io.ReaderAt
	io.WriterAt
	// Sync makes the content durable, and of what describes it only what reading
	// it back needs (fdatasync).
	Sync() error
	Truncate(size int64) error
	// Allocate makes the file at least so large and reserves the room, so that
	// later writes below size do not fail for lack of it. New bytes are zero.
	Allocate(size int64) error
	Stat() (fs.FileInfo, error)
	Name() string
}

// OS is the machine's file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not f: a nil *os.File in an interface is not nil
	}
	return osFile{f}, nil
}

func (osFS) ReadFile(name string) ([]byte, error)         { return os.ReadFile(name) }
func (osFS) Rename(old, new string) error                 { return os.Rename(old, new) }
func (osFS) Remove(name string) error                     { return os.Remove(name) }
func (osFS) RemoveAll(name string) error                  { return os.RemoveAll(name) }
func (osFS) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(name, perm) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error)   { return os.ReadDir(name) }
func (osFS) Stat(name string) (fs.FileInfo, error)        { return os.Stat(name) }

func (osFS) SyncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	err = dir.Sync()
	return errors.Join(err, dir.Close())
}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return f.call("fdatasync", syscall.Fdatasync) }

func (f osFile) Allocate(size int64) error {
	return f.call("fallocate", func(fd int) error { return syscall.Fallocate(fd, 0, 0, size) })
}

// call runs a system call on the descriptor, again when a signal interrupts it.
func (f osFile) call(op string, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = conn.Control(func(fd uintptr) {
		for {
			if result = do(int(fd)); !errors.Is(result, syscall.EINTR) {
				return
			}
		}
	})
	if result != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: result}
	}
	return err
}

// TempSuffix ends the name of a file that WriteFileAtomic has not finished.
// What carries it after a crash is garbage.
const TempSuffix = ".tmp"

// ErrNotRegular is a name that stands for a device, a socket, a pipe or a folder
// where a file is to be written.
var ErrNotRegular = errors.New("not a regular file")

// CheckReplaceable allows a name that is free or a regular file, and refuses all
// else with ErrNotRegular: a rename over /dev/null takes the device from every
// program of the machine. A link counts as what it leads to.
func CheckReplaceable(fsys FS, name string) error {
	info, err := fsys.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is a %s: %w; name a file", name, kindOf(info.Mode()), ErrNotRegular)
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "folder"
	case mode&fs.ModeDevice != 0:
		return "device"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeNamedPipe != 0:
		return "pipe"
	default:
		return "file of mode " + mode.String()
	}
}

// WriteFileAtomic replaces a file's content so that after a crash at any step
// the file is whole, the old or the new, and after a nil return it is the new:
// write beside it, sync, rename, sync the folder. What is no regular file is
// left alone (see CheckReplaceable). One writer at a time per name.
func WriteFileAtomic(fsys FS, name string, data []byte, perm fs.FileMode) error {
	if err := CheckReplaceable(fsys, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	temp := name + TempSuffix
	if err := writeSynced(fsys, temp, data, perm); err != nil {
		_ = fsys.Remove(temp) // best effort: the suffix says that it is garbage
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := fsys.Rename(temp, name); err != nil {
		_ = fsys.Remove(temp)
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := fsys.SyncDir(path.Dir(name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func writeSynced(fsys FS, name string, data []byte, perm fs.FileMode) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
