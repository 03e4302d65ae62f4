package containerd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skein/runtime/port"
)

const (
	// maxExec bounds an exec whose caller has no deadline; a health check may take
	// 60 s (ECS API, HealthCheck).
	maxExec = 5 * time.Minute
	// notRunnable is the code of a command that cannot be run, as shells have it.
	notRunnable = 126
)

// Exec runs a command in a running container, as its user and with its limits,
// and returns the exit code; 126 when the command cannot be run. At the context's
// end the command and all it started in its process group are killed. Output is
// not kept.
func (c *Client) Exec(ctx context.Context, id string, argv []string) (int, error) {
	if len(argv) == 0 {
		return 0, fmt.Errorf("exec in %s: no command", id)
	}
	ctx, cancel := c.within(ctx, maxExec)
	defer cancel()
	code, err := c.exec(ctx, id, argv)
	if err != nil && ctx.Err() != context.Canceled && over(ctx) {
		return 0, fmt.Errorf("exec in %s: %w", id, context.DeadlineExceeded) // the command's fault, not the daemon's
	}
	if err != nil {
		return 0, c.fault(ctx, "exec in "+id, err)
	}
	return code, nil
}

func (c *Client) exec(ctx context.Context, id string, argv []string) (int, error) {
	container, err := c.daemon.LoadContainer(ctx, runtimeID(id))
	if missing(err) {
		return 0, port.ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	record, err := container.Info(ctx, client.WithoutRefreshedMetadata)
	if err != nil {
		return 0, err
	}
	process, err := processOf(record, argv)
	if err != nil {
		return 0, err
	}
	task, err := container.Task(ctx, nil)
	if missing(err) {
		return 0, fmt.Errorf("not running: %w", port.ErrNotFound)
	}
	if err != nil {
		return 0, err
	}
	started, err := task.Exec(ctx, fmt.Sprintf("exec-%s-%d", c.nonce, c.execs.next()), process, cio.NullIO)
	if err != nil {
		return 0, err
	}
	defer c.endExec(ctx, task, started, record.Labels[labelCgroup])
	return c.await(ctx, task, started)
}

// await starts the process and waits for its end.
func (c *Client) await(ctx context.Context, task client.Task, started client.Process) (int, error) {
	done, err := started.Wait(ctx)
	if err != nil {
		return 0, err
	}
	if err := started.Start(ctx); err != nil {
		return c.unstarted(ctx, task, err)
	}
	select {
	case status := <-done:
		// A daemon that dies says 255 with an error: not the command's code.
		return int(status.ExitCode()), status.Error()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// unstarted tells a command that cannot be run from a container that has ended
// and from a daemon that does not answer.
func (c *Client) unstarted(ctx context.Context, task client.Task, cause error) (int, error) {
	status, err := task.Status(ctx)
	switch {
	case err != nil:
		return 0, errors.Join(cause, err)
	case status.Status != client.Running:
		return 0, fmt.Errorf("container is %s: %w", status.Status, port.ErrNotFound)
	default:
		return notRunnable, nil
	}
}

// endExec kills what is left of an exec that did not end by itself, and forgets
// it. The first process leads a group of its own; while it is in the container's
// cgroup its number cannot be another's.
func (c *Client) endExec(ctx context.Context, task client.Task, started client.Process, cgroup string) {
	late := over(ctx)
	ctx, cancel := c.afterwards(ctx)
	defer cancel()
	if late {
		c.killExec(ctx, task, started, cgroup)
	}
	if _, err := started.Delete(ctx); err != nil && !missing(err) {
		c.log.Warn("exec not removed", "container", started.ID(), "err", err)
	}
}

// killExec kills an exec's process group. Its pid is asked for: the time may have
// run out while it was being started.
func (c *Client) killExec(ctx context.Context, task client.Task, started client.Process, cgroup string) {
	r, err := c.daemon.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: task.ID(), ExecID: started.ID()})
	if err != nil {
		return
	}
	if pid := int(r.Process.Pid); pid > 0 && c.cgroups.holds(cgroup, pid) {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	if done, err := started.Wait(ctx); err == nil {
		_ = started.Kill(ctx, unix.SIGKILL)
		<-done // ends with the context at the latest
	}
}

// processOf is the container's first process with other arguments.
func processOf(record containers.Container, argv []string) (*specs.Process, error) {
	var spec specs.Spec
	if err := typeurl.UnmarshalTo(record.Spec, &spec); err != nil {
		return nil, fmt.Errorf("read specification: %w", err)
	}
	if spec.Process == nil {
		return nil, errors.New("specification has no process")
	}
	process := *spec.Process
	process.Args, process.CommandLine, process.Terminal = argv, "", false
	return &process, nil
}
