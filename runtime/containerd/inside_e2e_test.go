//go:build e2e

package containerd

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// wantLines checks that a description has lines and lacks others.
func wantLines(t *testing.T, text string, has []string, hasNot ...string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for _, want := range has {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in:\n%s", want, text)
		}
	}
	for _, not := range hasNot {
		if strings.Contains(text, not) {
			t.Errorf("%q in:\n%s", not, text)
		}
	}
}

func TestAContainerSeesWhatItsDefinitionSays(t *testing.T) {
	b := newBed(t)
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	must(t, os.WriteFile(resolv, []byte("nameserver 192.0.2.1\n"), 0o644))
	spec := b.spec("rich", "a", "describe", "one", "two")
	spec.ResolvConf = resolv
	spec.Env = []fleet.EnvVar{{Name: "BOTH", Value: "host loop"}, {Name: "TASK", Value: "a"}}
	spec.Def.Environment = []fleet.EnvVar{{Name: "TASK", Value: "own"}}
	spec.Def.Memory, spec.Def.CPU = 64, 512
	text := b.output(spec)
	wantLines(t, text, []string{
		"args=one,two", "env PATH=/bin", "env FROM=image", "env BOTH=host loop", "env TASK=own",
		"uid=1001 gid=2001 groups=[2001 3001]", "cwd=/srv", "host=host-a", "nofile=4096",
		"CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2", "oom=0",
		`file /etc/resolv.conf="nameserver 192.0.2.1\n"`,
		"protected /proc/sys/kernel/core_pattern", "protected /proc/sysrq-trigger",
	}, `file /proc/kcore="\x`)
	if !strings.Contains(text, `67108864\n"`) {
		t.Errorf("the container does not see its own memory limit:\n%s", text)
	}
	if s := b.find(spec.ID); s == nil || s.StopSignal != 2 {
		t.Errorf("stop signal of %+v, want the image's SIGINT", s)
	}
}

func TestAContainersDefinitionWinsOverItsImage(t *testing.T) {
	b := newBed(t)
	spec := b.spec("rich", "a")
	spec.Def.EntryPoint = []string{"/prog", "describe"}
	spec.Def.User, spec.Def.WorkingDirectory = "0:www", "/etc"
	spec.Def.Ulimits = []fleet.Ulimit{{Name: "nofile", Soft: 100, Hard: 200}}
	spec.Def.Capabilities = &fleet.Capabilities{Drop: []string{"ALL"}, Add: []string{"KILL"}}
	wantLines(t, b.output(spec), []string{
		"args=", "uid=0 gid=2001 groups=[2001]", "cwd=/etc", "nofile=200", "CapBnd: 0000000000000020",
		"CapEff: 0000000000000020",
	})
}

func TestTheImagesOwnCommandRuns(t *testing.T) {
	b := newBed(t)
	spec := b.spec("web", "a")
	b.run(spec)
	if s := b.await(spec.ID, port.ContainerExited); s.ExitCode != 42 {
		t.Errorf("exit code %d, want the image's 42", s.ExitCode)
	}
}

func TestDefinitionsThatCannotBeMadeLeaveNothing(t *testing.T) {
	b := newBed(t)
	for want, change := range map[string]func(*port.ContainerSpec){
		"may not lie in /proc": func(s *port.ContainerSpec) { s.Def.WorkingDirectory = "/proc/self/fd/8" },
		"no users found":       func(s *port.ContainerSpec) { s.Def.User = "nobody-here" },
		"uid out of range":     func(s *port.ContainerSpec) { s.Def.User = "4294967296" },
		"unknown capability": func(s *port.ContainerSpec) {
			s.Def.Capabilities = &fleet.Capabilities{Add: []string{"MAGIC"}}
		},
		"no such file":             func(s *port.ContainerSpec) { s.Def.EntryPoint = []string{"/no/such/program"} },
		"no init program":          func(s *port.ContainerSpec) { s.Def.InitProcess = true },
		"want a clean absolute":    func(s *port.ContainerSpec) { s.CgroupPath = "skein/x" },
		"want an absolute path":    func(s *port.ContainerSpec) { s.LogPath = "log" },
		"reserved":                 func(s *port.ContainerSpec) { s.Labels = map[string]string{"skein.task": "x"} },
		"ulimits: unknown name":    func(s *port.ContainerSpec) { s.Def.Ulimits = []fleet.Ulimit{{Name: "x"}} },
		"invalid USER value":       func(s *port.ContainerSpec) { s.Def.User = "a:b:c" },
		"privileged: this host":    func(s *port.ContainerSpec) { s.Def.Privileged = true; b.config.AllowPrivileged = false },
		"invalid USER value \"429": func(s *port.ContainerSpec) { s.Image = theHub.ref("hostile") },
	} {
		if _, err := b.Pull(t.Context(), theHub.ref("hostile")); err != nil {
			t.Fatal(err)
		}
		spec := b.spec("web", "a", "exit", "0")
		change(&spec)
		_, err := b.Create(t.Context(), spec)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, port.ErrRuntimeDown) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	orphans, err := b.Orphans(t.Context(), func(string) bool { return false })
	if err != nil || len(orphans) > 0 {
		t.Errorf("left: %+v, %v", orphans, err)
	}
}

func TestAReadonlyRootIsReadonly(t *testing.T) {
	b := newBed(t)
	spec := b.spec("web", "a", "touch", "/file")
	b.run(spec)
	if s := b.await(spec.ID, port.ContainerExited); s.ExitCode != 0 {
		t.Fatalf("a writable root: exit code %d", s.ExitCode)
	}
	spec = b.spec("web", "b", "touch", "/file")
	spec.Def.ReadonlyRootFS = true
	b.run(spec)
	if s := b.await(spec.ID, port.ContainerExited); s.ExitCode != 3 {
		t.Errorf("a readonly root: exit code %d, want 3", s.ExitCode)
	}
}

func TestAPrivilegedContainerIsWhatItSays(t *testing.T) {
	b := newBed(t)
	spec := b.spec("web", "a", "describe")
	spec.Def.Privileged = true
	wantLines(t, b.output(spec), []string{"NoNewPrivs: 0", "Seccomp: 0", "writable /proc/sys/kernel/core_pattern"})
}

func TestAnInitProcessRunsTheCommand(t *testing.T) {
	b := newBed(t)
	b.config.Init = []string{filepath.Join(t.TempDir(), "init"), "init"}
	program, err := os.ReadFile(theProgram)
	must(t, err)
	must(t, os.WriteFile(b.config.Init[0], program, 0o755))
	spec := b.spec("web", "a", "exit", "6")
	spec.Def.InitProcess = true
	b.run(spec)
	if s := b.await(spec.ID, port.ContainerExited); s.ExitCode != 6 {
		t.Errorf("exit code %d, want the command's 6", s.ExitCode)
	}
}

func TestLimitsAreInTheCgroupThatWasAsked(t *testing.T) {
	b := newBed(t)
	spec := b.spec("web", "a", "wait")
	spec.Def.CPU, spec.Def.Memory, spec.Def.MemoryReservation = 700, 64, 32
	pid := b.run(spec)
	pids := strconv.Itoa(pid)
	want := map[string]string{
		"cpu/cpu.shares":                    "700",
		"memory/memory.limit_in_bytes":      strconv.Itoa(64 << 20),
		"memory/memory.soft_limit_in_bytes": strconv.Itoa(32 << 20),
		"pids/pids.max":                     "4096",
		"cpu/cgroup.procs":                  pids,
		"memory/cgroup.procs":               pids,
	}
	if b.cgroups.unified {
		want = map[string]string{
			"/cpu.weight":   "68", // 700 of 1024 is 68 of 100
			"/memory.max":   strconv.Itoa(64 << 20),
			"/memory.low":   strconv.Itoa(32 << 20),
			"/pids.max":     "4096",
			"/cgroup.procs": pids,
		}
	}
	for file, want := range want {
		controller, name, _ := strings.Cut(file, "/")
		got, err := os.ReadFile(path.Join("/sys/fs/cgroup", controller, spec.CgroupPath, name))
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: %q, %v; want %s", file, got, err, want)
		}
	}
	score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
	if err != nil || strings.TrimSpace(string(score)) != "0" {
		t.Errorf("out-of-memory score %q, %v", score, err)
	}
}

func TestNetworkNamespaces(t *testing.T) {
	b := newBed(t)
	namespace := func(pid int) string {
		t.Helper()
		name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
		must(t, err)
		return name
	}
	own := namespace(os.Getpid())
	first := b.spec("web", "a", "wait")
	first.Network = fleet.NetworkBridge
	pid := b.run(first)
	if namespace(pid) == own {
		t.Error("a bridged container is in the host's namespace")
	}
	second := b.spec("web", "a", "wait")
	second.ID, second.Def.Name, second.CgroupPath = string(second.Task)+".second", "second", path.Dir(second.CgroupPath)+
		"/second"
	second.Network, second.JoinPID = fleet.NetworkBridge, pid
	if joined := b.run(second); namespace(joined) != namespace(pid) {
		t.Error("the second container of the task has a namespace of its own")
	}
	host := b.spec("web", "b", "connect", "@/containerd-shim/none")
	host.Network = fleet.NetworkHost
	hostPID, err := b.Create(t.Context(), host)
	must(t, err)
	if namespace(hostPID) != own {
		t.Error("a host-network container has a namespace of its own")
	}
	// Shims of old listened on abstract sockets, which the host's namespace shares
	// (CVE-2020-15257).
	sockets, err := os.ReadFile("/proc/net/unix")
	must(t, err)
	if strings.Contains(string(sockets), "@/containerd-shim") {
		t.Error("a shim listens on an abstract socket")
	}
}

func TestAnExecThatIsCutOffLeavesNothing(t *testing.T) {
	b := newBed(t)
	spec := b.spec("web", "a", "wait")
	pid := b.run(spec)
	ctx, cancel := contextWithTimeout(t, 400*time.Millisecond)
	defer cancel()
	if code, err := b.Exec(ctx, spec.ID, []string{"/prog", "hang"}); err == nil {
		t.Fatalf("Exec = %d", code)
	}
	eventually(t, func() string {
		pids, err := b.cgroups.processes(spec.CgroupPath)
		if err == nil && slices.Equal(pids, []int{pid}) {
			return ""
		}
		return fmt.Sprintf("processes %v, %v; want %d alone", pids, err, pid)
	})
}

func TestTheHostIsOutOfReach(t *testing.T) {
	b := newBed(t)
	spec := b.spec("web", "a", "connect", b.config.Address)
	b.run(spec)
	if s := b.await(spec.ID, port.ContainerExited); s.ExitCode != 4 {
		t.Errorf("the runtime's socket: exit code %d, want refused", s.ExitCode)
	}
}
