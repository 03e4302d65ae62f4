package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Config says where the tree is.
type Config struct {
	Root   string // mount of the control groups; "/sys/fs/cgroup" when empty
	Parent string // absolute path below Root of all that Skein runs; "/skein" when empty
}

func (c Config) withDefaults() (Config, error) {
	if c.Root == "" {
		c.Root = "/sys/fs/cgroup"
	}
	if c.Parent == "" {
		c.Parent = "/skein"
	}
	if !path.IsAbs(c.Parent) || path.Clean(c.Parent) != c.Parent || c.Parent == "/" {
		return c, fmt.Errorf("cgroup parent %q: want a clean absolute path below the root, such as /skein", c.Parent)
	}
	return c, nil
}

// Child is one of the folders below the parent.
type Child string

// The children.
const (
	Agent   Child = "agent"
	Runtime Child = "runtime"
	Work    Child = "work"
)

// Tree is the parent with its children. Make one with [Open].
type Tree struct {
	root   string
	parent string
	layout layout
	mounts []string // v1: names of the controllers' folders below root; v2: one empty name
	mkdir  func(dir string) error
	rmdir  func(dir string) error
}

// layout is what differs between the two versions of control groups.
type layout interface {
	version() int
	// homes names the mounts that a process of ours enters and in which our
	// folders must exist; the OCI runtime makes the others.
	homes(mounts []string) []string
	bounds(b bounds) []setting
	weight(child Child) []setting
	// prepare makes the new folder usable for children that carry settings.
	prepare(t *Tree, mount, dir string) error
	usage(t *Tree, task string) (usage, error)
}

// Open finds the version of control groups, makes <parent>/work and weighs it.
// On v2 the calling process must not sit in the parent itself: call [Enter]
// first. Errors name the folder and what the kernel said.
func Open(config Config) (*Tree, error) {
	t, err := detect(config)
	if err != nil {
		return nil, err
	}
	if err := t.ensure(path.Join(t.parent, string(Work))); err != nil {
		return nil, err
	}
	if err := t.apply(path.Join(t.parent, string(Work)), t.layout.weight(Work)); err != nil {
		return nil, err
	}
	return t, nil
}

// Version is 1 or 2.
func (t *Tree) Version() int { return t.layout.version() }

func detect(config Config) (*Tree, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &Tree{
		root: config.Root, parent: config.Parent,
		mkdir: func(dir string) error { return os.Mkdir(dir, 0o755) },
		rmdir: unix.Rmdir,
	}
	magic, err := fsMagic(t.root)
	if err != nil {
		return nil, fmt.Errorf("open cgroup root %s: %w", t.root, err)
	}
	if magic == unix.CGROUP2_SUPER_MAGIC {
		t.layout, t.mounts = unified{}, []string{""}
		return t, nil
	}
	if t.mounts, err = controllerMounts(t.root); err != nil {
		return nil, err
	}
	t.layout = perController{}
	for _, needed := range []string{"cpu", "memory"} {
		if !slices.Contains(t.mounts, needed) {
			return nil, fmt.Errorf("cgroup root %s: no %s controller mounted; mount cgroup v2, or v1 with one folder per "+
				"controller", t.root, needed)
		}
	}
	return t, nil
}

func fsMagic(dir string) (int64, error) {
	var s unix.Statfs_t
	err := unix.Statfs(dir, &s)
	return int64(s.Type), err
}

// controllerMounts names the v1 hierarchies mounted directly below root. Links
// ("cpu" -> "cpu,cpuacct") count under the link's name.
func controllerMounts(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("read cgroup root %s: %w", root, err)
	}
	var names []string
	for _, e := range entries {
		if magic, err := fsMagic(filepath.Join(root, e.Name())); err == nil && magic == unix.CGROUP_SUPER_MAGIC {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// dir is the folder of a group in one mount.
func (t *Tree) dir(mount, group string) string { return filepath.Join(t.root, mount, group) }

// ensure makes a group and its ancestors in every home, ready for settings.
func (t *Tree) ensure(group string) error {
	return t.each(group, func(mount, at string) error {
		if err := t.mkdir(t.dir(mount, at)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make cgroup %s: %w", t.dir(mount, at), err)
		}
		if err := t.layout.prepare(t, mount, at); err != nil {
			return fmt.Errorf("prepare cgroup %s: %w", t.dir(mount, at), err)
		}
		return nil
	})
}

// make makes bare folders: on v2 they take processes, but no settings yet.
func (t *Tree) make(group string) error {
	return t.each(group, func(mount, at string) error {
		if err := t.mkdir(t.dir(mount, at)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make cgroup %s: %w", t.dir(mount, at), err)
		}
		return nil
	})
}

// each visits a group and its ancestors in every home, outermost first.
func (t *Tree) each(group string, visit func(mount, at string) error) error {
	for _, mount := range t.layout.homes(t.mounts) {
		at := "/"
		for _, name := range strings.Split(strings.Trim(group, "/"), "/") {
			at = path.Join(at, name)
			if err := visit(mount, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// setting is one value for one control file, and how it must read afterwards.
type setting struct {
	mount string // controller's folder on v1, empty on v2
	file  string
	value string
}

// apply writes settings to a group and reads each back.
func (t *Tree) apply(group string, settings []setting) error {
	for _, s := range settings {
		name := filepath.Join(t.dir(s.mount, group), s.file)
		if err := writeControl(name, s.value); err != nil {
			return fmt.Errorf("set %s to %q: %w", name, s.value, err)
		}
		if err := t.verify(group, s); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) verify(group string, s setting) error {
	name := filepath.Join(t.dir(s.mount, group), s.file)
	got, err := readControl(name)
	if err != nil {
		return fmt.Errorf("read back %s: %w", name, err)
	}
	if got != s.value && !unlimited(s.value, got) {
		return fmt.Errorf("%s reads %q after %q was written", name, got, s.value)
	}
	return nil
}

// unlimited: v1 has no word for "no limit"; -1 reads back as a huge page-rounded number.
func unlimited(wrote, read string) bool {
	return wrote == "-1" && len(read) >= len("9223372036854771712")
}

// maxControl bounds a read of a control file: the largest we read, memory.stat
// and cgroup.procs of a full task, are a few KiB and 32 KiB (4096 pids).
const maxControl = 256 << 10

func writeControl(name, value string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

func readControl(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	buf := make([]byte, 0, 4096)
	for len(buf) < maxControl {
		n, err := f.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n == 0 || err != nil {
			break
		}
		buf = slices.Grow(buf, 4096)
	}
	return strings.TrimSpace(string(buf)), nil
}
