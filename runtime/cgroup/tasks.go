package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// Prepare makes the task's parent with its shares and ceilings, reads them back
// and returns the path below the cgroup root. Again for the same task it sets
// the bounds anew.
func (t *Tree) Prepare(ctx context.Context, task fleet.TaskID, b port.TaskBounds) (string, error) {
	group, err := t.group(task)
	if err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := t.ensure(group); err != nil {
		return "", fmt.Errorf("prepare cgroup of task %s: %w", task, err)
	}
	if err := t.apply(group, t.layout.bounds(toBounds(b))); err != nil {
		return "", fmt.Errorf("prepare cgroup of task %s: %w", task, err)
	}
	return group, nil
}

// Remove removes the task's parent and the empty folders a runtime may have
// left in it, in every controller. A group that stays busy is an error that
// names a process in it: nothing is killed here.
func (t *Tree) Remove(ctx context.Context, task fleet.TaskID) error {
	group, err := t.group(task)
	if err != nil {
		return err
	}
	var errs []error
	for _, mount := range t.mounts {
		if err := t.removeTree(ctx, t.dir(mount, group), 0); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove cgroup of task %s: %w", task, err)
	}
	return nil
}

// Usage is what the task uses now. Memory is the working set: page cache that
// can go at once does not count. Errors: fs.ErrNotExist.
func (t *Tree) Usage(ctx context.Context, task fleet.TaskID) (port.Usage, error) {
	group, err := t.group(task)
	if err != nil {
		return port.Usage{}, err
	}
	if err = ctx.Err(); err != nil {
		return port.Usage{}, err
	}
	u, err := t.layout.usage(t, group)
	if err != nil {
		return port.Usage{}, fmt.Errorf("usage of task %s: %w", task, err)
	}
	return port.Usage{CPU: time.Duration(u.cpuNS), MemoryMiB: u.memoryBytes / mib, OOMKills: int(u.oomKills)}, nil
}

// Tasks lists the tasks that have a folder in any controller, sorted.
func (t *Tree) Tasks(ctx context.Context) ([]fleet.TaskID, error) {
	var out []fleet.TaskID
	for _, mount := range t.mounts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(t.dir(mount, path.Join(t.parent, string(Work))))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list task cgroups: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() && checkName(e.Name()) == nil {
				out = append(out, fleet.TaskID(e.Name()))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (t *Tree) group(task fleet.TaskID) (string, error) {
	if err := checkName(string(task)); err != nil {
		return "", fmt.Errorf("cgroup of task %q: %w", task, err)
	}
	return path.Join(t.parent, string(Work), string(task)), nil
}

// maxName: task ids are 32 characters; a file name may have 255.
const maxName = 128

// checkName refuses names that would leave the parent or meet a control file:
// on v1 every folder already holds files called tasks and notify_on_release.
func checkName(name string) error {
	if name == "" || len(name) > maxName || name == "tasks" || name == "notify_on_release" {
		return errors.New("not a usable folder name")
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", r) {
			return fmt.Errorf("not a usable folder name: has %q, allowed are letters, digits, - and _", r)
		}
	}
	return nil
}

const (
	// removeTries times removePause is how long an emptied group may stay busy:
	// the kernel lets go of it some time after its last process was reaped.
	removeTries = 40
	removePause = 25 * time.Millisecond
	// maxDepth bounds what a container with a writable cgroup could pile up.
	maxDepth = 16
)

func (t *Tree) removeTree(ctx context.Context, dir string, depth int) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("%s: nested deeper than %d", dir, maxDepth)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := t.removeTree(ctx, filepath.Join(dir, e.Name()), depth+1); err != nil {
				return err
			}
		}
	}
	return t.removeEmpty(ctx, dir)
}

func (t *Tree) removeEmpty(ctx context.Context, dir string) error {
	for try := 0; ; try++ {
		err := t.rmdir(dir)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT):
			return nil
		case !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY):
			return fmt.Errorf("remove %s: %w", dir, err)
		case try == removeTries:
			return fmt.Errorf("remove %s: %w (%s)", dir, err, holder(dir))
		}
		if pids := holder(dir); pids != noHolder && try > 4 {
			return fmt.Errorf("remove %s: %w (%s)", dir, err, pids)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove %s: %w (%s)", dir, ctx.Err(), holder(dir))
		case <-time.After(removePause):
		}
	}
}

const noHolder = "no process in it"

// holder names a process that keeps a group busy.
func holder(dir string) string {
	text, err := readControl(filepath.Join(dir, "cgroup.procs"))
	if err != nil || text == "" {
		return noHolder
	}
	first, _, _ := strings.Cut(text, "\n")
	return fmt.Sprintf("process %s and %d others are in it", first, strings.Count(text, "\n"))
}
