package fake

import (
	"maps"
	"slices"
	"time"

	"skein/runtime/port"
)

// Inject changes the faults in force.
func (c *Containers) Inject(change func(*Faults)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.faults)
	c.wake()
}

// Step settles what is due and lets waiting calls look at the clock again.
func (c *Containers) Step() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	c.wake()
}

// NextDue is when the next process ends by itself.
func (c *Containers) NextDue() (at time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mortal == 0 {
		return time.Time{}, false
	}
	for _, k := range c.containers {
		if k.status.State == port.ContainerRunning && !k.ends.IsZero() && (!ok || k.ends.Before(at)) {
			at, ok = k.ends, true
		}
	}
	return at, ok
}

// Exit ends a running container from inside, as a crash would.
func (c *Containers) Exit(id string, code int, oom bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.containers[id]; k != nil && k.status.State != port.ContainerExited {
		k.status.OOMKilled = oom
		c.end(k, code)
	}
}

// Reboot ends every process without a trace: containers stay on record, with an
// exit code nobody saw.
func (c *Containers) Reboot() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.containers {
		if k.status.State != port.ContainerExited {
			k.status.State, k.status.PID, k.status.ExitCode = port.ContainerExited, 0, -1
			c.outlive(k)
		}
	}
	c.wake()
}

// Alive reports whether a process of a container lives.
func (c *Containers) Alive(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	for _, k := range c.containers {
		if k.status.PID == pid && k.status.State != port.ContainerExited {
			return true
		}
	}
	return false
}

// Get is one container as List would have it.
func (c *Containers) Get(id string) (s port.ContainerStatus, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	k := c.containers[id]
	if k == nil {
		return port.ContainerStatus{}, false
	}
	return k.status, true
}

// Len is how many containers there are, in any state.
func (c *Containers) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.containers)
}

// Log is what was written to a log file.
func (c *Containers) Log(path string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	return c.logs[path]
}

// Changed returns the ids of containers that changed since the last call, for
// drivers that have no goroutine for Watch.
func (c *Containers) Changed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	out := c.changed
	c.seen += uint64(len(out))
	c.changed = nil
	return out
}

func (c *Containers) settle() {
	if c.mortal == 0 {
		return // nothing ends by itself
	}
	now := c.now()
	for _, id := range slices.Sorted(maps.Keys(c.containers)) {
		k := c.containers[id]
		if k.status.State == port.ContainerRunning && !k.ends.IsZero() && !now.Before(k.ends) {
			c.end(k, k.run.ExitCode)
		}
	}
}

func (c *Containers) end(k *container, code int) {
	k.status.State, k.status.PID, k.status.ExitCode = port.ContainerExited, 0, code
	k.status.ExitedAt = c.now()
	c.outlive(k)
	c.change(k.status.ID)
}

// outlive has a process not end by itself any more.
func (c *Containers) outlive(k *container) {
	if !k.ends.IsZero() {
		k.ends = time.Time{}
		c.mortal--
	}
}

// maxChanges bounds what is kept for a driver that never asks.
const maxChanges = 10_000

func (c *Containers) change(id string) {
	if len(c.changed) == maxChanges {
		c.changed, c.seen = c.changed[1:], c.seen+1
	}
	c.changed = append(c.changed, id)
	c.wake()
}

func (c *Containers) wake() {
	close(c.moved)
	c.moved = make(chan struct{})
}
