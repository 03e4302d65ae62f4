//go:build e2e

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// envActor makes this binary a client that starts a container and waits.
const envActor = "SKEIN_TEST_ACTOR"

// act starts the container whose image it is told and prints its pid.
func act(what string) int {
	parts := strings.Split(what, " ")
	c, err := Open(Config{Address: parts[0], Namespace: parts[1]})
	if err != nil {
		println(err.Error())
		return 1
	}
	spec := port.ContainerSpec{
		ID: "t.main", Task: "t", Attempt: 1, Image: port.ImageRef{Image: parts[2], Digest: parts[3]},
		Def:        fleet.Container{Name: "main", Command: []string{"flood"}},
		CgroupPath: parts[4] + "/main", Network: fleet.NetworkNone, LogPath: parts[5],
	}
	pid, err := c.Create(context.Background(), spec)
	if err == nil {
		err = c.Start(context.Background(), spec.ID)
	}
	if err != nil {
		println(err.Error())
		return 1
	}
	fmt.Println(pid)
	select {}
}

func size(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	must(t, err)
	return info.Size()
}

// grows waits until a log has grown by a megabyte.
func grows(t *testing.T, name string) {
	t.Helper()
	before := size(t, name)
	eventually(t, func() string {
		if now := size(t, name); now < before+1<<20 {
			return fmt.Sprintf("log grew by %d bytes", now-before)
		}
		return ""
	})
}

func TestTheDaemonsDeathTouchesNoContainer(t *testing.T) {
	testImages(t)
	d := newDaemon(t, "mortal")
	d.start(t)
	t.Cleanup(func() { d.kill(t) })
	b := newBedOn(t, d)
	flood, short := b.spec("web", "flood", "flood"), b.spec("web", "short", "wait")
	pid := b.run(flood)
	shortPID := b.run(short)
	grows(t, flood.LogPath)
	b.readLog(short.LogPath, "waiting\n")

	watched := make(chan error, 1)
	standing := make(chan string, 100)
	go func() { watched <- b.Watch(t.Context(), standing) }()
	<-standing
	d.kill(t)
	if err := <-watched; !errors.Is(err, port.ErrRuntimeDown) {
		t.Errorf("Watch: %v, want ErrRuntimeDown", err)
	}
	if all, err := b.List(t.Context()); !errors.Is(err, port.ErrRuntimeDown) {
		t.Errorf("List without a daemon: %+v, %v; want ErrRuntimeDown", all, err)
	}
	if !alive(pid) {
		t.Fatal("the container died with the daemon")
	}
	grows(t, flood.LogPath)
	must(t, unix.Kill(shortPID, unix.SIGKILL)) // ends while nobody looks

	d.start(t)
	eventually(t, func() string { // the same client, without a new connection of ours
		if _, err := b.Ready(t.Context()); err != nil {
			return err.Error()
		}
		return ""
	})
	if s := b.await(flood.ID, port.ContainerRunning); s.PID != pid {
		t.Errorf("pid %d became %d", pid, s.PID)
	}
	// containerd 1 keeps the exit code; 2 clears away shims it finds without a
	// process, and the code with them.
	if s := b.await(short.ID, port.ContainerExited); s.ExitCode != 137 && s.ExitCode != -1 || s.OOMKilled {
		t.Errorf("what ended meanwhile: exit code %d, out of memory %v; want 137 or unseen, false", s.ExitCode, s.OOMKilled)
	}
	grows(t, flood.LogPath)
	must(t, b.Signal(t.Context(), flood.ID, sigterm, false))
	if s := b.await(flood.ID, port.ContainerExited); s.ExitCode != 0 {
		t.Errorf("exit code %d, want 0", s.ExitCode)
	}
	for _, id := range []string{flood.ID, short.ID} {
		must(t, b.Delete(t.Context(), id))
	}
}

func TestADaemonThatHangsIsDown(t *testing.T) {
	testImages(t)
	d := newDaemon(t, "hanging")
	d.start(t)
	t.Cleanup(func() { d.kill(t) })
	b := newBedOn(t, d)
	spec := b.spec("web", "a", "wait")
	pid := b.run(spec)
	must(t, unix.Kill(d.cmd.Process.Pid, unix.SIGSTOP))
	awaitStopped(t, d.cmd.Process.Pid)
	start := time.Now()
	if _, err := b.Ready(t.Context()); !errors.Is(err, port.ErrRuntimeDown) || time.Since(start) > 2*readyTimeout {
		t.Errorf("Ready: %v after %v", err, time.Since(start))
	}
	ctx, cancel := contextWithTimeout(t, 500*time.Millisecond)
	defer cancel()
	if all, err := b.List(ctx); err == nil {
		t.Errorf("List: %+v", all)
	}
	must(t, unix.Kill(d.cmd.Process.Pid, unix.SIGCONT))
	if s := b.await(spec.ID, port.ContainerRunning); s.PID != pid {
		t.Errorf("pid %d became %d", pid, s.PID)
	}
}

// awaitStopped waits until every thread of a process stands still: the signal
// reaches each on its own, and one that still runs may answer a call.
func awaitStopped(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		must(t, err)
		running := slices.DeleteFunc(threads, func(name string) bool {
			text, err := os.ReadFile(name)
			_, state, _ := strings.Cut(string(text), ") ")
			return err != nil || strings.HasPrefix(state, "T")
		})
		if len(running) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("threads that do not stop: %v", running)
		}
	}
}

func TestTheClientsDeathTouchesNoContainer(t *testing.T) {
	b := newBed(t)
	spec := b.spec("web", "a", "flood")
	actor := exec.Command("/proc/self/exe")
	actor.Env = append(os.Environ(), envActor+"="+strings.Join([]string{
		b.config.Address, b.name, spec.Image.Image, spec.Image.Digest, b.cgroup(t, spec.Task), spec.LogPath,
	}, " "))
	actor.Stderr = os.Stderr
	out, err := actor.StdoutPipe()
	must(t, err)
	must(t, actor.Start())
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatalf("the client said no pid: %v", err)
	}
	grows(t, spec.LogPath)
	must(t, actor.Process.Kill())
	_ = actor.Wait()
	grows(t, spec.LogPath)
	if s := b.find("t.main"); s == nil || s.State != port.ContainerRunning || s.PID != pid || !alive(pid) {
		t.Errorf("found %+v, want running as %d", s, pid)
	}
}

func TestARotatedLogIsWrittenOn(t *testing.T) {
	b := newBed(t)
	spec := b.spec("web", "a", "flood")
	b.run(spec)
	grows(t, spec.LogPath)
	must(t, os.Truncate(spec.LogPath, 0))
	grows(t, spec.LogPath)
	// A writer that kept its place would have left a hole.
	f, err := os.Open(spec.LogPath)
	must(t, err)
	defer f.Close()
	head := make([]byte, 1)
	if _, err := f.Read(head); err != nil || head[0] != 'x' {
		t.Errorf("the log begins with %q, %v", head, err)
	}
}

func TestAContainerWhoseShimDiedIsGoneOrRunningButNeverForgotten(t *testing.T) {
	b := newBed(t)
	spec := b.spec("web", "a", "ignore")
	pid := b.run(spec)
	shims := findShims("/proc", b.name, b.config.Address)
	if len(shims) != 1 || shims[0].ID != spec.ID {
		t.Fatalf("shims %+v", shims)
	}
	must(t, unix.Kill(shims[0].PID, unix.SIGKILL))
	eventually(t, func() string {
		s := b.find(spec.ID)
		switch {
		case s == nil:
			t.Fatal("the container is forgotten")
		case s.State == port.ContainerExited && alive(pid):
			t.Fatalf("it is said to have ended, but process %d lives", pid)
		case s.State == port.ContainerExited:
			if s.ExitCode != -1 && s.ExitCode != 137 {
				t.Fatalf("exit code %d, want 137 or unseen", s.ExitCode)
			}
			return ""
		case s.State == port.ContainerRunning: // it outlived its shim: stop it
			if err := b.Signal(t.Context(), spec.ID, sigkill, true); err != nil && !errors.Is(err, port.ErrRuntimeDown) {
				t.Fatal(err)
			}
		}
		return fmt.Sprintf("%+v", *s)
	})
	must(t, b.Delete(t.Context(), spec.ID))
}

func TestTheDaemonsProcessIsFound(t *testing.T) {
	b := newBed(t)
	if pid, err := b.DaemonPID(t.Context()); err != nil || pid != b.daemon.cmd.Process.Pid {
		t.Errorf("DaemonPID = %d, %v; want %d", pid, err, b.daemon.cmd.Process.Pid)
	}
}

func TestOrphansAreFoundAndReaped(t *testing.T) {
	b := newBed(t)
	wanted, unwanted := b.spec("web", "a", "wait"), b.spec("web", "b", "ignore")
	b.run(wanted)
	pid := b.run(unwanted)
	// A layer that a Create left when it was cut off.
	image, facts, err := b.imageFor(namespaced(b), wanted)
	must(t, err)
	left := b.spec("web", "c", "wait")
	record := recordOf(b, left, image)
	_, err = b.prepare(namespaced(b), record, facts.chain)
	must(t, err)

	keep := func(id string) bool { return id == wanted.ID }
	orphans, err := b.Orphans(t.Context(), keep)
	must(t, err)
	kinds := map[OrphanKind]string{}
	for _, s := range orphans {
		kinds[s.Kind] = s.ID
	}
	if len(orphans) != 2 || kinds[OrphanContainer] != unwanted.ID || kinds[OrphanSnapshot] != left.ID {
		t.Errorf("orphans %+v", orphans)
	}
	for _, s := range orphans {
		must(t, b.Reap(t.Context(), s))
		must(t, b.Reap(t.Context(), s)) // again is no error
	}
	if alive(pid) {
		t.Error("the orphan's process lives")
	}
	if orphans, err := b.Orphans(t.Context(), keep); err != nil || len(orphans) > 0 {
		t.Errorf("left: %+v, %v", orphans, err)
	}
	if s := b.find(wanted.ID); s == nil || s.State != port.ContainerRunning {
		t.Errorf("the wanted one is %+v", s)
	}
}

func TestAShimWithoutAContainerIsFoundAndReaped(t *testing.T) {
	b := newBed(t)
	// A process with a shim's arguments stands in for one.
	shim := t.TempDir() + "/containerd-shim-runc-v2"
	program, err := os.ReadFile(theProgram)
	must(t, err)
	must(t, os.WriteFile(shim, program, 0o755))
	cmd := exec.Command(shim, "ignore", "-namespace", b.name, "-id", "lost", "-address", b.config.Address)
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var orphan Orphan
	eventually(t, func() string {
		orphans, err := b.Orphans(t.Context(), func(string) bool { return false })
		if err == nil && len(orphans) == 1 && orphans[0].Kind == OrphanShim && orphans[0].PID == cmd.Process.Pid {
			orphan = orphans[0]
			return ""
		}
		return fmt.Sprintf("%+v, %v", orphans, err)
	})
	other := orphan
	other.Started++
	must(t, b.Reap(t.Context(), other)) // a later process with that pid is left alone
	if !alive(cmd.Process.Pid) {
		t.Fatal("a process that only has the pid was killed")
	}
	must(t, b.Reap(t.Context(), orphan))
	<-ended
}

func TestWhatACutOffCreateLeftDoesNotStandInTheWay(t *testing.T) {
	b := newBed(t)
	spec := b.spec("web", "a", "exit", "0")
	image, facts, err := b.imageFor(namespaced(b), spec)
	must(t, err)
	record := recordOf(b, spec, image)
	_, err = b.prepare(namespaced(b), record, facts.chain)
	must(t, err)
	b.run(spec)
	b.await(spec.ID, port.ContainerExited)
	must(t, b.Delete(t.Context(), spec.ID))

	// A record whose process was never made: it has ended, unseen.
	_, err = b.prepare(namespaced(b), record, facts.chain)
	must(t, err)
	_, err = b.Client.daemon.ContainerService().Create(namespaced(b), record)
	must(t, err)
	if s := b.find(spec.ID); s == nil || s.State != port.ContainerExited || s.ExitCode != -1 {
		t.Errorf("found %+v, want exited unseen", s)
	}
	must(t, b.Delete(t.Context(), spec.ID))
}
