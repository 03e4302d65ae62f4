package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy says that another command works on the same lab and did not end in time.
var ErrBusy = errors.New("another command is at work on this lab")

const lockPoll = 100 * time.Millisecond

type fileLock struct {
	file *os.File
	name string
}

// lock takes the lab's lock; what is told to whoever waits for it meanwhile.
func (l *Lab) lock(ctx context.Context, what string) (*fileLock, error) {
	return acquire(ctx, l.lockFile(), fmt.Sprintf("skein lab %s (pid %d)", what, os.Getpid()), lockTimeout, l.say)
}

// acquire takes the lock file, waiting up to limit for its holder to let go. The
// kernel lets go for a holder that dies.
func acquire(ctx context.Context, name, who string, limit time.Duration, say func(string)) (*fileLock, error) {
	deadline := time.Now().Add(limit)
	told := false
	for {
		lock, holder, err := tryLock(name, who)
		if err != nil || lock != nil {
			return lock, err
		}
		if !told {
			say("waiting for " + holder)
			told = true
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w: %s has held %s for %s", ErrBusy, holder, name, limit)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %s", ctx.Err(), holder)
		case <-time.After(lockPoll):
		}
	}
}

func tryLock(name, who string) (*fileLock, string, error) {
	// Down of the last lab may just have removed the folder.
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, "", fmt.Errorf("make run folder: %w", err)
	}
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, "a command that is just ending", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("open lock: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer file.Close()
		holder, _ := io.ReadAll(io.LimitReader(file, 256))
		if len(holder) == 0 {
			holder = []byte("another command")
		}
		return nil, strings.TrimSpace(string(holder)), nil
	}
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("lock %s: %w", name, err), file.Close())
	}
	// A holder that removed the file (down) leaves us with a lock on nothing.
	if !sameFile(file, name) {
		return nil, "a command that is just ending", file.Close()
	}
	if err := file.Truncate(0); err != nil {
		return nil, "", errors.Join(fmt.Errorf("write lock: %w", err), file.Close())
	}
	if _, err := file.WriteAt([]byte(who), 0); err != nil {
		return nil, "", errors.Join(fmt.Errorf("write lock: %w", err), file.Close())
	}
	return &fileLock{file, name}, "", nil
}

func sameFile(file *os.File, name string) bool {
	held, err := file.Stat()
	if err != nil {
		return false
	}
	found, err := os.Stat(name)
	return err == nil && os.SameFile(held, found)
}

func (f *fileLock) release() { _ = f.file.Close() }

// remove takes the file away while it is held, for the end of a lab.
func (f *fileLock) remove() error { return os.Remove(f.name) }
