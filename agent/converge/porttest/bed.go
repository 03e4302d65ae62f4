package porttest

import (
	"strings"
	"testing"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// containerBed adds to a fixture what most cases do.
type containerBed struct {
	ContainersFixture
	pulled bool
}

// spec is a container of the task that runs Program with args.
func (b *containerBed) spec(t *testing.T, name string, args ...string) port.ContainerSpec {
	t.Helper()
	if !b.pulled {
		if _, err := b.Containers.Pull(t.Context(), b.Image); err != nil {
			t.Fatalf("Pull: %v", err)
		}
		b.pulled = true
	}
	task := TaskOf(name)
	return port.ContainerSpec{
		ID: string(task) + ".main", Task: task, Attempt: 1,
		Def: fleet.Container{
			Name: "main", Image: b.Image.Image, EntryPoint: []string{Program}, Command: args, StopTimeoutS: 30,
		},
		Image: b.Image, CgroupPath: b.Cgroup(t, task) + "/main", Network: fleet.NetworkNone,
		Hostname: "host-" + name, LogPath: b.LogPath(name),
	}
}

func (b *containerBed) create(t *testing.T, spec port.ContainerSpec) int {
	t.Helper()
	pid, err := b.Containers.Create(t.Context(), spec)
	if err != nil {
		t.Fatalf("Create %s: %v", spec.ID, err)
	}
	return pid
}

// start creates and starts, and waits until the container runs or has ended.
func (b *containerBed) start(t *testing.T, spec port.ContainerSpec) {
	t.Helper()
	b.create(t, spec)
	if err := b.Containers.Start(t.Context(), spec.ID); err != nil {
		t.Fatalf("Start %s: %v", spec.ID, err)
	}
}

// ready waits until Program says that its signal handlers are in place.
func (b *containerBed) ready(t *testing.T, spec port.ContainerSpec) {
	t.Helper()
	b.says(t, spec, "waiting")
}

func (b *containerBed) says(t *testing.T, spec port.ContainerSpec, text string) {
	t.Helper()
	eventually(t, b.Step, "the log to say "+text, func() (bool, string) {
		log := b.ReadLog(t, spec.LogPath)
		return strings.Contains(log, text), log
	})
}

func (b *containerBed) ended(t *testing.T, id string) *port.ContainerStatus {
	t.Helper()
	return awaitState(t, b.Containers, b.Step, id, port.ContainerExited)
}

func (b *containerBed) signal(t *testing.T, id string, signal int) {
	t.Helper()
	if err := b.Containers.Signal(t.Context(), id, signal, false); err != nil {
		t.Fatalf("Signal %d: %v", signal, err)
	}
}
