//go:build e2e

package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skein/agent/converge"
	"skein/agent/converge/porttest"
	"skein/runtime/port"
)

const envActor = "SKEIN_TEST_ACTOR"

func TestMain(m *testing.M) {
	switch os.Getenv(envActor) {
	case "sleep":
		<-time.After(time.Minute)
		os.Exit(0)
	case "eat":
		eat()
	case "enter":
		os.Exit(enterAndReport())
	}
	os.Exit(porttest.Isolated(m))
}

// eat waits for a byte, then takes memory until it is killed.
func eat() {
	_, _ = os.Stdin.Read(make([]byte, 1))
	var kept [][]byte
	for range 1024 {
		page := make([]byte, mib)
		for i := range page {
			page[i] = 1
		}
		kept = append(kept, page)
	}
	os.Exit(len(kept) / 1024)
}

// enterAndReport is an agent: it enters its group and protects itself.
func enterAndReport() int {
	config := Config{Parent: os.Getenv("SKEIN_TEST_PARENT")}
	if err := EnterAgent(config); err != nil {
		println(err.Error())
		return 1
	}
	tree, err := Open(config)
	if err != nil {
		println(err.Error())
		return 1
	}
	os.Stdout.WriteString(tree.Protect(os.Getppid()).String() + "\n" + tree.Protect(0).String() + "\n")
	return 0
}

func parentOf(t *testing.T) Config {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, t.Name())
	return Config{Parent: path.Join(porttest.CgroupParent(), name[max(0, len(name)-40):])}
}

func openTree(t *testing.T) *Tree {
	t.Helper()
	tree, err := Open(parentOf(t))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestTreeKeepsTheContract(t *testing.T) {
	porttest.Cgroups(t, func(t *testing.T) porttest.CgroupsFixture {
		return porttest.CgroupsFixture{
			Cgroups: openTree(t),
			Reopen:  func(t *testing.T) converge.Cgroups { return openTree(t) },
			ReadBack: func(t *testing.T, group string) port.TaskBounds {
				if openTree(t).Version() == 2 {
					return readUnified(t, filepath.Join("/sys/fs/cgroup", group))
				}
				return readPerController(t, group)
			},
		}
	})
}

func readPerController(t *testing.T, group string) port.TaskBounds {
	t.Helper()
	cpu, memory := filepath.Join("/sys/fs/cgroup/cpu", group), filepath.Join("/sys/fs/cgroup/memory", group)
	b := port.TaskBounds{Shares: number(t, cpu, "cpu.shares")}
	if quota := number(t, cpu, "cpu.cfs_quota_us"); quota > 0 {
		b.CPU = quota * 1024 / number(t, cpu, "cpu.cfs_period_us")
	}
	if limit := number(t, memory, "memory.limit_in_bytes"); limit < 1<<60 {
		b.Memory = limit / mib
	}
	return b
}

func actor(t *testing.T, what string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), envActor+"="+what), env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// join moves a process into a group in every home.
func join(t *testing.T, tree *Tree, group string, pid int) {
	t.Helper()
	for _, mount := range tree.layout.homes(tree.mounts) {
		if err := writeControl(filepath.Join(tree.dir(mount, group), "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATasksCeilingBindsItsContainers(t *testing.T) {
	tree := openTree(t)
	group, err := tree.Prepare(t.Context(), "eater", port.TaskBounds{Shares: 512, Memory: 48})
	if err != nil {
		t.Fatal(err)
	}
	container := path.Join(group, "main")
	if err = tree.ensure(container); err != nil {
		t.Fatal(err)
	}
	cmd := actor(t, "eat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	join(t, tree, container, cmd.Process.Pid)
	if _, err = stdin.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Errorf("the eater ended with %v, want SIGKILL", err)
	}
	usage, err := tree.Usage(t.Context(), "eater")
	if err != nil || usage.OOMKills != 1 || usage.CPU <= 0 {
		t.Errorf("Usage = %+v, %v; want one kill and some cpu", usage, err)
	}
	if err := tree.Remove(t.Context(), "eater"); err != nil {
		t.Errorf("Remove with an empty container group left: %v", err)
	}
}

func TestRemoveKillsNothing(t *testing.T) {
	tree := openTree(t)
	group, err := tree.Prepare(t.Context(), "busy", port.TaskBounds{Shares: 2})
	if err != nil {
		t.Fatal(err)
	}
	cmd := actor(t, "sleep")
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	join(t, tree, group, cmd.Process.Pid)
	err = tree.Remove(t.Context(), "busy")
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
		t.Errorf("Remove: %v, want busy and the process's id", err)
	}
	if err := unix.Kill(cmd.Process.Pid, 0); err != nil {
		t.Errorf("the process was killed: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err := tree.Remove(t.Context(), "busy"); err != nil {
		t.Errorf("Remove once it has ended: %v", err)
	}
	if _, err := tree.Usage(t.Context(), "busy"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Usage after Remove: %v", err)
	}
}

func TestAgentAndRuntimeAreProtected(t *testing.T) {
	config := parentOf(t)
	// The parent process stands in for containerd.
	if err := Enter(config, Runtime, 0); err != nil {
		t.Fatal(err)
	}
	defer leave(t)
	agent := actor(t, "enter", "SKEIN_TEST_PARENT="+config.Parent)
	out, err := agent.Output()
	if err != nil {
		t.Fatal(err)
	}
	if SetOOMScore(os.Getpid(), RuntimeOOMScore) == nil {
		if got, want := string(out), "yes\npartly: container runtime: its process is not known\n"; got != want {
			t.Errorf("protected: %q, want %q", got, want)
		}
	} else if !strings.HasPrefix(string(out), "partly: agent: set /proc/") || strings.Contains(string(out), "no:") {
		t.Errorf("without CAP_SYS_RESOURCE: %q, want partly, for the score", out)
	}
	tree := openTree(t)
	if tree.Version() == 1 {
		for child, want := range map[Child]int64{Agent: 10240, Runtime: 10240, Work: 1024} {
			if got := number(t, tree.dir("cpu", path.Join(config.Parent, string(child))), "cpu.shares"); got != want {
				t.Errorf("%s has %d shares, want %d", child, got, want)
			}
		}
	}
	leave(t)
	if got := tree.Protect(os.Getpid()).String(); !strings.HasPrefix(got, "no: agent: process") {
		t.Errorf("outside its groups this process is protected: %s", got)
	}
}

// leave moves this process back to where the tests began.
func leave(t *testing.T) {
	t.Helper()
	tree, err := detect(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, mount := range tree.layout.homes(tree.mounts) {
		if err := writeControl(filepath.Join(tree.dir(mount, "/"), "cgroup.procs"), strconv.Itoa(os.Getpid())); err != nil {
			t.Fatal(err)
		}
	}
	if err := SetOOMScore(os.Getpid(), 0); err != nil {
		t.Fatal(err)
	}
}

func TestPressureIsToldOrSaidToBeUnknown(t *testing.T) {
	p := openTree(t).Pressure()
	for _, share := range []int8{p.CPU, p.Memory, p.IO} {
		if share < -1 || share > 100 {
			t.Errorf("pressure %+v", p)
		}
	}
}
