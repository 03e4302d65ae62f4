package porttest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// ContainersFixture is a container runtime to be tested.
type ContainersFixture struct {
	Containers converge.Containers
	// Image holds Program and is in the registry, not yet pulled; its Digest is
	// set. Missing is an image that the registry does not have. Tagged is Image
	// by a tag alone.
	Image, Missing, Tagged port.ImageRef
	// Reopen makes another client of the same runtime, as after a restart of the
	// agent.
	Reopen func(t *testing.T) converge.Containers
	// Cgroup makes a task's parent cgroup and returns its path.
	Cgroup func(t *testing.T, task fleet.TaskID) string
	// LogPath names a log file; ReadLog reads one.
	LogPath func(name string) string
	ReadLog func(t *testing.T, path string) string
	// Registry switches the registry on and off; Pulls counts how often the
	// manifest of Image was fetched from it.
	Registry func(up bool)
	Pulls    func() int
	// Step lets a little time pass.
	Step func()
}

// Containers runs the contract of converge.Containers. open makes a fixture with
// nothing in it, once for each case.
func Containers(t *testing.T, open func(t *testing.T) ContainersFixture) {
	for _, c := range containerCases {
		t.Run(c.name, func(t *testing.T) { c.run(t, &containerBed{ContainersFixture: open(t)}) })
	}
}

type containerCase struct {
	name string
	run  func(t *testing.T, b *containerBed)
}

const sigterm, sigkill = 15, 9

var containerCases = []containerCase{
	{"a container starts, runs and its exit code is seen", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "wait")
		b.start(t, spec)
		s := awaitState(t, b.Containers, b.Step, spec.ID, port.ContainerRunning)
		if s.PID <= 0 {
			t.Errorf("a running container has pid %d", s.PID)
		}
		b.ready(t, spec)
		b.signal(t, spec.ID, sigterm)
		if s := b.ended(t, spec.ID); s.ExitCode != 0 || s.ExitedAt.IsZero() || s.OOMKilled {
			t.Errorf("got %+v, want exit code 0, a time and no out-of-memory", *s)
		}
	}},
	{"an exit code other than zero is kept", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "exit", "7")
		b.start(t, spec)
		if s := b.ended(t, spec.ID); s.ExitCode != 7 {
			t.Errorf("exit code %d, want 7", s.ExitCode)
		}
	}},
	{"a created container waits for its start", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "say", "hello")
		if pid := b.create(t, spec); pid <= 0 {
			t.Errorf("pid %d", pid)
		}
		for range 5 {
			b.Step()
		}
		if s := find(t, b.Containers, spec.ID); s == nil || s.State != port.ContainerCreated || s.PID <= 0 {
			t.Errorf("got %+v, want created with a pid", s)
		}
		if log := b.ReadLog(t, spec.LogPath); strings.Contains(log, "hello") {
			t.Error("it ran before Start")
		}
		if err := b.Containers.Start(t.Context(), spec.ID); err != nil {
			t.Fatal(err)
		}
		b.says(t, spec, "hello")
	}},
	{"starting twice is no error", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "wait")
		b.start(t, spec)
		if err := b.Containers.Start(t.Context(), spec.ID); err != nil {
			t.Errorf("second Start: %v", err)
		}
	}},
	{"the same container is not created twice", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "wait")
		b.start(t, spec)
		if _, err := b.Containers.Create(t.Context(), spec); !errors.Is(err, port.ErrExists) {
			t.Errorf("second Create: %v, want ErrExists", err)
		}
		awaitState(t, b.Containers, b.Step, spec.ID, port.ContainerRunning)
	}},
	{"what is not there cannot start, and cannot be signalled", func(t *testing.T, b *containerBed) {
		if err := b.Containers.Start(t.Context(), "nobody.main"); !errors.Is(err, port.ErrNotFound) {
			t.Errorf("Start: %v, want ErrNotFound", err)
		}
		if err := b.Containers.Signal(t.Context(), "nobody.main", sigterm, false); !errors.Is(err, port.ErrNotFound) {
			t.Errorf("Signal: %v, want ErrNotFound", err)
		}
	}},
	{"a process that ignores SIGTERM lives until SIGKILL", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "ignore")
		b.start(t, spec)
		b.ready(t, spec)
		b.signal(t, spec.ID, sigterm)
		for range 10 {
			b.Step()
		}
		if s := find(t, b.Containers, spec.ID); s == nil || s.State != port.ContainerRunning {
			t.Fatalf("got %+v, want running still", s)
		}
		b.signal(t, spec.ID, sigkill)
		if s := b.ended(t, spec.ID); s.ExitCode != 137 || s.OOMKilled {
			t.Errorf("exit code %d, out of memory %v; want 137, false", s.ExitCode, s.OOMKilled)
		}
	}},
	{"signalling what has ended is no error", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "exit", "0")
		b.start(t, spec)
		b.ended(t, spec.ID)
		for _, all := range []bool{false, true} {
			if err := b.Containers.Signal(t.Context(), spec.ID, sigkill, all); err != nil {
				t.Errorf("Signal all %v: %v", all, err)
			}
		}
	}},
	{"a running container is not deleted", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "wait")
		b.start(t, spec)
		if err := b.Containers.Delete(t.Context(), spec.ID); !errors.Is(err, port.ErrRunning) {
			t.Errorf("Delete: %v, want ErrRunning", err)
		}
		if s := find(t, b.Containers, spec.ID); s == nil || s.State != port.ContainerRunning {
			t.Errorf("got %+v, want running still", s)
		}
	}},
	{"a deleted container is gone, and its id can be used again", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "exit", "1")
		b.start(t, spec)
		b.ended(t, spec.ID)
		for range 2 {
			if err := b.Containers.Delete(t.Context(), spec.ID); err != nil {
				t.Fatalf("Delete: %v", err)
			}
		}
		if s := find(t, b.Containers, spec.ID); s != nil {
			t.Errorf("still listed: %+v", s)
		}
		spec.Attempt, spec.Def.Command = 2, []string{"exit", "2"}
		b.start(t, spec)
		if s := b.ended(t, spec.ID); s.ExitCode != 2 || s.Attempt != 2 {
			t.Errorf("got %+v, want attempt 2 with exit code 2", *s)
		}
	}},
	{"a container that never started can be deleted", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "say", "hello")
		b.create(t, spec)
		if err := b.Containers.Delete(t.Context(), spec.ID); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		if s := find(t, b.Containers, spec.ID); s != nil {
			t.Errorf("still listed: %+v", s)
		}
		if log := b.ReadLog(t, spec.LogPath); strings.Contains(log, "hello") {
			t.Error("it ran")
		}
	}},
	{"another client finds a container by its labels", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "wait")
		spec.Attempt, spec.Labels = 3, map[string]string{"colour": "green"}
		b.start(t, spec)
		awaitState(t, b.Containers, b.Step, spec.ID, port.ContainerRunning)
		s := find(t, b.Reopen(t), spec.ID)
		if s == nil {
			t.Fatal("not found by the other client")
		}
		if s.Task != spec.Task || s.Container != "main" || s.Attempt != 3 || s.State != port.ContainerRunning ||
			s.Image != b.Image.Image || s.Digest != b.Image.Digest || s.Labels["colour"] != "green" {
			t.Errorf("got %+v", *s)
		}
	}},
	{"a container with a long name is found by its whole id", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "exit", "0")
		spec.Def.Name = strings.Repeat("long_-", 40)
		spec.ID = string(spec.Task) + "." + spec.Def.Name
		b.start(t, spec)
		if s := b.ended(t, spec.ID); s.Container != spec.Def.Name {
			t.Errorf("container %q", s.Container)
		}
		if err := b.Containers.Delete(t.Context(), spec.ID); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}},
	{"exec returns the command's exit code", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "wait")
		b.start(t, spec)
		awaitState(t, b.Containers, b.Step, spec.ID, port.ContainerRunning)
		for want, argv := range map[int][]string{0: {Program, "exit", "0"}, 5: {Program, "exit", "5"}} {
			if code, err := b.Containers.Exec(t.Context(), spec.ID, argv); err != nil || code != want {
				t.Errorf("Exec %v = %d, %v; want %d", argv, code, err, want)
			}
		}
		if code, err := b.Containers.Exec(t.Context(), spec.ID, []string{"/no/such/command"}); err != nil || code == 0 {
			t.Errorf("Exec of a missing command = %d, %v; want a code other than 0", code, err)
		}
	}},
	{"exec in what has ended is an error", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "exit", "0")
		b.start(t, spec)
		b.ended(t, spec.ID)
		if code, err := b.Containers.Exec(t.Context(), spec.ID, []string{Program, "exit", "0"}); err == nil {
			t.Errorf("Exec = %d, want an error", code)
		}
	}},
	{"exec ends with its context, and so does what it started", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "wait")
		b.start(t, spec)
		awaitState(t, b.Containers, b.Step, spec.ID, port.ContainerRunning)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if code, err := b.Containers.Exec(ctx, spec.ID, []string{Program, "hang"}); !errors.Is(err,
			context.DeadlineExceeded) {
			t.Errorf("Exec = %d, %v; want the context's error", code, err)
		}
		if s := find(t, b.Containers, spec.ID); s == nil || s.State != port.ContainerRunning {
			t.Errorf("got %+v, want running still", s)
		}
		b.signal(t, spec.ID, sigkill)
		b.ended(t, spec.ID)
	}},
	{"logs of two attempts are one file", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "say", "first")
		b.start(t, spec)
		b.ended(t, spec.ID)
		if err := b.Containers.Delete(t.Context(), spec.ID); err != nil {
			t.Fatal(err)
		}
		spec.Attempt, spec.Def.Command = 2, []string{"say", "second"}
		b.start(t, spec)
		b.ended(t, spec.ID)
		b.says(t, spec, "first\nsecond\n")
	}},
	{"a container beyond its memory says that it ran out of memory", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "alloc", "256")
		spec.Def.Memory = 32
		b.start(t, spec)
		if s := b.ended(t, spec.ID); s.ExitCode != 137 || !s.OOMKilled {
			t.Errorf("exit code %d, out of memory %v; want 137, true", s.ExitCode, s.OOMKilled)
		}
	}},
	{"a watcher hears of a change", func(t *testing.T, b *containerBed) {
		spec := b.spec(t, "a", "exit", "0")
		ctx, cancel := context.WithCancel(t.Context())
		changed, done := make(chan string, 100), make(chan error, 1)
		go func() { done <- b.Containers.Watch(ctx, changed) }()
		eventually(t, b.Step, "the watch to stand", func() (bool, string) { return len(changed) > 0, "silence" })
		b.start(t, spec)
		eventually(t, b.Step, "word of "+spec.ID, func() (bool, string) {
			select {
			case id := <-changed:
				return id == spec.ID, "heard of " + id
			default:
				return false, "silence"
			}
		})
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch after its context ended: %v, want nil", err)
		}
	}},
	{"the runtime tells its version", func(t *testing.T, b *containerBed) {
		if version, err := b.Containers.Ready(t.Context()); err != nil || version == "" {
			t.Errorf("Ready = %q, %v", version, err)
		}
	}},
}
