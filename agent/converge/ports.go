package converge

import (
	"context"
	"net/netip"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// Containers runs containers. Every call is idempotent and has a deadline from
// its context; errors wrap the sentinels below where a caller must tell them
// apart. Implemented by runtime/containerd and runtime/fake, proven alike by
// agent/converge/porttest.
type Containers interface {
	// Pull makes an image present and returns its digest ("sha256:..."). With a
	// digest it pulls exactly that and needs no registry when the content is
	// there. Calls for one reference at one time share one pull.
	// Errors: ErrImageNotFound, ErrRegistry.
	Pull(ctx context.Context, ref port.ImageRef) (digest string, err error)
	// HasImage reports whether an image can start without a registry, and its digest.
	HasImage(ctx context.Context, ref port.ImageRef) (digest string, ok bool, err error)
	// Create makes a container and its first process, which waits for Start. Its
	// namespaces exist afterwards: PID names them to Network. Errors: ErrExists.
	Create(ctx context.Context, spec port.ContainerSpec) (pid int, err error)
	// Start lets the created process run.
	Start(ctx context.Context, id string) error
	// Signal sends a signal to the first process (all: to every process).
	// A container that has ended is no error.
	Signal(ctx context.Context, id string, signal int, all bool) error
	// Delete removes a container that has ended, with its snapshot. One that is
	// not there is no error; one that runs is ErrRunning.
	Delete(ctx context.Context, id string) error
	// List returns every container of ours, found by label, in any state.
	List(ctx context.Context) ([]port.ContainerStatus, error)
	// Exec runs a command in a running container and returns its exit code; the
	// whole process group is killed at the context's end. Output is not kept.
	Exec(ctx context.Context, id string, argv []string) (code int, err error)
	// Watch sends an item whenever a container may have changed, until ctx ends
	// or the runtime is lost (ErrRuntimeDown); after any return, List again.
	Watch(ctx context.Context, changed chan<- string) error
	// Ready says whether the runtime answers, and its version.
	Ready(ctx context.Context) (version string, err error)
}

// Network gives a task its network. Implemented by runtime/network and
// runtime/fake.
type Network interface {
	// Setup connects the namespace of pid as the task's and maps its ports.
	// Calling it again for the same task repairs what is missing.
	Setup(ctx context.Context, spec port.NetworkSpec) (addr netip.Addr, err error)
	// Teardown removes everything of the task; what is not there is no error.
	Teardown(ctx context.Context, task fleet.TaskID) error
	// Connections counts the TCP connections to ports in the network of a process, its own
	// or the host's, over which something may still come or go.
	Connections(ctx context.Context, pid int, ports []int) (open int, err error)
	// Tasks lists the tasks that have anything set up.
	Tasks(ctx context.Context) ([]fleet.TaskID, error)
}

// Cgroups nests tasks under one parent. Implemented by runtime/cgroup and
// runtime/fake.
type Cgroups interface {
	// Prepare makes the task's parent with its shares and hard bounds and returns
	// its path below the cgroup root.
	Prepare(ctx context.Context, task fleet.TaskID, bounds port.TaskBounds) (path string, err error)
	// Remove removes the task's parent; what is not there is no error.
	Remove(ctx context.Context, task fleet.TaskID) error
	// Usage is what a task uses now.
	Usage(ctx context.Context, task fleet.TaskID) (port.Usage, error)
	// Tasks lists the tasks that have a parent.
	Tasks(ctx context.Context) ([]fleet.TaskID, error)
}
