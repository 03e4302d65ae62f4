package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/containerd"
	"skein/runtime/port"
	"skein/runtime/selfcheck"
)

const (
	// probeTask is no task of the fleet; what a probe that was cut off leaves is
	// removed by the next one, or as garbage.
	probeTask      = fleet.TaskID("00000000000000000000000000000000")
	probeContainer = string(probeTask) + ".probe"
	probePoll      = 50 * time.Millisecond
)

// probe runs a container made of this very binary, start to end, with an OCI
// runtime (empty: containerd's own): image store, snapshots, shim, runtime and
// cgroups all have their part in it.
func (n *node) probe(ctx context.Context, program string) (err error) {
	config := n.containerdConfig()
	config.Runtime = program
	containers, err := containerd.Open(config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, containers.Close()) }()
	image := port.ImageRef{Image: "skein.local/probe:" + imageTag(n.Version)}
	if err = n.importSelf(ctx, image); err != nil {
		return err
	}
	if err = n.removeProbe(ctx); err != nil {
		return err
	}
	path, err := n.cgroups.Prepare(ctx, probeTask, port.TaskBounds{Shares: 2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.removeProbe(context.WithoutCancel(ctx))) }()
	_, err = containers.Create(ctx, port.ContainerSpec{
		ID: probeContainer, Task: probeTask, Attempt: 1, Image: image, Hostname: "probe",
		Def:        fleet.Container{Name: "probe", Image: image.Image, Command: []string{"version"}},
		CgroupPath: path + "/probe", Network: fleet.NetworkNone,
		LogPath: filepath.Join(n.Config.DataDir, "logs", "probe.log"),
	})
	if err != nil {
		return err
	}
	if err := n.containers.Start(ctx, probeContainer); err != nil {
		return err
	}
	return n.awaitProbe(ctx)
}

// awaitProbe waits until the probe has ended, well.
func (n *node) awaitProbe(ctx context.Context) error {
	for {
		status, found, err := n.findProbe(ctx)
		switch {
		case err != nil:
			return err
		case !found:
			return errors.New("the probe container is gone")
		case status.State == port.ContainerExited && status.ExitCode != 0:
			return fmt.Errorf("the probe container ended with code %d: see %s", status.ExitCode,
				filepath.Join(n.Config.DataDir, "logs", "probe.log"))
		case status.State == port.ContainerExited:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the probe container did not end: %w", ctx.Err())
		case <-time.After(probePoll):
		}
	}
}

func (n *node) findProbe(ctx context.Context) (port.ContainerStatus, bool, error) {
	all, err := n.containers.List(ctx)
	for _, status := range all {
		if status.Task == probeTask {
			return status, true, err
		}
	}
	return port.ContainerStatus{}, false, err
}

// removeProbe removes what a probe left.
func (n *node) removeProbe(ctx context.Context) error {
	const kill = 9
	if status, found, err := n.findProbe(ctx); err != nil {
		return err
	} else if found && status.State != port.ContainerExited {
		if err := n.containers.Signal(ctx, probeContainer, kill, true); err != nil {
			return err
		}
		if err := n.awaitProbeEnd(ctx); err != nil {
			return err
		}
	}
	if err := n.containers.Delete(ctx, probeContainer); err != nil {
		return err
	}
	return n.cgroups.Remove(ctx, probeTask)
}

func (n *node) awaitProbeEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, selfcheck.Timeout)
	defer cancel()
	for {
		status, found, err := n.findProbe(ctx)
		if err != nil || !found || status.State == port.ContainerExited {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the probe container does not die: %w", ctx.Err())
		case <-time.After(probePoll):
		}
	}
}

// importSelf makes an image of this binary, unless this version's is there. The
// kernel's link leads to what runs, also when the file was replaced since.
func (n *node) importSelf(ctx context.Context, ref port.ImageRef) error {
	if _, ok, err := n.containers.HasImage(ctx, ref); err != nil || ok {
		return err
	}
	binary, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer binary.Close()
	info, err := binary.Stat()
	if err != nil {
		return err
	}
	archive, writer := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		writer.CloseWithError(writeProbeImage(writer, binary, info.Size(), ref.Image))
	}()
	err = n.containers.Import(ctx, archive)
	_ = archive.Close() // a writer that waits for a reader that has failed
	<-written
	return err
}

// imageTag makes a version fit to be a tag.
func imageTag(version string) string {
	tag := []byte("v" + version)
	for i, b := range tag {
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '.' || b == '-') {
			tag[i] = '_'
		}
	}
	return string(tag[:min(len(tag), 128)])
}
