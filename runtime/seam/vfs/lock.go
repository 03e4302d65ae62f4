package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ErrLocked is what Lock returns while somebody else holds the lock.
var ErrLocked = errors.New("locked by another process")

// Lock takes the lock that the file of that name stands for, which it makes if
// need be, until the result is closed or the process ends. It never waits.
func Lock(fsys FS, name string) (io.Closer, error) {
	locker, ok := fsys.(interface {
		lock(name string) (io.Closer, error)
	})
	if !ok {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: errors.ErrUnsupported}
	}
	return locker.lock(name)
}

func (osFS) lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = osFile{f}.call("flock", func(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) })
	if err == nil {
		return f, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = &fs.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	return nil, errors.Join(err, f.Close())
}

type memLock struct {
	m          *Mem
	name       string
	generation int
}

func (m *Mem) lock(name string) (io.Closer, error) {
	f, err := m.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	_ = f.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	m.locks[name] = true
	return &memLock{m: m, name: name, generation: m.generation}, nil
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.generation == l.m.generation { // a crash has given it up already
		delete(l.m.locks, l.name)
	}
	return nil
}
