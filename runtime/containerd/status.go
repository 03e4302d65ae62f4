package containerd

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"golang.org/x/sync/errgroup"

	"skein/runtime/port"
)

// listParallel bounds questions to shims in flight: enough that a few shims that
// hang for their deadline do not hold the others up.
const listParallel = 16

// List returns every container of ours in any state, found by label. A container
// whose state the daemon cannot tell is ContainerUnknown; one that has no process
// any more and left no exit code is ContainerExited with code -1.
func (c *Client) List(ctx context.Context) ([]port.ContainerStatus, error) {
	records, err := c.records(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]port.ContainerStatus, len(records))
	var g errgroup.Group
	g.SetLimit(listParallel)
	for i, r := range records {
		g.Go(func() error {
			out[i] = c.status(ctx, r)
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	return out, nil
}

func (c *Client) records(ctx context.Context) ([]containers.Container, error) {
	ctx, cancel := c.within(ctx, callTimeout)
	defer cancel()
	records, err := c.daemon.ContainerService().List(ctx, fmt.Sprintf("labels.%q", labelTask))
	if err != nil {
		return nil, c.fault(ctx, "list containers", err)
	}
	return records, nil
}

func (c *Client) status(ctx context.Context, r containers.Container) port.ContainerStatus {
	s := statusOf(r.Labels)
	c.ids.learn(s.ID)
	if c.creating.has(s.ID) {
		return s
	}
	ctx, cancel := c.within(ctx, statusTimeout)
	defer cancel()
	p, err := c.process(ctx, r.ID)
	switch {
	case missing(err):
		c.withoutProcess(&s, r.Labels[labelCgroup])
	case err != nil:
		c.log.Debug("container state unknown", "task", string(s.Task), "container", s.Container, "err", err)
	case p.stopped():
		s.State, s.ExitCode, s.ExitedAt = port.ContainerExited, int(p.ExitStatus), exitTime(p)
		s.OOMKilled = s.ExitCode != 0 && c.cgroups.oomKills(r.Labels[labelCgroup]) > 0
	case p.Status == tasktypes.Status_CREATED:
		s.State, s.PID = port.ContainerCreated, int(p.Pid)
	case p.running():
		s.State, s.PID = port.ContainerRunning, int(p.Pid)
	}
	return s
}

// withoutProcess judges a container that the daemon has no process of: its shim
// was killed, the machine was booted, or its Create was cut off. Processes that
// outlived their shim are running, whatever the daemon believes.
func (c *Client) withoutProcess(s *port.ContainerStatus, cgroup string) {
	pids, err := c.cgroups.processes(cgroup)
	switch {
	case err != nil:
		c.log.Debug("container state unknown", "task", string(s.Task), "container", s.Container, "err", err)
	case len(pids) > 0:
		s.State, s.PID = port.ContainerRunning, pids[0]
	default:
		s.State, s.ExitCode = port.ContainerExited, -1
	}
}

// process is a container's first process as the daemon knows it.
type process struct{ *tasktypes.Process }

func (c *Client) process(ctx context.Context, key string) (process, error) {
	r, err := c.daemon.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: key})
	if err != nil {
		return process{}, err
	}
	return process{r.Process}, nil
}

func (p process) stopped() bool { return p.Status == tasktypes.Status_STOPPED }

func (p process) running() bool {
	return p.Status == tasktypes.Status_RUNNING || p.Status == tasktypes.Status_PAUSED ||
		p.Status == tasktypes.Status_PAUSING
}

func exitTime(p process) time.Time {
	if p.ExitedAt == nil {
		return time.Time{}
	}
	return p.ExitedAt.AsTime()
}
