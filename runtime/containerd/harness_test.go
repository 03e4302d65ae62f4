//go:build e2e

package containerd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/typeurl/v2"
	"golang.org/x/sys/unix"

	"skein/agent/converge"
	"skein/agent/converge/porttest"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// envDaemon chooses another containerd than the one on PATH.
const envDaemon = "SKEIN_TEST_CONTAINERD"

func TestMain(m *testing.M) {
	if what := os.Getenv(envActor); what != "" {
		os.Exit(act(what))
	}
	os.Exit(porttest.Isolated(m))
}

// daemon is a private containerd: its own folders, sockets (on a /run of its
// own) and cgroup. It ends with the tests' namespaces.
type daemon struct {
	binary, dir string
	cmd         *exec.Cmd
}

var (
	theDaemon     *daemon
	startedDaemon sync.Once
)

// sharedDaemon is the one daemon of all tests that do not kill it.
func sharedDaemon(t testing.TB) *daemon {
	t.Helper()
	startedDaemon.Do(func() {
		d := newDaemon(t, "shared")
		d.start(t)
		theDaemon = d
	})
	if theDaemon == nil {
		t.Fatal("containerd did not start for an earlier test")
	}
	return theDaemon
}

func newDaemon(t testing.TB, called string) *daemon {
	t.Helper()
	binary := os.Getenv(envDaemon)
	if binary == "" {
		binary = "containerd"
	}
	for _, program := range []string{binary, "runc", "containerd-shim-runc-v2"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: install containerd and runc (Debian: apt-get install containerd runc)", err)
		}
	}
	d := &daemon{binary: binary, dir: filepath.Join(porttest.Dir(), called)}
	must(t, os.MkdirAll(d.dir, 0o711))
	config := fmt.Sprintf(`version = 2
root = %q
state = %q
oom_score = 0
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = %q
[debug]
level = "warn"
[plugins."io.containerd.metadata.v1.bolt"]
content_sharing_policy = "isolated"
[plugins."io.containerd.internal.v1.opt"]
path = %q
`, d.dir+"/root", d.dir+"/state", d.address(), d.dir+"/opt")
	must(t, os.WriteFile(d.dir+"/config.toml", []byte(config), 0o600))
	return d
}

func (d *daemon) address() string { return "/run/" + filepath.Base(d.dir) + ".sock" }

func (d *daemon) start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer log.Close()
	d.cmd = exec.Command(d.binary, "--config", d.dir+"/config.toml")
	d.cmd.Stdout, d.cmd.Stderr = log, log
	must(t, d.cmd.Start())
	controllers := []string{"cpu", "cpuacct", "memory", "pids"}
	if unified(t) {
		controllers = []string{""}
	}
	for _, controller := range controllers {
		group := path.Join("/sys/fs/cgroup", controller, porttest.CgroupParent(), "runtime")
		must(t, os.MkdirAll(group, 0o755))
		must(t, os.WriteFile(group+"/cgroup.procs", []byte(strconv.Itoa(d.cmd.Process.Pid)), 0))
	}
	d.await(t)
}

func unified(t testing.TB) bool {
	t.Helper()
	groups, err := findCgroups("/sys/fs/cgroup")
	must(t, err)
	return groups.unified
}

func (d *daemon) await(t testing.TB) {
	t.Helper()
	c := d.client(t, "await")
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := c.Ready(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(d.dir + "/log")
			t.Fatalf("containerd is not ready: %v\n%s", err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (d *daemon) kill(t testing.TB) {
	t.Helper()
	must(t, d.cmd.Process.Kill())
	_ = d.cmd.Wait()
}

func (d *daemon) client(t testing.TB, namespace string) *Client {
	t.Helper()
	return d.clientWith(t, namespace, "")
}

// clientWith is a client whose containers are made by the named OCI runtime,
// containerd's own choice when empty.
func (d *daemon) clientWith(t testing.TB, namespace, ociRuntime string) *Client {
	t.Helper()
	if ociRuntime != "" {
		var err error
		if ociRuntime, err = exec.LookPath(ociRuntime); err != nil {
			t.Fatalf("%v: install it (Debian: the package of that name)", err)
		}
	}
	c, err := Open(Config{
		Address: d.address(), Namespace: namespace, Runtime: ociRuntime, PlainHTTP: []string{theHub.address},
		AllowPrivileged: true,
		Log:             slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// testLog sends logs to a test while it runs.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bed is one test's place on a daemon.
type bed struct {
	*Client
	t      testing.TB
	daemon *daemon
	name   string
}

var beds atomic.Int64

func newBed(t testing.TB) *bed {
	t.Helper()
	testImages(t)
	return newBedOn(t, sharedDaemon(t))
}

func newBedOn(t testing.TB, d *daemon) *bed {
	t.Helper()
	return newBedWith(t, d, "")
}

func newBedWith(t testing.TB, d *daemon, ociRuntime string) *bed {
	t.Helper()
	name := fmt.Sprint("case", beds.Add(1))
	b := &bed{t: t, daemon: d, name: name, Client: d.clientWith(t, name, ociRuntime)}
	t.Cleanup(b.clear)
	return b
}

// clear removes what the test left.
func (b *bed) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := Open(b.config)
	if err != nil {
		b.t.Error(err)
		return
	}
	defer c.Close()
	orphans, err := c.Orphans(ctx, func(string) bool { return false })
	if err != nil {
		b.t.Errorf("clear: %v", err)
	}
	for _, s := range orphans {
		if err := c.Reap(ctx, s); err != nil {
			b.t.Errorf("clear: %v", err)
		}
	}
}

// cgroup makes a task's parent in the controllers that this package reads.
func (b *bed) cgroup(t testing.TB, task fleet.TaskID) string {
	group := path.Join(porttest.CgroupParent(), b.name, string(task))
	for _, controller := range []string{"cpu", "memory"} {
		dir := path.Join("/sys/fs/cgroup", controller)
		if b.cgroups.unified {
			dir = "/sys/fs/cgroup"
		}
		must(t, os.MkdirAll(path.Join(dir, group), 0o755))
	}
	return group
}

// spec is a container of the image that runs args.
func (b *bed) spec(image, called string, args ...string) port.ContainerSpec {
	b.t.Helper()
	ref := theHub.ref(image)
	if _, err := b.Pull(b.t.Context(), ref); err != nil {
		b.t.Fatal(err)
	}
	task := porttest.TaskOf(called)
	return port.ContainerSpec{
		ID: string(task) + ".main", Task: task, Attempt: 1, Image: ref,
		Def:        fleet.Container{Name: "main", Image: ref.Image, Command: args, StopTimeoutS: 30},
		CgroupPath: b.cgroup(b.t, task) + "/main", Network: fleet.NetworkNone,
		Hostname: "host-" + called, LogPath: filepath.Join(b.t.TempDir(), "log", called),
	}
}

func (b *bed) run(spec port.ContainerSpec) int {
	b.t.Helper()
	pid, err := b.Create(b.t.Context(), spec)
	must(b.t, err)
	must(b.t, b.Start(b.t.Context(), spec.ID))
	return pid
}

func (b *bed) find(id string) *port.ContainerStatus {
	b.t.Helper()
	all, err := b.List(b.t.Context())
	must(b.t, err)
	for i := range all {
		if all[i].ID == id {
			return &all[i]
		}
	}
	return nil
}

func (b *bed) await(id string, want port.ContainerState) port.ContainerStatus {
	b.t.Helper()
	var last *port.ContainerStatus
	eventually(b.t, func() string {
		if last = b.find(id); last != nil && last.State == want {
			return ""
		}
		return fmt.Sprintf("want state %d, have %+v", want, last)
	})
	return *last
}

// output runs a container to its end and returns its log.
func (b *bed) output(spec port.ContainerSpec) string {
	b.t.Helper()
	b.run(spec)
	b.await(spec.ID, port.ContainerExited)
	return b.readLog(spec.LogPath, "")
}

// readLog reads a log once it ends with want; the shim writes the last lines
// about when the process ends.
func (b *bed) readLog(path, want string) string {
	b.t.Helper()
	var text []byte
	eventually(b.t, func() string {
		var err error
		if text, err = os.ReadFile(path); err == nil && len(text) > 0 && strings.HasSuffix(string(text), want) {
			return ""
		}
		return fmt.Sprintf("log %q, %v", text, err)
	})
	return string(text)
}

// eventually waits until check has nothing to say.
func eventually(t testing.TB, check func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		state := check()
		if state == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", state)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ") && unix.Kill(pid, 0) == nil
}

var _ converge.Containers = (*Client)(nil)

func TestContainersKeepTheContract(t *testing.T) {
	for _, ociRuntime := range []string{"runc", "crun"} {
		t.Run(ociRuntime, func(t *testing.T) {
			porttest.Containers(t, func(t *testing.T) porttest.ContainersFixture { return fixture(t, ociRuntime) })
		})
	}
}

func fixture(t *testing.T, ociRuntime string) porttest.ContainersFixture {
	testImages(t)
	b := newBedWith(t, sharedDaemon(t), ociRuntime)
	theHub.pulls.Store(0)
	logs := t.TempDir()
	tagged := theHub.ref("web")
	tagged.Digest = ""
	return porttest.ContainersFixture{
		Containers: b, Image: theHub.ref("web"), Tagged: tagged,
		Missing: port.ImageRef{Image: theHub.address + "/none:1"},
		Reopen:  func(t *testing.T) converge.Containers { return b.daemon.clientWith(t, b.name, ociRuntime) },
		Cgroup:  func(t *testing.T, task fleet.TaskID) string { return b.cgroup(t, task) },
		LogPath: func(name string) string { return filepath.Join(logs, "task", name) },
		ReadLog: func(t *testing.T, path string) string { text, _ := os.ReadFile(path); return string(text) },
		Registry: func(up bool) {
			theHub.up(t, up)
			if !up {
				t.Cleanup(func() { restore(t) })
			}
		},
		Pulls: func() int { return int(theHub.pulls.Load()) },
		Step:  waitStep,
	}
}

// waitStep gives containerd and the programs of a contract case a moment.
func waitStep() { time.Sleep(20 * time.Millisecond) }

// namespaced is a context for calls below the port.
func namespaced(b *bed) context.Context {
	return namespaces.WithNamespace(b.t.Context(), b.name)
}

func recordOf(b *bed, spec port.ContainerSpec, image client.Image) containers.Container {
	b.t.Helper()
	labels, err := labelsOf(spec, image.Target().Digest.String(), sigterm)
	must(b.t, err)
	// A record needs some specification.
	blank, err := typeurl.MarshalAny(&oci.Spec{Version: "1.0.2"})
	must(b.t, err)
	return containers.Container{
		ID: runtimeID(spec.ID), Labels: labels, Image: image.Name(), Spec: blank,
		Runtime: containers.RuntimeInfo{Name: shim}, Snapshotter: b.config.Snapshotter, SnapshotKey: runtimeID(spec.ID),
	}
}
