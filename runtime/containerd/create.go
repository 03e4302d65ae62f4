package containerd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/typeurl/v2"

	"skein/runtime/port"
)

const (
	// shim keeps a container's processes in its care and has an OCI runtime make
	// them: runc, or another with its command line.
	shim = "io.containerd.runc.v2"
	// labelRoot keeps a snapshot from containerd's garbage collector until a
	// container refers to it: cheaper than a lease by two synced writes.
	labelRoot = "containerd.io/gc.root"
)

// inFlight are the containers whose Create has begun and not ended: until then
// one without a process is not one that has ended.
type inFlight struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (f *inFlight) set(id string, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids == nil {
		f.ids = map[string]bool{}
	}
	if on {
		f.ids[id] = true
	} else {
		delete(f.ids, id)
	}
}

func (f *inFlight) has(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ids[id]
}

// Create makes a container of an image that is here, and its first process,
// which waits for Start; its pid names its namespaces. A failed Create leaves
// nothing. Errors: port.ErrExists, port.ErrImageNotFound, port.ErrRuntimeDown;
// others name the field that cannot be had.
func (c *Client) Create(ctx context.Context, spec port.ContainerSpec) (int, error) {
	defer c.locks.lock(spec.ID)()
	c.creating.set(spec.ID, true)
	defer c.creating.set(spec.ID, false)
	ctx, cancel := c.within(ctx, createTimeout)
	defer cancel()
	pid, err := c.create(ctx, spec)
	switch {
	case err == nil:
		c.ids.learn(spec.ID)
		return pid, nil
	case errors.Is(err, port.ErrExists), errors.Is(err, port.ErrImageNotFound):
		return 0, fmt.Errorf("create %s: %w", spec.ID, err)
	default:
		return 0, c.fault(ctx, "create "+spec.ID, err)
	}
}

func (c *Client) create(ctx context.Context, spec port.ContainerSpec) (pid int, err error) {
	image, facts, err := c.imageFor(ctx, spec)
	if err != nil {
		return 0, err
	}
	logURI, err := openLog(spec.LogPath)
	if err != nil {
		return 0, err
	}
	labels, err := labelsOf(spec, image.Target().Digest.String(), stopSignalOf(facts.config))
	if err != nil {
		return 0, err
	}
	record := containers.Container{
		ID: runtimeID(spec.ID), Labels: labels, Image: image.Name(),
		Runtime:     *c.runtime.Load(),
		Snapshotter: c.config.Snapshotter, SnapshotKey: runtimeID(spec.ID),
	}
	mounts, err := c.prepare(ctx, record, facts.chain)
	if err != nil {
		return 0, err
	}
	undo := []undoing{c.removeSnapshot}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.undo(ctx, record.ID, undo))
		}
	}()
	ociSpec, err := c.ociSpec(ctx, spec, facts, &record)
	if err != nil {
		return 0, err
	}
	if record.Spec, err = typeurl.MarshalAny(ociSpec); err != nil {
		return 0, err
	}
	if _, err = c.daemon.ContainerService().Create(ctx, record); err != nil {
		if exists(err) {
			err = port.ErrExists
		}
		return 0, err
	}
	undo = append(undo, c.removeRecord, c.removeTask)
	response, err := c.daemon.TaskService().Create(ctx, &tasks.CreateTaskRequest{
		ContainerID: record.ID, Rootfs: rootfs(mounts), Stdout: logURI, Stderr: logURI,
	})
	if err != nil {
		return 0, err
	}
	return int(response.Pid), nil
}

// undoing takes back one step of a Create: what has this runtime id goes.
type undoing func(ctx context.Context, key string) error

// undo takes the steps of a failed Create back, the last one first, though the
// caller may have given up.
func (c *Client) undo(ctx context.Context, key string, steps []undoing) error {
	ctx, cancel := c.afterwards(ctx)
	defer cancel()
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		errs = append(errs, steps[i](ctx, key))
	}
	return errors.Join(errs...)
}

func (c *Client) imageFor(ctx context.Context, spec port.ContainerSpec) (client.Image, imageFacts, error) {
	name, err := parseReference(spec.Image)
	if err != nil {
		return nil, imageFacts{}, err
	}
	image, err := c.localUnpacked(ctx, name)
	if err != nil {
		return nil, imageFacts{}, err
	}
	if image == nil {
		return nil, imageFacts{}, fmt.Errorf("%s is not on this host, pull it first: %w", name.full, port.ErrImageNotFound)
	}
	facts, err := c.facts(ctx, image)
	return image, facts, err
}

// prepare makes the container's own layer. One that is there without a container
// was left by a Create that was cut off.
func (c *Client) prepare(ctx context.Context, record containers.Container, chain string) ([]mount.Mount, error) {
	s := c.daemon.SnapshotService(record.Snapshotter)
	keep := snapshots.WithLabels(map[string]string{
		labelRoot: time.Now().UTC().Format(time.RFC3339),
		labelID:   record.Labels[labelID],
	})
	mounts, err := s.Prepare(ctx, record.SnapshotKey, chain, keep)
	if !exists(err) {
		return mounts, err
	}
	if _, err := c.daemon.ContainerService().Get(ctx, record.ID); !missing(err) {
		if err == nil {
			err = port.ErrExists
		}
		return nil, err
	}
	if err := c.removeSnapshot(ctx, record.SnapshotKey); err != nil {
		return nil, err
	}
	return s.Prepare(ctx, record.SnapshotKey, chain, keep)
}

func rootfs(mounts []mount.Mount) []*types.Mount {
	out := make([]*types.Mount, len(mounts))
	for i, m := range mounts {
		out[i] = &types.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options}
	}
	return out
}

// openLog makes sure that the shim can append to the log, and names it to the
// shim. No path is no log.
func openLog(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if !filepath.IsAbs(name) {
		return "", fmt.Errorf("log file %q: want an absolute path", name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return "", fmt.Errorf("log file: %w", err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return "", fmt.Errorf("log file: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("log file: %w", err)
	}
	return (&url.URL{Scheme: "file", Path: name}).String(), nil
}

// Start lets the created process run; started already is no error. Errors:
// port.ErrNotFound, port.ErrRuntimeDown.
func (c *Client) Start(ctx context.Context, id string) error {
	ctx, cancel := c.within(ctx, createTimeout)
	defer cancel()
	_, err := c.daemon.TaskService().Start(ctx, &tasks.StartRequest{ContainerID: runtimeID(id)})
	if err == nil {
		return nil
	}
	if missing(err) {
		return fmt.Errorf("start %s: %w", id, port.ErrNotFound)
	}
	if state, askErr := c.process(ctx, runtimeID(id)); askErr == nil && (state.running() || state.stopped()) {
		return nil
	}
	return c.fault(ctx, "start "+id, err)
}
