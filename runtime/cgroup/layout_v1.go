package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// perController is cgroup v1: the same group once per controller.
type perController struct{}

func (perController) version() int { return 1 }

// homes leaves cpuset out (a group without cpus takes no process), and freezer,
// devices and the rest, where only containers need a place.
func (perController) homes(mounts []string) []string {
	var out []string
	for _, m := range []string{"cpu", "cpuacct", "memory", "pids"} {
		if slices.Contains(mounts, m) {
			out = append(out, m)
		}
	}
	return out
}

func (perController) bounds(b bounds) []setting {
	quota := int64(-1)
	if b.quotaUS > 0 {
		quota = b.quotaUS
	}
	memory := int64(-1)
	if b.memoryBytes > 0 {
		memory = b.memoryBytes
	}
	return []setting{
		{"cpu", "cpu.shares", strconv.FormatInt(b.shares, 10)},
		{"cpu", "cpu.cfs_period_us", strconv.Itoa(periodUS)},
		{"cpu", "cpu.cfs_quota_us", strconv.FormatInt(quota, 10)},
		{"memory", "memory.limit_in_bytes", strconv.FormatInt(memory, 10)},
	}
}

func (perController) weight(child Child) []setting {
	shares := int64(workShares)
	if child != Work {
		shares = workShares * protectedFactor
	}
	return []setting{{"cpu", "cpu.shares", strconv.FormatInt(shares, 10)}}
}

// prepare makes limits of a parent count for its children on kernels before
// 5.11, where that was a choice.
func (perController) prepare(t *Tree, mount, group string) error {
	if mount != "memory" {
		return nil
	}
	name := filepath.Join(t.dir(mount, group), "memory.use_hierarchy")
	if value, err := readControl(name); err != nil || value != "0" {
		return nil // newer kernels have only "1", the newest no such file
	}
	return writeControl(name, "1")
}

func (perController) usage(t *Tree, group string) (usage, error) {
	var u usage
	memory := t.dir("memory", group)
	current, err := readInt(filepath.Join(memory, "memory.usage_in_bytes"))
	if err != nil {
		return u, err
	}
	cache, err := readField(filepath.Join(memory, "memory.stat"), "total_inactive_file")
	if err != nil {
		return u, err
	}
	u.memoryBytes = max(0, current-cache)
	if slices.Contains(t.mounts, "cpuacct") {
		if u.cpuNS, err = readInt(filepath.Join(t.dir("cpuacct", group), "cpuacct.usage")); err != nil {
			return u, err
		}
	}
	u.oomKills, err = oomKillsV1(t, group)
	return u, err
}

// oomKillsV1 adds up the children: v1 counts a kill where the victim lived.
func oomKillsV1(t *Tree, group string) (int64, error) {
	entries, err := os.ReadDir(t.dir("memory", group))
	if err != nil {
		return 0, err
	}
	kills, err := readField(filepath.Join(t.dir("memory", group), "memory.oom_control"), "oom_kill")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		n, err := readField(filepath.Join(t.dir("memory", path.Join(group, e.Name())), "memory.oom_control"), "oom_kill")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err // a container that has just gone takes its count along
		}
		kills += n
	}
	return kills, nil
}

func readInt(name string) (int64, error) {
	text, err := readControl(name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// readField finds "key number" in a flat keyed control file; 0 where the kernel
// does not have the key.
func readField(name, key string) (int64, error) {
	text, err := readControl(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), key+" "); ok {
			return strconv.ParseInt(rest, 10, 64)
		}
	}
	return 0, nil
}
