package fake

import (
	"context"
	"fmt"

	"skein/runtime/port"
)

// Watch tells of changes; see converge.Containers.
func (c *Containers) Watch(ctx context.Context, changed chan<- string) error {
	defer c.mu.Unlock()
	if err := c.enter(ctx); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	from := c.seen + uint64(len(c.changed))
	pending := []string{""} // the watch stands: list now
	for {
		for len(pending) > 0 {
			c.mu.Unlock()
			var ended bool
			select {
			case changed <- pending[0]:
			case <-ctx.Done():
				ended = true
			}
			c.mu.Lock()
			if ended {
				return nil
			}
			pending = pending[1:]
		}
		err := c.wait(ctx, func() bool { return c.faults.RuntimeDown || c.seen+uint64(len(c.changed)) > from })
		if err != nil {
			return nil
		}
		if c.faults.RuntimeDown {
			return fmt.Errorf("watch: %w", port.ErrRuntimeDown)
		}
		for i := from; i < c.seen+uint64(len(c.changed)); i++ {
			if i < c.seen {
				pending = append(pending, "") // taken by Changed meanwhile
				continue
			}
			pending = append(pending, c.changed[i-c.seen])
		}
		from = c.seen + uint64(len(c.changed))
	}
}

// wait unlocks c until done, which it asks with c locked after every change.
func (c *Containers) wait(ctx context.Context, done func() bool) error {
	for !done() {
		moved := c.moved
		c.mu.Unlock()
		select {
		case <-moved:
			c.mu.Lock()
		case <-ctx.Done():
			c.mu.Lock()
			return ctx.Err()
		}
	}
	return nil
}
