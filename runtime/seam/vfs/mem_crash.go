package vfs

import (
	"io/fs"
	"maps"
	"slices"
)

// memFile is a file's content. Between low and high, now may differ from kept.
type memFile struct {
	now, kept []byte
	low, high int64
	perm      fs.FileMode
}

func (f *memFile) dirty(from, to int64) {
	if f.low == f.high {
		f.low, f.high = from, to
		return
	}
	f.low, f.high = min(f.low, from), max(f.high, to)
}

// resize changes the length; new bytes are zero.
func (f *memFile) resize(size int64) {
	old := int64(len(f.now))
	if size > old {
		f.now = append(f.now, make([]byte, size-old)...)
	} else {
		f.now = f.now[:size]
	}
	f.dirty(min(old, size), max(old, size))
}

func (f *memFile) sync() {
	if size := len(f.now); size <= len(f.kept) {
		f.kept = f.kept[:size]
	} else {
		f.kept = append(f.kept, make([]byte, size-len(f.kept))...)
	}
	if low, high := min(f.low, int64(len(f.now))), min(f.high, int64(len(f.now))); low < high {
		copy(f.kept[low:high], f.now[low:high])
	}
	f.low, f.high = 0, 0
}

// sector is the unit that a disk writes whole or not at all.
const sector = 512

// Crash is a power loss followed by a start: everything that was not made
// durable is gone, open handles are dead, injected faults are over.
func (m *Mem) Crash() { m.CrashKeeping(func() bool { return false }) }

// CrashKeeping is a Crash at which part of what was not made durable has
// reached the disk: keep is asked for each sector, file length and name.
func (m *Mem) CrashKeeping(keep func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.root = m.root.afterCrash(keep)
	m.generation++
	clear(m.locks)
	m.failAt, m.stopAt, m.capacity = 0, 0, -1
}

// afterCrash rebuilds a tree. Inodes are copied, since two names may lead to one
// of them: the old and the new one of a rename.
func (d *memDir) afterCrash(keep func() bool) *memDir {
	names := maps.Clone(d.kept)
	maps.Copy(names, d.now)
	out := newMemDir(d.perm)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		node := d.kept[name]
		if node != d.now[name] && keep() {
			node = d.now[name]
		}
		switch node := node.(type) {
		case *memDir:
			out.now[name] = node.afterCrash(keep)
		case *memFile:
			out.now[name] = node.afterCrash(keep)
		}
	}
	out.kept = maps.Clone(out.now)
	return out
}

func (f *memFile) afterCrash(keep func() bool) *memFile {
	content := slices.Clone(f.kept)
	if len(f.now) != len(f.kept) && keep() {
		content = append(content, make([]byte, max(0, len(f.now)-len(content)))...)[:len(f.now)]
	}
	for at := f.low / sector * sector; at < min(f.high, int64(len(f.now)), int64(len(content))); at += sector {
		end := min(at+sector, int64(len(f.now)), int64(len(content)))
		if keep() {
			copy(content[at:end], f.now[at:end])
		}
	}
	return &memFile{now: content, kept: slices.Clone(content), perm: f.perm}
}

// Calls is how many calls there were that FailAt and StopAt count: every call
// on the file system and on its handles but Close, Seek, Stat and Name.
func (m *Mem) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// FailAt makes the n-th call from now on, and only it, fail with err. A test
// that runs a scenario with n = 1, 2, ... until nothing fails has seen every
// single failure.
func (m *Mem) FailAt(n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failAt, m.failWith = m.calls+n, err
}

// StopAt makes the n-th call from now on and all later ones fail with
// ErrCrashed until Crash: the power goes at that call, which has no effect.
func (m *Mem) StopAt(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopAt = m.calls + n
}

// SetCapacity lets files grow by only so many more bytes before that fails with
// ENOSPC; negative for no limit. Removing files gives nothing back: call again.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// takeCapacity takes the room a file is to grow by; false where there is not enough.
func (m *Mem) takeCapacity(grow int64) bool {
	if m.capacity < 0 || grow <= 0 {
		return true
	}
	if grow > m.capacity {
		return false
	}
	m.capacity -= grow
	return true
}

// call counts a call and answers with the fault that is due. m.mu is held.
func (m *Mem) call(op, name string) error {
	m.calls++
	switch {
	case m.stopAt != 0 && m.calls >= m.stopAt:
		return &fs.PathError{Op: op, Path: name, Err: ErrCrashed}
	case m.failAt != 0 && m.calls == m.failAt:
		return &fs.PathError{Op: op, Path: name, Err: m.failWith}
	}
	return nil
}
