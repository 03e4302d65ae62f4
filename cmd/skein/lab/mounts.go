package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const cgroupMounts = "/sys/fs/cgroup"

// mountHost gives the host its own view: /proc, /sys and cgroups of its own
// namespaces, an empty /run as after a boot, and a boot id.
func mountHost(all []hierarchy, bootID string) error {
	links, err := cgroupLinks()
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	const plain = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := mount("proc", "/proc", plain, ""); err != nil {
		return err
	}
	if err := mount("sysfs", "/sys", plain, ""); err != nil {
		return err
	}
	if err := mountCgroups(all, links); err != nil {
		return err
	}
	if err := mount("tmpfs", "/run", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Dir(AgentSocket), 0o700); err != nil {
		return fmt.Errorf("make the agent's run folder: %w", err)
	}
	return setBootID(bootID)
}

func mount(fstype, target string, flags uintptr, options string) error {
	if err := unix.Mount(fstype, target, fstype, flags, options); err != nil {
		return fmt.Errorf("mount %s at %s: %w", fstype, target, err)
	}
	return nil
}

// cgroupLinks returns the names beside the v1 hierarchies that lead to them, like
// cpu to cpu,cpuacct.
func cgroupLinks() (map[string]string, error) {
	entries, err := os.ReadDir(cgroupMounts)
	if err != nil {
		return nil, fmt.Errorf("list cgroup mounts: %w", err)
	}
	links := make(map[string]string)
	for _, e := range entries {
		if e.Type()&os.ModeSymlink == 0 {
			continue
		}
		target, err := os.Readlink(filepath.Join(cgroupMounts, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read cgroup link: %w", err)
		}
		links[e.Name()] = target
	}
	return links, nil
}

// mountCgroups mounts each hierarchy where it was; from inside the host's cgroup
// namespace its root is the host's cgroup.
func mountCgroups(all []hierarchy, links map[string]string) error {
	const plain = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if len(all) == 1 && all[0].v2 && all[0].mount == cgroupMounts {
		return mount("cgroup2", cgroupMounts, plain, "")
	}
	if err := mount("tmpfs", cgroupMounts, plain, "mode=755"); err != nil {
		return err
	}
	for _, h := range all {
		if !strings.HasPrefix(h.mount, cgroupMounts+"/") {
			return fmt.Errorf("cgroup hierarchy at %s is not below %s", h.mount, cgroupMounts)
		}
		if err := os.MkdirAll(h.mount, 0o755); err != nil {
			return fmt.Errorf("make cgroup mount point: %w", err)
		}
		kind, options := "cgroup", h.options
		if h.v2 {
			kind = "cgroup2"
		}
		if strings.HasPrefix(options, "name=") {
			options = "none," + options
		}
		if err := mount(kind, h.mount, plain, options); err != nil {
			return err
		}
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(cgroupMounts, name)); err != nil {
			return fmt.Errorf("make cgroup link: %w", err)
		}
	}
	return nil
}

// setBootID covers the kernel's boot id, which all hosts of the machine share.
func setBootID(id string) error {
	const file, kernel = "/run/boot_id", "/proc/sys/kernel/random/boot_id"
	if err := os.WriteFile(file, []byte(id+"\n"), 0o444); err != nil {
		return fmt.Errorf("write boot id: %w", err)
	}
	if err := unix.Mount(file, kernel, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cover %s: %w", kernel, err)
	}
	return nil
}
