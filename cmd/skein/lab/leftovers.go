package lab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// endOrphans ends processes that run one of the lab's own copies of the program: what
// an up that was killed had started and not yet recorded. They end by themselves
// within moments, but nothing may outlive down.
func endOrphans(bin string) error {
	deadline := time.Now().Add(removalTimeout)
	for {
		links, err := filepath.Glob("/proc/[0-9]*/exe")
		if err != nil {
			return fmt.Errorf("list processes: %w", err)
		}
		left := 0
		for _, link := range links {
			pid, err := strconv.Atoi(strings.Split(link, "/")[2])
			if err != nil || pid == os.Getpid() {
				continue
			}
			process, err := identify(pid)
			program, err2 := os.Readlink(link)
			if err != nil || err2 != nil || filepath.Dir(program) != bin || !process.alive() {
				continue
			}
			left++
			if err := process.kill(); err != nil {
				return err
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes of %s did not end within %s", left, bin, removalTimeout)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// unmountBelow unmounts what is mounted in a folder in our own mount namespace:
// disks of fault tests. Mounts of hosts end with their namespaces.
func unmountBelow(dir string) error {
	found, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, mount := range slices.Backward(found) { // later ones may lie on earlier ones
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", mount, err)
		}
	}
	return nil
}

// thawBelow thaws what is mounted in a folder, frozen or not: who writes to a frozen
// disk cannot be ended.
func thawBelow(dir string) error {
	found, err := mountsBelow(dir)
	for _, mount := range found {
		_ = freezeDisk(mount, ioctlThaw) // it is not frozen, as a rule
	}
	return err
}

// mountsBelow lists what is mounted in a folder, in the order of mounting.
func mountsBelow(dir string) (found []string, err error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && strings.HasPrefix(unescape(fields[4]), dir+"/") {
			found = append(found, unescape(fields[4]))
		}
	}
	return found, nil
}

// detachLoops frees loop devices whose file lies in a folder.
func detachLoops(dir string) error {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return fmt.Errorf("list loop devices: %w", err)
	}
	for _, file := range files {
		backing, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(backing), dir+"/") {
			continue
		}
		name := strings.Split(file, "/")[3]
		device, err := os.OpenFile("/dev/"+name, os.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("free loop device: %w", err)
		}
		err = unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0)
		device.Close()
		if err != nil && !errors.Is(err, unix.ENXIO) {
			return fmt.Errorf("free loop device %s: %w", name, err)
		}
	}
	return nil
}
