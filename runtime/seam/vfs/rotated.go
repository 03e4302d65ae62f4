package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
)

// Rotated is a log file that cannot fill the disk: when it is full it becomes NAME.1, what was
// NAME.1 becomes NAME.2, and the oldest goes. It writes whole pieces or nothing, and never
// syncs: after a power loss the end may lack. After an error the next Write tries again. It is
// for one goroutine.
type Rotated struct {
	fs    FS
	name  string
	size  int64 // of one file at most
	files int   // that are kept, with the newest

	open File  // nil: not yet, or it failed
	at   int64 // how long the newest is
}

// NewRotated keeps at most so many files of so many bytes. It opens nothing.
func NewRotated(fsys FS, name string, size int64, files int) *Rotated {
	return &Rotated{fs: fsys, name: name, size: size, files: max(files, 1)}
}

// RotatedNames are the files that a log of this name may consist of, the oldest first.
func RotatedNames(name string, files int) []string {
	all := make([]string, 0, files)
	for i := files - 1; i > 0; i-- {
		all = append(all, nth(name, i))
	}
	return append(all, name)
}

// nth is the name of the file that was the newest n rotations ago.
func nth(name string, n int) string {
	if n == 0 {
		return name
	}
	return name + "." + strconv.Itoa(n)
}

// Write appends whole lines. After an error nothing of them is in the file, unless the disk fails
// in taking them back too: then the next piece begins on a line of its own.
func (f *Rotated) Write(lines []byte) (int, error) {
	if err := f.ready(int64(len(lines))); err != nil {
		f.close()
		return 0, err
	}
	n, err := f.open.Write(lines)
	if err == nil {
		f.at += int64(n)
		return n, nil
	}
	err = errors.Join(err, f.open.Truncate(f.at))
	f.close()
	return 0, err
}

// ready opens the newest file, and rotates where the lines would be too much for it.
func (f *Rotated) ready(more int64) error {
	if f.open == nil {
		if err := f.reopen(); err != nil {
			return err
		}
	}
	if f.at == 0 || f.at+more <= f.size {
		return nil
	}
	f.close()
	if err := f.rotate(); err != nil {
		return fmt.Errorf("rotate %s: %w", f.name, err)
	}
	return f.reopen()
}

func (f *Rotated) reopen() error {
	if err := f.fs.MkdirAll(path.Dir(f.name), 0o700); err != nil {
		return err
	}
	if err := CheckReplaceable(f.fs, f.name); err != nil {
		return err // a pipe would wait for a reader
	}
	file, err := f.fs.OpenFile(f.name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	f.open = file
	info, err := file.Stat()
	if err != nil {
		return err
	}
	f.at = info.Size()
	return f.endLine()
}

// endLine ends a line of which a crash or a full disk left only the beginning.
func (f *Rotated) endLine() error {
	if f.at == 0 {
		return nil
	}
	var last [1]byte
	if _, err := f.open.ReadAt(last[:], f.at-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	n, err := f.open.Write([]byte{'\n'})
	f.at += int64(n)
	return err
}

// rotate makes room for a new file. The oldest is replaced, so that there are never more.
func (f *Rotated) rotate() error {
	if f.files == 1 {
		return f.fs.Remove(f.name)
	}
	for i := f.files - 1; i > 0; i-- {
		if err := f.fs.Rename(nth(f.name, i-1), nth(f.name, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (f *Rotated) close() {
	if f.open != nil {
		_ = f.open.Close()
		f.open = nil
	}
}

// Close closes the newest file.
func (f *Rotated) Close() error {
	f.close()
	return nil
}
