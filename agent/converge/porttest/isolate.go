//go:build linux

package porttest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// envInner marks the process that runs inside; envDir names its folder.
const envInner, envDir = "SKEIN_TEST_INNER", "SKEIN_TEST_DIR"

// cgroupPrefix begins the name of a test's parent cgroup; its outer process id
// follows.
const cgroupPrefix = "skein-test-"

// Isolated runs the tests of a package in pid, mount, network, uts and ipc
// namespaces of their own, with a /proc and a /run of their own: whatever a test
// starts ends with the tests, and nothing of theirs is seen by others. Cgroups
// are the machine's, under [CgroupParent], which is removed at the end. For
// TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(porttest.Isolated(m)) }
//
// It fails, never skips, where it may not: these tests are asked for by name.
func Isolated(m *testing.M) int {
	if os.Getenv(envInner) != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "isolate tests:", err)
			return 1
		}
		return m.Run()
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "isolate tests: not root; run them with sudo")
		return 1
	}
	sweep(func(pid int) bool { return unix.Kill(pid, 0) == unix.ESRCH })
	defer sweep(func(pid int) bool { return pid == os.Getpid() })
	dir, err := os.MkdirTemp("", "skein-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "isolate tests:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	inner := exec.Command("/proc/self/exe", os.Args[1:]...)
	inner.Stdin, inner.Stdout, inner.Stderr = os.Stdin, os.Stdout, os.Stderr
	inner.Env = append(os.Environ(), envInner+"="+strconv.Itoa(os.Getpid()), envDir+"="+dir)
	inner.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  unix.SIGKILL,
	}
	// go test ends a test that is late with SIGQUIT: pass it on, so that its
	// stacks are printed and the namespaces end.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGQUIT, unix.SIGINT, unix.SIGTERM)
	if err = inner.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "isolate tests: start in new namespaces (needs CAP_SYS_ADMIN):", err)
		return 1
	}
	go func() {
		for s := range signals {
			_ = inner.Process.Signal(s)
		}
	}()
	err = inner.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	default:
		fmt.Fprintln(os.Stderr, "isolate tests:", err)
		return 1
	}
}

// CgroupParent is the parent of all cgroups of these tests.
func CgroupParent() string { return "/" + cgroupPrefix + os.Getenv(envInner) }

// Dir is a folder for all tests of the package, removed after their last mount
// has gone with the namespaces.
func Dir() string { return os.Getenv(envDir) }

// furnish gives the new namespaces what programs expect.
func furnish() error {
	steps := []struct {
		what string
		do   func() error
	}{
		{"make mounts private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"mount /proc", func() error { return unix.Mount("proc", "/proc", "proc", 0, "") }},
		{"mount /run", func() error { return unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755") }},
		{"hide the unified cgroups of a hybrid machine", hideUnified},
		{"set host name", func() error { return unix.Sethostname([]byte("skein-test")) }},
		{"bring up loopback", bringUpLoopback},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

// hideUnified leaves a machine that mounts both versions of control groups with
// version 1, which we use there: crun refuses the mixture.
func hideUnified() error {
	err := unix.Unmount("/sys/fs/cgroup/unified", unix.MNT_DETACH)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil // not there, or not a mount
	}
	return err
}

func bringUpLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// sweep removes the parent cgroups of tests whose process is over. They are
// empty: their processes ended with their namespaces.
func sweep(over func(pid int) bool) {
	for _, pattern := range []string{"/sys/fs/cgroup/" + cgroupPrefix + "*", "/sys/fs/cgroup/*/" + cgroupPrefix + "*"} {
		found, _ := filepath.Glob(pattern)
		for _, dir := range found {
			pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), cgroupPrefix))
			if err == nil && over(pid) {
				removeGroups(dir, 0)
			}
		}
	}
}

func removeGroups(dir string, depth int) {
	entries, err := os.ReadDir(dir)
	if err != nil || depth > 8 {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			removeGroups(filepath.Join(dir, e.Name()), depth+1)
		}
	}
	_ = unix.Rmdir(dir)
}
