package hostos

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine says where a machine's facts are. The zero value is this machine.
type Machine struct {
	// Proc and Etc are folders; "/proc" and "/etc" when empty.
	Proc, Etc string
	// BootFile, when set, holds the boot id instead of the kernel's: a lab host
	// shares its kernel with others but boots by itself.
	BootFile string
}

func (m Machine) proc(name string) string {
	if m.Proc == "" {
		return filepath.Join("/proc", name)
	}
	return filepath.Join(m.Proc, name)
}

func (m Machine) etc(name string) string {
	if m.Etc == "" {
		return filepath.Join("/etc", name)
	}
	return filepath.Join(m.Etc, name)
}

// maxFact bounds a fact's file; the largest, meminfo, has 2 KiB.
const maxFact = 64 << 10

func readFact(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	buf := make([]byte, maxFact)
	n, err := f.Read(buf)
	if n == 0 && err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return strings.TrimSpace(string(buf[:n])), nil
}

// BootID names this life of the machine; another one means that nothing that
// ran before runs now.
func (m Machine) BootID() (string, error) {
	name := m.BootFile
	if name == "" {
		name = m.proc("sys/kernel/random/boot_id")
	}
	id, err := readFact(name)
	if err != nil {
		return "", fmt.Errorf("boot id: %w", err)
	}
	if id == "" || strings.ContainsAny(id, " \n") {
		return "", fmt.Errorf("boot id: %s holds %q, want one word", name, id)
	}
	return id, nil
}

// CPUs is how many processors this process may use.
func (m Machine) CPUs() int { return runtime.NumCPU() }

// Memory is the machine's memory and what of it is available, in MiB.
func (m Machine) Memory() (total, available int64, err error) {
	text, err := readFact(m.proc("meminfo"))
	if err != nil {
		return 0, 0, fmt.Errorf("memory: %w", err)
	}
	total, err = meminfo(text, "MemTotal:")
	if err != nil {
		return 0, 0, fmt.Errorf("memory: %w", err)
	}
	available, err = meminfo(text, "MemAvailable:")
	if err != nil {
		return 0, 0, fmt.Errorf("memory: %w", err)
	}
	return total, available, nil
}

// meminfo finds a line "Key:   123 kB" and returns MiB.
func meminfo(text, key string) (int64, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == key {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s line in meminfo", key)
}

// Kernel is the kernel's release, such as "6.1.0-28-amd64".
func (m Machine) Kernel() (string, error) {
	release, err := readFact(m.proc("sys/kernel/osrelease"))
	if err != nil {
		return "", fmt.Errorf("kernel: %w", err)
	}
	return release, nil
}

// OSImage is the name and version of the OS image, such as "Debian GNU/Linux 12
// (bookworm)", with its variant where it has one. Source: os-release(5).
func (m Machine) OSImage() (string, error) {
	f, err := os.Open(m.etc("os-release"))
	if err != nil {
		return "", fmt.Errorf("os image: %w", err)
	}
	defer f.Close()
	values := parseOSRelease(bufio.NewScanner(f))
	name := values["PRETTY_NAME"]
	if name == "" {
		name = strings.TrimSpace(values["NAME"] + " " + values["VERSION"])
	}
	if name == "" {
		return "", errors.New("os image: os-release has neither PRETTY_NAME nor NAME")
	}
	if variant := values["VARIANT"]; variant != "" && !strings.Contains(name, variant) {
		name += " " + variant
	}
	return name, nil
}

// maxOSRelease: lines beyond are not read; real files have about 15.
const maxOSRelease = 200

func parseOSRelease(lines *bufio.Scanner) map[string]string {
	values := map[string]string{}
	for n := 0; n < maxOSRelease && lines.Scan(); n++ {
		key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		values[key] = strings.Trim(value, `'"`)
	}
	return values
}

// DiskFree is the space that is left for a file in dir, in MiB, and the
// file system's size.
func DiskFree(dir string) (free, size int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("disk of %s: %w", dir, err)
	}
	block := uint64(s.Bsize)
	return int64(s.Bavail * block >> 20), int64(s.Blocks * block >> 20), nil
}
