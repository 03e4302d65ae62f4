package containerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupFiles reads what containerd does not tell of a container's cgroup:
// out-of-memory kills, which outlive the process until the container is deleted,
// and processes that outlived their shim.
type cgroupFiles struct {
	root    string
	unified bool
}

func findCgroups(root string) (cgroupFiles, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(root, &s); err != nil {
		return cgroupFiles{}, fmt.Errorf("open cgroup root %s: %w", root, err)
	}
	return cgroupFiles{root: root, unified: s.Type == unix.CGROUP2_SUPER_MAGIC}, nil
}

// dir is a container's group in the memory controller, which every container is
// in.
func (g cgroupFiles) dir(group string) string {
	if g.unified {
		return filepath.Join(g.root, group)
	}
	return filepath.Join(g.root, "memory", group)
}

// oomKills counts processes of the group that the kernel killed for memory; 0
// where it cannot be read.
func (g cgroupFiles) oomKills(group string) int {
	name := "memory.oom_control"
	if g.unified {
		name = "memory.events"
	}
	text, err := os.ReadFile(filepath.Join(g.dir(group), name))
	if group == "" || err != nil {
		return 0
	}
	return parseOOMKills(string(text))
}

func parseOOMKills(text string) int {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			n, _ := strconv.Atoi(rest)
			return n
		}
	}
	return 0
}

// processes lists the processes of a container's group; a group that has gone
// has none.
func (g cgroupFiles) processes(group string) ([]int, error) {
	if group == "" {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(g.dir(group), "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for line := range strings.Lines(string(text)) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("processes of %s: %w", group, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// kill kills what is in a container's group.
func (g cgroupFiles) kill(group string) error {
	pids, err := g.processes(group)
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("kill process %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// holds reports whether a process is in a container's group now.
func (g cgroupFiles) holds(group string, pid int) bool {
	pids, err := g.processes(group)
	if err != nil {
		return false
	}
	for _, p := range pids {
		if p == pid {
			return true
		}
	}
	return false
}
