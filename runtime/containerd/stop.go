package containerd

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"

	"skein/runtime/port"
)

const (
	// deleteTries of a task: a shim that quits under its own delete answers
	// "ttrpc: closed", and a cgroup may be busy a moment longer than its processes.
	deleteTries = 6
	deletePause = 50 * time.Millisecond // doubles with each try: 1.6 s in all
	// killWait is how long a killed process may take to be reaped.
	killWait  = 10 * time.Second
	killPause = 10 * time.Millisecond
)

// Signal sends a signal to the first process, or to all. What has ended is no
// error. Errors: port.ErrNotFound, port.ErrRuntimeDown.
func (c *Client) Signal(ctx context.Context, id string, signal int, all bool) error {
	ctx, cancel := c.within(ctx, callTimeout)
	defer cancel()
	key := runtimeID(id)
	_, err := c.daemon.TaskService().Kill(ctx, &tasks.KillRequest{ContainerID: key, Signal: uint32(signal), All: all})
	if err == nil {
		return nil
	}
	if p, askErr := c.process(ctx, key); askErr == nil && p.stopped() {
		return nil
	}
	if !missing(err) {
		return c.fault(ctx, "signal "+id, err)
	}
	record, err := c.daemon.ContainerService().Get(ctx, key)
	if missing(err) {
		return fmt.Errorf("signal %s: %w", id, port.ErrNotFound)
	}
	if err != nil {
		return c.fault(ctx, "signal "+id, err)
	}
	if signal == sigkill {
		return c.cgroups.kill(record.Labels[labelCgroup]) // processes without a shim
	}
	return nil
}

// Delete removes a container that has ended, or was never started, with its own
// layer. One that is not there is no error. Errors: port.ErrRunning,
// port.ErrRuntimeDown.
func (c *Client) Delete(ctx context.Context, id string) error {
	defer c.locks.lock(id)()
	ctx, cancel := c.within(ctx, deleteTimeout)
	defer cancel()
	key := runtimeID(id)
	if err := c.ended(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	for _, remove := range []func(context.Context, string) error{c.removeTask, c.removeRecord, c.removeSnapshot} {
		if err := remove(ctx, key); err != nil {
			return c.fault(ctx, "delete "+id, err)
		}
	}
	c.ids.forget(id)
	return nil
}

// ended is nil when nothing of the container runs.
func (c *Client) ended(ctx context.Context, key string) error {
	p, err := c.process(ctx, key)
	switch {
	case err == nil && p.running():
		return port.ErrRunning
	case err == nil:
		return nil
	case !missing(err):
		return c.fault(ctx, "ask for its state", err)
	}
	record, err := c.daemon.ContainerService().Get(ctx, key)
	if missing(err) {
		return nil
	}
	if err != nil {
		return c.fault(ctx, "ask for its record", err)
	}
	pids, err := c.cgroups.processes(record.Labels[labelCgroup])
	if err == nil && len(pids) > 0 {
		err = fmt.Errorf("process %d outlived its shim: %w", pids[0], port.ErrRunning)
	}
	return err
}

// removeTask removes the first process and its shim, killing one that still
// waits for its start.
func (c *Client) removeTask(ctx context.Context, key string) error {
	var last error
	pause := deletePause
	for try := range deleteTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return last
			case <-time.After(pause):
				pause *= 2
			}
		}
		p, err := c.process(ctx, key)
		if missing(err) {
			return nil
		}
		if err == nil && !p.stopped() {
			err = c.killAndWait(ctx, key)
		}
		if err == nil {
			_, err = c.daemon.TaskService().Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: key})
		}
		if err == nil || missing(err) {
			return nil
		}
		last = toNative(err)
	}
	return last
}

func (c *Client) killAndWait(ctx context.Context, key string) error {
	_, err := c.daemon.TaskService().Kill(ctx, &tasks.KillRequest{ContainerID: key, Signal: sigkill, All: true})
	if err != nil && !missing(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	for {
		p, err := c.process(ctx, key)
		if err != nil || p.stopped() {
			return ignoreMissing(err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d is %s %v after SIGKILL", p.Pid, tasktypes.Status_name[int32(p.Status)], killWait)
		case <-time.After(killPause):
		}
	}
}

func (c *Client) removeRecord(ctx context.Context, key string) error {
	return ignoreMissing(c.daemon.ContainerService().Delete(ctx, key))
}

func (c *Client) removeSnapshot(ctx context.Context, key string) error {
	return ignoreMissing(c.daemon.SnapshotService(c.config.Snapshotter).Remove(ctx, key))
}
