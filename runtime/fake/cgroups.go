package fake

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// Cgroups is the twin of a tree of cgroups.
type Cgroups struct {
	mu    sync.Mutex
	fault Fault
	tasks map[fleet.TaskID]*group
}

type group struct {
	bounds port.TaskBounds
	usage  port.Usage
}

const parent = "/skein/work/"

// NewCgroups makes a tree without tasks.
func NewCgroups() *Cgroups { return &Cgroups{tasks: map[fleet.TaskID]*group{}} }

// Inject sets what is wrong from now on.
func (c *Cgroups) Inject(fault Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = fault
}

// Reboot forgets everything, as the kernel does.
func (c *Cgroups) Reboot() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tasks)
}

// Use sets what a task uses.
func (c *Cgroups) Use(task fleet.TaskID, usage port.Usage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.tasks[task]; g != nil {
		g.usage = usage
	}
}

// Bounds are what is in force for a task.
func (c *Cgroups) Bounds(task fleet.TaskID) (port.TaskBounds, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.tasks[task]
	if g == nil {
		return port.TaskBounds{}, false
	}
	return g.bounds, true
}

// Prepare makes a task's parent; see converge.Cgroups.
func (c *Cgroups) Prepare(ctx context.Context, task fleet.TaskID, bounds port.TaskBounds) (string, error) {
	if err := c.enter(ctx, task); err != nil {
		return "", fmt.Errorf("prepare cgroup of task %s: %w", task, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if bounds.Shares == 0 {
		bounds.Shares = bounds.CPU
	}
	bounds.Shares = min(max(bounds.Shares, 2), 262_144)
	g := c.tasks[task]
	if g == nil {
		g = &group{}
		c.tasks[task] = g
	}
	g.bounds = bounds
	return parent + string(task), nil
}

// Remove removes a task's parent; see converge.Cgroups.
func (c *Cgroups) Remove(ctx context.Context, task fleet.TaskID) error {
	if err := c.enter(ctx, task); err != nil {
		return fmt.Errorf("remove cgroup of task %s: %w", task, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tasks, task)
	return nil
}

// Usage is what a task uses; see converge.Cgroups.
func (c *Cgroups) Usage(ctx context.Context, task fleet.TaskID) (port.Usage, error) {
	if err := c.enter(ctx, task); err != nil {
		return port.Usage{}, fmt.Errorf("usage of task %s: %w", task, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.tasks[task]
	if g == nil {
		return port.Usage{}, fmt.Errorf("usage of task %s: no such cgroup", task)
	}
	return g.usage, nil
}

// Tasks lists the tasks that have a parent, sorted; see converge.Cgroups.
func (c *Cgroups) Tasks(ctx context.Context) ([]fleet.TaskID, error) {
	if err := c.enter(ctx, "x"); err != nil {
		return nil, fmt.Errorf("list task cgroups: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.tasks)), nil
}

var usableName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func (c *Cgroups) enter(ctx context.Context, task fleet.TaskID) error {
	c.mu.Lock()
	fault := c.fault
	c.mu.Unlock()
	if !usableName.MatchString(string(task)) || task == "tasks" || task == "notify_on_release" {
		return fmt.Errorf("%q is not a usable folder name", task)
	}
	return fault.strike(ctx)
}
