package fake_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/fake"
	"skein/runtime/port"
)

var web = port.ImageRef{Image: "registry/web:1", Digest: "sha256:" + strings.Repeat("ab", 32)}

func runtime(image fake.Image) (*fake.Containers, *clock) {
	now := newClock()
	c := fake.NewContainers(now.Now)
	image.Digest = web.Digest
	c.Put(web.Image, image)
	return c, now
}

func spec(id string) port.ContainerSpec {
	return port.ContainerSpec{ID: id, Task: fleet.TaskID(id), Image: web, LogPath: "/log/" + id}
}

func run(t *testing.T, c *fake.Containers, id string) {
	t.Helper()
	ctx := t.Context()
	if _, err := c.Pull(ctx, web); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(ctx, spec(id)); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx, id); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, c *fake.Containers, id string) port.ContainerStatus {
	t.Helper()
	all, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.ID == id {
			return s
		}
	}
	t.Fatalf("no container %s", id)
	return port.ContainerStatus{}
}

func TestAProcessEndsWhenItsTimeHasCome(t *testing.T) {
	c, now := runtime(fake.Image{Program: func([]string) (fake.Run, bool) {
		return fake.Run{After: time.Minute, ExitCode: 3}, true
	}})
	run(t, c, "a")
	due, ok := c.NextDue()
	if !ok || !due.Equal(now.Now().Add(time.Minute)) {
		t.Fatalf("NextDue = %v, %v", due, ok)
	}
	now.Add(time.Minute - 1)
	if s := state(t, c, "a"); s.State != port.ContainerRunning {
		t.Errorf("ended early: %+v", s)
	}
	now.Add(1)
	if s := state(t, c, "a"); s.State != port.ContainerExited || s.ExitCode != 3 || !s.ExitedAt.Equal(due) {
		t.Errorf("got %+v", s)
	}
	if _, ok := c.NextDue(); ok {
		t.Error("something is due still")
	}
	if got := c.Changed(); strings.Join(got, ",") != "a,a,a" {
		t.Errorf("changed: %v, want a for its creation, start and end", got)
	}
	if got := c.Changed(); len(got) > 0 {
		t.Errorf("changed again: %v", got)
	}
}

func TestAPullTakesAsLongAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake.NewContainers(time.Now)
		c.Put(web.Image, fake.Image{Digest: web.Digest})
		c.Inject(func(f *fake.Faults) { f.PullDelay = time.Second })
		done := make(chan error, 2)
		for range 2 {
			go func() { _, err := c.Pull(t.Context(), web); done <- err }()
		}
		synctest.Wait()
		time.Sleep(999 * time.Millisecond)
		c.Step()
		synctest.Wait()
		if len(done) > 0 {
			t.Fatal("the pull ended early")
		}
		time.Sleep(time.Millisecond)
		c.Step()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := c.Pulls(web.Image); n != 1 {
			t.Errorf("%d pulls, want one for both", n)
		}
	})
}

func TestFaults(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		fault func(*fake.Faults)
		call  func(*fake.Containers) error
		want  error
	}{
		"create fails": {func(f *fake.Faults) { f.CreateError = boom },
			func(c *fake.Containers) error { _, err := c.Create(t.Context(), spec("b")); return err }, boom},
		"start fails": {func(f *fake.Faults) { f.StartError = boom },
			func(c *fake.Containers) error { return c.Start(t.Context(), "a") }, boom},
		"pull fails": {func(f *fake.Faults) { f.PullError = boom },
			func(c *fake.Containers) error {
				_, err := c.Pull(t.Context(), port.ImageRef{Image: web.Image})
				return err
			}, boom},
		"the runtime is down": {func(f *fake.Faults) { f.RuntimeDown = true },
			func(c *fake.Containers) error { _, err := c.List(t.Context()); return err }, port.ErrRuntimeDown},
		"the runtime hangs": {func(f *fake.Faults) { f.Hang = true },
			func(c *fake.Containers) error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				_, err := c.Ready(ctx)
				return err
			}, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := runtime(fake.Image{})
			run(t, r, "a")
			r.Inject(c.fault)
			if err := c.call(r); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			r.Inject(func(f *fake.Faults) { *f = fake.Faults{} })
			if s := state(t, r, "a"); s.State != port.ContainerRunning {
				t.Errorf("the fault touched the container: %+v", s)
			}
		})
	}
}

func TestAWatchEndsWithTheRuntime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake.NewContainers(time.Now)
		changed, done := make(chan string, 10), make(chan error, 1)
		go func() { done <- c.Watch(t.Context(), changed) }()
		if id := <-changed; id != "" {
			t.Errorf("first word %q, want that the watch stands", id)
		}
		c.Inject(func(f *fake.Faults) { f.RuntimeDown = true })
		if err := <-done; !errors.Is(err, port.ErrRuntimeDown) {
			t.Errorf("Watch: %v", err)
		}
	})
}

func TestARebootEndsProcessesUnseen(t *testing.T) {
	c, _ := runtime(fake.Image{})
	run(t, c, "a")
	pid := state(t, c, "a").PID
	if !c.Alive(pid) {
		t.Fatal("a running process is not alive")
	}
	c.Reboot()
	if s := state(t, c, "a"); s.State != port.ContainerExited || s.ExitCode != -1 || c.Alive(pid) {
		t.Errorf("got %+v, alive %v", s, c.Alive(pid))
	}
	if err := c.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if _, ok, err := c.HasImage(t.Context(), web); err != nil || !ok {
		t.Errorf("the image went with the reboot: %v, %v", ok, err)
	}
	c.Forget(web.Digest)
	if _, ok, _ := c.HasImage(t.Context(), web); ok {
		t.Error("a forgotten image is there")
	}
}

func TestACrashFromInside(t *testing.T) {
	c, _ := runtime(fake.Image{})
	run(t, c, "a")
	c.Exit("a", 137, true)
	c.Exit("nobody", 1, false)
	if s := state(t, c, "a"); s.State != port.ContainerExited || s.ExitCode != 137 || !s.OOMKilled {
		t.Errorf("got %+v", s)
	}
}

func TestFaultsOfNetworkAndCgroups(t *testing.T) {
	boom := errors.New("boom")
	n := fake.NewNetwork(func(int) bool { return true })
	g := fake.NewCgroups()
	calls := func(ctx context.Context) []error {
		_, setup := n.Setup(ctx, port.NetworkSpec{Task: "a", PID: 1, Mode: fleet.NetworkBridge})
		_, prepare := g.Prepare(ctx, "a", port.TaskBounds{Shares: 2})
		_, tasks := g.Tasks(ctx)
		return []error{setup, prepare, tasks, n.Teardown(ctx, "a"), g.Remove(ctx, "a")}
	}
	n.Inject(fake.Fault{Err: boom})
	g.Inject(fake.Fault{Err: boom})
	for _, err := range calls(t.Context()) {
		if !errors.Is(err, boom) {
			t.Errorf("got %v, want boom", err)
		}
	}
	n.Inject(fake.Fault{Hang: true})
	g.Inject(fake.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for _, err := range calls(ctx) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	}
	n.Inject(fake.Fault{})
	g.Inject(fake.Fault{})
	for _, err := range calls(t.Context()) {
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := n.Setup(t.Context(), port.NetworkSpec{Task: "a", PID: 1, Mode: fleet.NetworkBridge}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Prepare(t.Context(), "a", port.TaskBounds{Shares: 2}); err != nil {
		t.Fatal(err)
	}
	g.Use("a", port.Usage{MemoryMiB: 7})
	if u, err := g.Usage(t.Context(), "a"); err != nil || u.MemoryMiB != 7 {
		t.Errorf("Usage = %+v, %v", u, err)
	}
	n.Reboot()
	g.Reboot()
	if tasks, _ := n.Tasks(t.Context()); len(tasks) > 0 {
		t.Errorf("after a reboot: %v", tasks)
	}
	if tasks, _ := g.Tasks(t.Context()); len(tasks) > 0 {
		t.Errorf("after a reboot: %v", tasks)
	}
}
