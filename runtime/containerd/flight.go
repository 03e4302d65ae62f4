package containerd

import (
	"context"
	"sync"
)

// flights lets callers of the same work share one run of it. Each waits no
// longer than its own context; the work ends when nobody waits any more.
type flights struct {
	mu  sync.Mutex
	now map[string]*flight
}

type flight struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{}
	result  string
	err     error
}

func (f *flights) do(ctx context.Context, key string, work func(context.Context) (string, error)) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	mine := f.join(ctx, key, work)
	select {
	case <-mine.done:
		f.leave(key, mine)
		return mine.result, mine.err
	case <-ctx.Done():
		f.leave(key, mine)
		return "", ctx.Err()
	}
}

func (f *flights) join(ctx context.Context, key string, work func(context.Context) (string, error)) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if running := f.now[key]; running != nil {
		running.waiting++
		return running
	}
	shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
	started := &flight{waiting: 1, cancel: cancel, done: make(chan struct{})}
	if f.now == nil {
		f.now = map[string]*flight{}
	}
	f.now[key] = started
	go func() {
		started.result, started.err = work(shared)
		f.forget(key, started)
		cancel()
		close(started.done)
	}()
	return started
}

// leave ends the work with its last waiter. A newcomer then starts anew rather
// than inherit the cancellation.
func (f *flights) leave(key string, mine *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if mine.waiting--; mine.waiting == 0 {
		mine.cancel()
		if f.now[key] == mine {
			delete(f.now, key)
		}
	}
}

func (f *flights) forget(key string, done *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now[key] == done {
		delete(f.now, key)
	}
}
