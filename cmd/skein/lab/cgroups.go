package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is one mounted cgroup file system.
type hierarchy struct {
	mount   string // "/sys/fs/cgroup/memory"
	v2      bool
	options string // of a v1 hierarchy: "memory", "cpu,cpuacct", "name=systemd"
}

func (h hierarchy) has(controller string) bool {
	return !h.v2 && slices.Contains(strings.Split(h.options, ","), controller)
}

// hierarchies lists the cgroup hierarchies mounted for this process.
func hierarchies() ([]hierarchy, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	defer file.Close()
	return parseHierarchies(file)
}

// parseHierarchies reads mountinfo (proc(5)). A hierarchy that is mounted twice
// counts once.
func parseHierarchies(mountinfo io.Reader) ([]hierarchy, error) {
	var out []hierarchy
	seen := make(map[string]bool)
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		mount, super := strings.Fields(before), strings.Fields(after)
		if !ok || len(mount) < 6 || len(super) < 3 || !strings.HasPrefix(super[0], "cgroup") || seen[mount[2]] {
			continue
		}
		seen[mount[2]] = true
		h := hierarchy{mount: unescape(mount[4]), v2: super[0] == "cgroup2"}
		if !h.v2 {
			h.options = controllersOf(super[2])
		}
		out = append(out, h)
	}
	return out, lines.Err()
}

// controllersOf drops the generic options from a v1 hierarchy's.
func controllersOf(options string) string {
	generic := []string{"rw", "ro", "xattr", "clone_children", "noprefix", "seclabel"}
	kept := slices.DeleteFunc(strings.Split(options, ","), func(o string) bool {
		return slices.Contains(generic, o) || strings.HasPrefix(o, "release_agent=")
	})
	return strings.Join(kept, ",")
}

// unescape undoes mountinfo's octal escapes of blanks.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if v, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// wantedControllers are switched on for children on cgroup v2; the first three
// must be there.
var wantedControllers = []string{"cpu", "memory", "pids", "cpuset", "io"}

const requiredControllers = 3

// makeCgroup makes a cgroup with its ancestors in every hierarchy, ready to take
// processes (v1) or children with controllers (v2).
func makeCgroup(all []hierarchy, name string) error {
	for _, h := range all {
		at := h.mount
		for _, part := range strings.Split(strings.Trim(name, "/"), "/") {
			if h.v2 {
				if err := enableControllers(at); err != nil {
					return err
				}
			}
			if err := makeChild(h, at, part); err != nil {
				return err
			}
			at = filepath.Join(at, part)
		}
	}
	return nil
}

// makeChild makes one cgroup folder.
func makeChild(h hierarchy, parent, name string) error {
	at := filepath.Join(parent, name)
	if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make cgroup: %w", err)
	}
	if h.has("cpuset") {
		return inheritCPUSet(parent, at)
	}
	return nil
}

// enableControllers lets children of a v2 cgroup have the controllers it has
// itself. In a hybrid setup it has none, which is fine.
func enableControllers(at string) error {
	have, err := os.ReadFile(filepath.Join(at, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("read cgroup controllers: %w", err)
	}
	for i, controller := range wantedControllers {
		if !slices.Contains(strings.Fields(string(have)), controller) {
			continue
		}
		err := os.WriteFile(filepath.Join(at, "cgroup.subtree_control"), []byte("+"+controller), 0)
		if err != nil && i < requiredControllers {
			return fmt.Errorf("switch on cgroup controller %s below %s: %w", controller, at, err)
		}
	}
	return nil
}

// inheritCPUSet fills a new v1 cpuset, which starts empty and takes no process so.
func inheritCPUSet(parent, child string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		have, err := os.ReadFile(filepath.Join(child, file))
		if err != nil {
			return fmt.Errorf("read cpuset: %w", err)
		}
		if strings.TrimSpace(string(have)) != "" {
			continue
		}
		from, err := os.ReadFile(filepath.Join(parent, file))
		if err != nil {
			return fmt.Errorf("read cpuset: %w", err)
		}
		if err := os.WriteFile(filepath.Join(child, file), from, 0); err != nil {
			return fmt.Errorf("write cpuset: %w", err)
		}
	}
	return nil
}

// enterCgroup moves the calling process into a cgroup of every hierarchy.
func enterCgroup(all []hierarchy, name string) error {
	for _, h := range all {
		if err := os.WriteFile(filepath.Join(h.mount, name, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("enter cgroup %s: %w", name, err)
		}
	}
	return nil
}

// cgroupProcesses returns the pids in a cgroup and below, in all hierarchies.
func cgroupProcesses(all []hierarchy, name string) []int {
	found := make(map[int]bool)
	for _, h := range all {
		for _, dir := range subtree(filepath.Join(h.mount, name)) {
			b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			if err != nil {
				continue // removed meanwhile
			}
			for _, field := range strings.Fields(string(b)) {
				// 0 is a process outside of our pid namespace: none of ours.
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
					found[pid] = true
				}
			}
		}
	}
	pids := make([]int, 0, len(found))
	for pid := range found {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

// subtree lists a cgroup folder and those below it, parents first; nothing if it
// is not there.
func subtree(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	out := []string{dir}
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, subtree(filepath.Join(dir, e.Name()))...)
		}
	}
	return out
}

// emptyCgroup kills every process in a cgroup and below until there is none.
func emptyCgroup(all []hierarchy, name string, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		_ = thawCgroup(all, name) // a frozen process does not even die
		pids := cgroupProcesses(all, name)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v in cgroup %s did not end within %s after SIGKILL", pids, name, limit)
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// removeCgroup removes a cgroup and those below it in every hierarchy. A cgroup
// whose last process is just ending is busy for some milliseconds.
func removeCgroup(all []hierarchy, name string, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		var left error
		for _, h := range all {
			dirs := subtree(filepath.Join(h.mount, name))
			for _, dir := range slices.Backward(dirs) {
				if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
					left = err
				}
			}
		}
		if left == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup %s: %w", name, left)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
