package vfs

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrCrashed is what every call returns between Mem.StopAt's moment and Crash,
// and what handles from before a Crash return.
var ErrCrashed = errors.New("file system has crashed")

// Mem is the in-memory twin. Its rules are the strictest that POSIX allows: a
// file's content is durable up to its last Sync, a name (created, renamed,
// removed) only after SyncDir of its folder. The root folder exists.
type Mem struct {
	mu         sync.Mutex
	root       *memDir
	locks      map[string]bool
	generation int // raised by Crash: older handles are dead
	calls      int
	failAt     int
	failWith   error
	stopAt     int
	capacity   int64 // bytes that may still be written; negative: no limit
}

// memDir is a folder. now is what a running system sees, kept what survives.
type memDir struct {
	now, kept map[string]any // *memDir or *memFile
	perm      fs.FileMode
}

// NewMem returns an empty file system without limits.
func NewMem() *Mem { return &Mem{root: newMemDir(0o755), locks: map[string]bool{}, capacity: -1} }

func newMemDir(perm fs.FileMode) *memDir {
	return &memDir{now: map[string]any{}, kept: map[string]any{}, perm: perm}
}

func clean(name string) []string {
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

// walk returns the folder that holds name, and name's last part ("" for the root).
func (m *Mem) walk(op, name string) (*memDir, string, error) {
	parts := clean(name)
	dir := m.root
	for i, part := range parts {
		if i == len(parts)-1 {
			return dir, part, nil
		}
		next, ok := dir.now[part].(*memDir)
		if !ok {
			return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		dir = next
	}
	return dir, "", nil
}

// find returns what stands at name.
func (m *Mem) find(op, name string) (any, error) {
	dir, base, err := m.walk(op, name)
	if err != nil {
		return nil, err
	}
	if base == "" {
		return dir, nil
	}
	node, ok := dir.now[base]
	if !ok {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return node, nil
}

// OpenFile implements FS.
func (m *Mem) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("open", name); err != nil {
		return nil, err
	}
	dir, base, err := m.walk("open", name)
	if err != nil {
		return nil, err
	}
	node, there := dir.now[base]
	if _, isDir := node.(*memDir); isDir || base == "" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	}
	switch {
	case !there && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case there && flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case !there:
		node = &memFile{perm: perm}
		dir.now[base] = node
	}
	file := node.(*memFile)
	if flag&os.O_TRUNC != 0 {
		file.resize(0)
	}
	return &memHandle{m: m, file: file, name: name, flag: flag, generation: m.generation}, nil
}

// ReadFile implements FS.
func (m *Mem) ReadFile(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("read", name); err != nil {
		return nil, err
	}
	node, err := m.find("read", name)
	if err != nil {
		return nil, err
	}
	file, ok := node.(*memFile)
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: syscall.EISDIR}
	}
	return slices.Clone(file.now), nil
}

// Rename implements FS.
func (m *Mem) Rename(old, new string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("rename", old); err != nil {
		return err
	}
	from, fromBase, err := m.walk("rename", old)
	if err != nil {
		return err
	}
	to, toBase, err := m.walk("rename", new)
	if err != nil {
		return err
	}
	node, ok := from.now[fromBase]
	if !ok {
		return &fs.PathError{Op: "rename", Path: old, Err: fs.ErrNotExist}
	}
	if target, isDir := to.now[toBase].(*memDir); isDir && target != node && len(target.now) > 0 {
		return &fs.PathError{Op: "rename", Path: new, Err: syscall.ENOTEMPTY}
	}
	delete(from.now, fromBase)
	to.now[toBase] = node
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("remove", name); err != nil {
		return err
	}
	dir, base, err := m.walk("remove", name)
	if err != nil {
		return err
	}
	node, ok := dir.now[base]
	if !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if sub, isDir := node.(*memDir); isDir && len(sub.now) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	delete(dir.now, base)
	return nil
}

// RemoveAll implements FS.
func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("removeall", name); err != nil {
		return err
	}
	dir, base, err := m.walk("removeall", name)
	if err != nil {
		return nil
	}
	delete(dir.now, base)
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("mkdir", name); err != nil {
		return err
	}
	dir := m.root
	for _, part := range clean(name) {
		switch node := dir.now[part].(type) {
		case *memDir:
			dir = node
		case nil:
			next := newMemDir(perm)
			dir.now[part] = next
			dir = next
		default:
			return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
		}
	}
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("readdir", name); err != nil {
		return nil, err
	}
	node, err := m.find("readdir", name)
	if err != nil {
		return nil, err
	}
	dir, ok := node.(*memDir)
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: syscall.ENOTDIR}
	}
	var entries []fs.DirEntry
	for _, base := range slices.Sorted(maps.Keys(dir.now)) {
		entries = append(entries, fs.FileInfoToDirEntry(infoOf(base, dir.now[base])))
	}
	return entries, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("stat", name); err != nil {
		return nil, err
	}
	node, err := m.find("stat", name)
	if err != nil {
		return nil, err
	}
	return infoOf(path.Base(name), node), nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("syncdir", name); err != nil {
		return err
	}
	node, err := m.find("syncdir", name)
	if err != nil {
		return err
	}
	dir, ok := node.(*memDir)
	if !ok {
		return &fs.PathError{Op: "syncdir", Path: name, Err: syscall.ENOTDIR}
	}
	dir.kept = maps.Clone(dir.now)
	return nil
}

type memInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func infoOf(name string, node any) memInfo {
	if dir, ok := node.(*memDir); ok {
		return memInfo{name: name, mode: fs.ModeDir | dir.perm}
	}
	file := node.(*memFile)
	return memInfo{name: name, size: int64(len(file.now)), mode: file.perm}
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return i.mode }
func (i memInfo) ModTime() time.Time { return time.Time{} } // the twin reads no clock
func (i memInfo) IsDir() bool        { return i.mode.IsDir() }
func (i memInfo) Sys() any           { return nil }
