package fake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"skein/runtime/port"
)

const sigterm, sigkill = 15, 9

// Faults are switched by [Containers.Inject]; the zero value has none.
type Faults struct {
	RegistryDown bool          // pulls that need the registry fail with port.ErrRegistry
	PullDelay    time.Duration // a pull from the registry takes this long
	PullError    error         // any other end of a pull from the registry
	CreateError  error
	StartError   error
	DeleteError  error
	RuntimeDown  bool // every call fails with port.ErrRuntimeDown, Watch ends; processes run on
	Hang         bool // every call blocks until its context ends
}

// Containers is the twin of a container runtime and the registry it pulls from.
// It outlives agents: what a new agent opens is the same value.
type Containers struct {
	now func() time.Time

	mu         sync.Mutex
	faults     Faults
	registry   map[string]*Image // by name, and by "name@digest"
	held       map[string]*Image // by digest: pulled
	names      map[string]string // name -> digest, as last pulled
	pulls      map[string]int
	containers map[string]*container
	logs       map[string]string
	mortal     int // running processes that end by themselves
	lastPID    int
	moved      chan struct{} // closed and replaced when anything changed
	changed    []string      // ids, for Changed and watchers; in order
	seen       uint64        // how many changes there were before changed[0]
}

type container struct {
	status port.ContainerStatus
	spec   port.ContainerSpec
	run    Run
	ends   time.Time // zero: not by itself
}

// NewContainers makes a runtime with nothing in it, on a clock.
func NewContainers(now func() time.Time) *Containers {
	return &Containers{
		now: now, registry: map[string]*Image{}, held: map[string]*Image{}, names: map[string]string{},
		pulls: map[string]int{}, containers: map[string]*container{}, logs: map[string]string{},
		lastPID: 1000, moved: make(chan struct{}),
	}
}

// Create makes a container; see converge.Containers.
func (c *Containers) Create(ctx context.Context, spec port.ContainerSpec) (int, error) {
	defer c.mu.Unlock()
	if err := c.enter(ctx); err != nil {
		return 0, fmt.Errorf("create %s: %w", spec.ID, err)
	}
	if c.faults.CreateError != nil {
		return 0, fmt.Errorf("create %s: %w", spec.ID, c.faults.CreateError)
	}
	if c.containers[spec.ID] != nil {
		return 0, fmt.Errorf("create %s: %w", spec.ID, port.ErrExists)
	}
	digest, image := c.local(spec.Image)
	if image == nil {
		return 0, fmt.Errorf("create %s: %s is not here: %w", spec.ID, spec.Image.Image, port.ErrImageNotFound)
	}
	argv := image.argv(spec.Def.EntryPoint, spec.Def.Command)
	run, ok := image.run(argv)
	if !ok {
		return 0, fmt.Errorf("create %s: image has no command %q", spec.ID, argv)
	}
	c.lastPID++
	c.containers[spec.ID] = &container{spec: spec, run: run, status: port.ContainerStatus{
		ID: spec.ID, Task: spec.Task, Container: spec.Def.Name, Attempt: spec.Attempt,
		State: port.ContainerCreated, PID: c.lastPID, Image: spec.Image.Image, Digest: digest,
		Labels: maps.Clone(spec.Labels), StopSignal: sigterm,
	}}
	c.change(spec.ID)
	return c.lastPID, nil
}

// Start lets the created process run; see converge.Containers.
func (c *Containers) Start(ctx context.Context, id string) error {
	defer c.mu.Unlock()
	if err := c.enter(ctx); err != nil {
		return fmt.Errorf("start %s: %w", id, err)
	}
	k := c.containers[id]
	switch {
	case k == nil:
		return fmt.Errorf("start %s: %w", id, port.ErrNotFound)
	case c.faults.StartError != nil:
		return fmt.Errorf("start %s: %w", id, c.faults.StartError)
	case k.status.State != port.ContainerCreated:
		return nil
	}
	k.status.State = port.ContainerRunning
	if k.run.Output != "" {
		c.logs[k.spec.LogPath] += k.run.Output
	}
	c.change(id)
	if limit := k.spec.Def.Memory; limit > 0 && k.run.MemoryMiB > limit {
		k.status.OOMKilled = true
		c.end(k, 128+sigkill)
		return nil
	}
	if k.run.After != Forever {
		k.ends = c.now().Add(k.run.After)
		c.mortal++
	}
	c.settle()
	return nil
}

// Signal signals the first process; see converge.Containers.
func (c *Containers) Signal(ctx context.Context, id string, signal int, _ bool) error {
	defer c.mu.Unlock()
	if err := c.enter(ctx); err != nil {
		return fmt.Errorf("signal %s: %w", id, err)
	}
	k := c.containers[id]
	switch {
	case k == nil:
		return fmt.Errorf("signal %s: %w", id, port.ErrNotFound)
	case k.status.State == port.ContainerExited:
	case signal == sigkill:
		c.end(k, 128+sigkill)
	case signal == sigterm && !k.run.IgnoresTerm && k.status.State == port.ContainerRunning:
		c.end(k, k.run.OnTerm)
	}
	return nil
}

// Delete removes a container; see converge.Containers.
func (c *Containers) Delete(ctx context.Context, id string) error {
	defer c.mu.Unlock()
	if err := c.enter(ctx); err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	k := c.containers[id]
	switch {
	case k == nil:
		return nil
	case k.status.State == port.ContainerRunning:
		return fmt.Errorf("delete %s: %w", id, port.ErrRunning)
	case c.faults.DeleteError != nil:
		return fmt.Errorf("delete %s: %w", id, c.faults.DeleteError)
	}
	delete(c.containers, id)
	c.change(id)
	return nil
}

// List returns every container, sorted by id; see converge.Containers.
func (c *Containers) List(ctx context.Context) ([]port.ContainerStatus, error) {
	defer c.mu.Unlock()
	if err := c.enter(ctx); err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	out := make([]port.ContainerStatus, 0, len(c.containers))
	for _, id := range slices.Sorted(maps.Keys(c.containers)) {
		out = append(out, c.containers[id].status) // labels are never changed once a container is made
	}
	return out, nil
}

// Exec runs a command by the image's Program; see converge.Containers.
func (c *Containers) Exec(ctx context.Context, id string, argv []string) (int, error) {
	defer c.mu.Unlock()
	if err := c.enter(ctx); err != nil {
		return 0, fmt.Errorf("exec in %s: %w", id, err)
	}
	k := c.containers[id]
	if k == nil || k.status.State != port.ContainerRunning {
		return 0, fmt.Errorf("exec in %s: not running: %w", id, port.ErrNotFound)
	}
	run, ok := c.held[k.status.Digest].run(argv)
	if !ok {
		return 126, nil
	}
	if run.After == Forever {
		return 0, fmt.Errorf("exec in %s: %w", id, c.wait(ctx, func() bool { return false }))
	}
	due := c.now().Add(run.After)
	if err := c.wait(ctx, func() bool { return !c.now().Before(due) }); err != nil {
		return 0, fmt.Errorf("exec in %s: %w", id, err)
	}
	return run.ExitCode, nil
}

// Ready tells the twin's version; see converge.Containers.
func (c *Containers) Ready(ctx context.Context) (string, error) {
	defer c.mu.Unlock()
	if err := c.enter(ctx); err != nil {
		return "", err
	}
	return "twin", nil
}

// enter locks c, settles what is due and applies the faults of every call. The
// caller unlocks, also after an error.
func (c *Containers) enter(ctx context.Context) error {
	c.mu.Lock()
	c.settle()
	if c.faults.Hang {
		if err := c.wait(ctx, func() bool { return !c.faults.Hang }); err != nil {
			return err
		}
	}
	if c.faults.RuntimeDown {
		return port.ErrRuntimeDown
	}
	return ctx.Err()
}
