package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// sharedPerm is what everybody's containers need: a task may run as any user.
const sharedPerm fs.FileMode = 0o644

// WriteShared replaces the text of a file of this machine that containers have mounted, so
// that they see what it becomes: it stays the same file. Everybody may read it, whatever the
// umask of this process is and whatever the file's mode was. Text is lines.
func WriteShared(name string, text []byte) error {
	if err := CheckReplaceable(OS, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	old, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, sharedPerm)
	if err != nil {
		return err
	}
	err = f.Chmod(sharedPerm)
	if err == nil && !bytes.Equal(old, text) {
		err = overwrite(f, old, text)
	}
	return errors.Join(err, f.Close())
}

// changeable is what of a file changes in place.
type changeable interface {
	WriteAt(b []byte, at int64) (int, error)
	Truncate(size int64) error
}

// overwrite makes the text of a file another one. After each step who reads the file finds
// one of both, with empty lines at its end at most: the file grows by empty lines, takes the
// new text at one length, and loses what empty lines are left.
func overwrite(f changeable, old, text []byte) error {
	longer := max(len(old), len(text))
	lines := func(n int) []byte { return bytes.Repeat([]byte{'\n'}, n) }
	if len(old) < longer {
		if _, err := f.WriteAt(lines(longer-len(old)), int64(len(old))); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(append(bytes.Clone(text), lines(longer-len(text))...), 0); err != nil {
		return err
	}
	if len(text) == longer {
		return nil
	}
	return f.Truncate(int64(len(text)))
}
