package cgroup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// unified is cgroup v2: one group, controllers enabled from above.
type unified struct{}

func (unified) version() int { return 2 }

func (unified) homes(mounts []string) []string { return mounts }

func (unified) bounds(b bounds) []setting {
	quota := "max"
	if b.quotaUS > 0 {
		quota = strconv.FormatInt(b.quotaUS, 10)
	}
	memory := "max"
	if b.memoryBytes > 0 {
		memory = strconv.FormatInt(b.memoryBytes, 10)
	}
	return []setting{
		{"", "cpu.weight", strconv.FormatInt(Weight(b.shares), 10)},
		{"", "cpu.max", quota + " " + strconv.Itoa(periodUS)},
		{"", "memory.max", memory},
	}
}

func (unified) weight(child Child) []setting {
	if child == Work {
		return []setting{{"", "cpu.weight", "100"}}
	}
	return []setting{
		{"", "cpu.weight", "10000"}, // the most v2 allows: a hundred times work
		{"", "memory.min", strconv.FormatInt(memoryMin(child), 10)},
	}
}

// wantedControllers are enabled on the way down, where the kernel has them.
var wantedControllers = []string{"cpu", "memory", "pids", "io", "cpuset"}

// prepare enables the controllers for the children of the group's parent, so
// that the group itself gets its control files.
func (unified) prepare(t *Tree, mount, group string) error {
	above := t.dir(mount, filepath.Dir(group))
	available, err := readControl(filepath.Join(above, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enabled, err := readControl(filepath.Join(above, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	for _, c := range wantedControllers {
		if !slices.Contains(strings.Fields(available), c) || slices.Contains(strings.Fields(enabled), c) {
			continue
		}
		if err := writeControl(filepath.Join(above, "cgroup.subtree_control"), "+"+c); err != nil &&
			(c == "cpu" || c == "memory") {
			return fmt.Errorf("enable %s below %s (no process may sit in it): %w", c, above, err)
		}
	}
	return nil
}

func (unified) usage(t *Tree, group string) (usage, error) {
	var u usage
	dir := t.dir("", group)
	micros, err := readField(filepath.Join(dir, "cpu.stat"), "usage_usec")
	if err != nil {
		return u, err
	}
	current, err := readInt(filepath.Join(dir, "memory.current"))
	if err != nil {
		return u, err
	}
	cache, err := readField(filepath.Join(dir, "memory.stat"), "inactive_file")
	if err != nil {
		return u, err
	}
	u.oomKills, err = readField(filepath.Join(dir, "memory.events"), "oom_kill")
	u.cpuNS, u.memoryBytes = micros*1000, max(0, current-cache)
	return u, err
}
