package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A host's data folder may be a disk of its own, a file with an ext4 file system:
// only such a one can be stalled without stalling this machine.

// diskBytes is the size of such a disk; the file takes what is written.
const diskBytes = 512 << 20

// Freeze and thaw of a file system: _IOWR('X', 119, int) and 120, linux/fs.h.
const (
	ioctlFreeze = 0xc0045877
	ioctlThaw   = 0xc0045878
)

// ErrNoDisk says that a lab has no disks of its own, or that none can be made here.
var ErrNoDisk = errors.New("no disk of the lab's own")

// makeDisk puts a disk of its own where a host keeps its data.
func (f hostFolders) makeDisk() error {
	image := filepath.Join(f.root, "data.img")
	file, err := os.OpenFile(image, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make disk: %w", err)
	}
	if err := errors.Join(file.Truncate(diskBytes), file.Close()); err != nil {
		return fmt.Errorf("make disk: %w", err)
	}
	for _, argv := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, f.data}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("make disk: %w: %s: %w: %s", ErrNoDisk, argv[0], err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// FreezeDisk stalls a host's data disk: every write to it waits until ThawDisk, as on
// a disk that hangs. The lab must have been made with Disks.
func (l *Lab) FreezeDisk(ctx context.Context, name string) error {
	return l.onHost(ctx, "freeze", name, func(s *State, host *Host) error {
		switch {
		case !s.Disks:
			return fmt.Errorf("%w: make the lab with `skein lab up --disks`", ErrNoDisk)
		case host.Frozen:
			return fmt.Errorf("%w: the disk of %s is frozen already", ErrState, name)
		}
		host.Frozen = true
		if err := l.save(s); err != nil {
			return err
		}
		return freezeDisk(foldersOf(s.Dir, name).data, ioctlFreeze)
	})
}

// ThawDisk ends a FreezeDisk.
func (l *Lab) ThawDisk(ctx context.Context, name string) error {
	return l.onHost(ctx, "thaw", name, func(s *State, host *Host) error {
		if !host.Frozen {
			return fmt.Errorf("%w: the disk of %s is not frozen", ErrState, name)
		}
		if err := thawDisk(s, host); err != nil {
			return err
		}
		return l.save(s)
	})
}

// thawDisk comes before any kill: who writes to a frozen disk does not end.
func thawDisk(s *State, host *Host) error {
	if !host.Frozen {
		return nil
	}
	// The lab may have died after it announced the operation and before it did it.
	if err := freezeDisk(foldersOf(s.Dir, host.Name).data, ioctlThaw); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	host.Frozen = false
	return nil
}

func freezeDisk(dir string, op uint) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("freeze or thaw disk: %w", err)
	}
	defer folder.Close()
	if err := unix.IoctlSetInt(int(folder.Fd()), op, 0); err != nil {
		return fmt.Errorf("freeze or thaw disk %s: %w", dir, err)
	}
	return nil
}
