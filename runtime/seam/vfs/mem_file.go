package vfs

import (
	"io"
	"io/fs"
	"os"
	"syscall"
)

// memHandle is an open file of a Mem. As with the real one, a handle that is
// shared between goroutines shares its offset.
type memHandle struct {
	m          *Mem
	file       *memFile
	name       string
	flag       int
	generation int
	offset     int64
	closed     bool
}

// ready reports why a call cannot be made. The file system's lock is held.
func (h *memHandle) ready(op string) error {
	switch {
	case h.closed:
		return &fs.PathError{Op: op, Path: h.name, Err: fs.ErrClosed}
	case h.generation != h.m.generation:
		return &fs.PathError{Op: op, Path: h.name, Err: ErrCrashed}
	}
	return h.m.call(op, h.name)
}

func (h *memHandle) Name() string { return h.name }

func (h *memHandle) Read(p []byte) (int, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.ready("read"); err != nil {
		return 0, err
	}
	n, err := h.readAt(p, h.offset)
	h.offset += int64(n)
	if n > 0 {
		return n, nil
	}
	return n, err
}

func (h *memHandle) ReadAt(p []byte, offset int64) (int, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.ready("read"); err != nil {
		return 0, err
	}
	return h.readAt(p, offset)
}

func (h *memHandle) readAt(p []byte, offset int64) (int, error) {
	if h.flag&os.O_WRONLY != 0 {
		return 0, &fs.PathError{Op: "read", Path: h.name, Err: syscall.EBADF}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if offset >= int64(len(h.file.now)) {
		return 0, io.EOF
	}
	n := copy(p, h.file.now[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) Write(p []byte) (int, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.ready("write"); err != nil {
		return 0, err
	}
	if h.flag&os.O_APPEND != 0 {
		h.offset = int64(len(h.file.now))
	}
	n, err := h.writeAt(p, h.offset)
	h.offset += int64(n)
	return n, err
}

func (h *memHandle) WriteAt(p []byte, offset int64) (int, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.ready("write"); err != nil {
		return 0, err
	}
	if h.flag&os.O_APPEND != 0 {
		return 0, &fs.PathError{Op: "write", Path: h.name, Err: syscall.EINVAL}
	}
	return h.writeAt(p, offset)
}

// writeAt writes as far as there is room: below the file's end there always is.
func (h *memHandle) writeAt(p []byte, offset int64) (n int, err error) {
	if h.flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return 0, &fs.PathError{Op: "write", Path: h.name, Err: syscall.EBADF}
	}
	end := offset + int64(len(p))
	if !h.m.takeCapacity(end - int64(len(h.file.now))) {
		end = max(offset, min(end, int64(len(h.file.now))+h.m.capacity))
		h.m.capacity = 0
		err = &fs.PathError{Op: "write", Path: h.name, Err: syscall.ENOSPC}
	}
	if end > int64(len(h.file.now)) {
		h.file.resize(end)
	}
	n = copy(h.file.now[offset:end], p)
	h.file.dirty(offset, end)
	return n, err
}

func (h *memHandle) Seek(offset int64, whence int) (int64, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += h.offset
	case io.SeekEnd:
		offset += int64(len(h.file.now))
	}
	if offset < 0 {
		return 0, &fs.PathError{Op: "seek", Path: h.name, Err: syscall.EINVAL}
	}
	h.offset = offset
	return offset, nil
}

func (h *memHandle) Sync() error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.ready("sync"); err != nil {
		return err
	}
	h.file.sync()
	return nil
}

func (h *memHandle) Allocate(size int64) error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.ready("fallocate"); err != nil {
		return err
	}
	if !h.m.takeCapacity(size - int64(len(h.file.now))) {
		return &fs.PathError{Op: "fallocate", Path: h.name, Err: syscall.ENOSPC}
	}
	if size > int64(len(h.file.now)) {
		h.file.resize(size)
	}
	return nil
}

func (h *memHandle) Truncate(size int64) error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.ready("truncate"); err != nil {
		return err
	}
	h.file.resize(size)
	return nil
}

func (h *memHandle) Stat() (fs.FileInfo, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if h.closed {
		return nil, &fs.PathError{Op: "stat", Path: h.name, Err: fs.ErrClosed}
	}
	return infoOf(h.name, h.file), nil
}

func (h *memHandle) Close() error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if h.closed {
		return &fs.PathError{Op: "close", Path: h.name, Err: fs.ErrClosed}
	}
	h.closed = true
	return nil
}
