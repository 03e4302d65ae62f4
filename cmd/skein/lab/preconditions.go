package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Missing says what a machine lacks to carry a lab, all at once. The exit code
// of a command that ends with it is 2.
type Missing struct {
	Things []Thing
}

// Thing is one thing that is missing, and what to do.
type Thing struct {
	What string
	Do   string
}

func (m *Missing) Error() string {
	var b strings.Builder
	b.WriteString("this machine cannot carry a lab yet:")
	for _, t := range m.Things {
		fmt.Fprintf(&b, "\n  - %s: %s", t.What, t.Do)
	}
	return b.String()
}

// ExitCode is 2: nothing was touched, and the caller can mend it.
func (m *Missing) ExitCode() int { return 2 }

// machine is what Check looks at, so that tests can show it another one.
type machine struct {
	euid         int
	capabilities func() (uint64, error)
	hierarchies  func() ([]hierarchy, error)
	writable     func(dir string) bool
	version      func(program string) (string, error)
	lookPath     func(program string) (string, error)
	fsType       func(dir string) (int64, error)
	nftables     func() error
}

// Check returns *Missing if this machine cannot carry a lab with its data in
// dir. It makes nothing.
func Check(dir string) error {
	return machine{
		euid: unix.Geteuid(), capabilities: effectiveCapabilities, hierarchies: hierarchies,
		writable: func(dir string) bool { return unix.Access(dir, unix.W_OK) == nil },
		version:  programVersion, lookPath: exec.LookPath, fsType: fsTypeOf, nftables: tryNftables,
	}.check(dir)
}

const (
	capNetAdmin = 12
	capSysAdmin = 21
)

func (m machine) check(dir string) error {
	var missing Missing
	need := func(ok bool, what, do string) {
		if !ok {
			missing.Things = append(missing.Things, Thing{what, do})
		}
	}
	if m.euid != 0 {
		// Without root the other checks would only say so again.
		return errNotRoot
	}
	capabilities, err := m.capabilities()
	need(err == nil && capabilities>>capSysAdmin&1 == 1, "the capability CAP_SYS_ADMIN",
		"this is root inside a container: run it on the machine itself or in a privileged container")
	need(err == nil && capabilities>>capNetAdmin&1 == 1, "the capability CAP_NET_ADMIN",
		"this is root inside a container: run it on the machine itself or in a privileged container")
	m.checkCgroups(need)
	for _, program := range []string{"containerd", "runc"} {
		m.checkProgram(program, need)
	}
	_, err = m.lookPath("containerd-shim-runc-v2")
	need(err == nil, "containerd-shim-runc-v2 on PATH", "it comes with containerd: apt-get install containerd")
	kind, err := m.fsType(dir)
	need(err == nil, "a readable data folder", fmt.Sprintf("%v; name another one", err))
	need(err != nil || kind != unix.OVERLAYFS_SUPER_MAGIC, "a data folder on a real file system",
		dir+" is on overlay, on which containerd cannot make its own: name a folder on another file system")
	err = m.nftables()
	need(err == nil, "nftables by netlink",
		fmt.Sprintf("the kernel says %v: it needs CONFIG_NF_TABLES (modprobe nf_tables)", err))
	if len(missing.Things) > 0 {
		return &missing
	}
	return nil
}

func (m machine) checkCgroups(need func(bool, string, string)) {
	all, err := m.hierarchies()
	if err != nil || len(all) == 0 {
		need(false, "mounted cgroups", "mount them at /sys/fs/cgroup (a service manager does)")
		return
	}
	v2 := false
	for _, h := range all {
		need(m.writable(h.mount), "writable cgroups",
			h.mount+" is read-only here: run on the machine itself or in a privileged container")
		v2 = v2 || h.v2 && len(all) == 1
	}
	if v2 {
		return
	}
	for _, controller := range []string{"cpu", "memory", "pids", "devices"} {
		found := false
		for _, h := range all {
			found = found || h.has(controller)
		}
		need(found, "the cgroup controller "+controller, "mount it below /sys/fs/cgroup, or boot with cgroup v2")
	}
}

// leastMajor and leastMinor are containerd 1.6, Debian 12's. runc 1.1 came with
// it; 1.0 lacks what the v2 client asks for.
const leastMajor, leastMinor = 1, 6

func (m machine) checkProgram(program string, need func(bool, string, string)) {
	if _, err := m.lookPath(program); err != nil {
		need(false, program+" on PATH", "apt-get install "+program)
		return
	}
	text, err := m.version(program)
	if err != nil {
		need(false, "a working "+program, fmt.Sprintf("`%s --version` says: %v", program, err))
		return
	}
	if program == "runc" {
		return // any that works with the containerd beside it
	}
	major, minor, ok := parseVersion(text)
	need(ok && (major > leastMajor || major == leastMajor && minor >= leastMinor),
		fmt.Sprintf("%s %d.%d or newer", program, leastMajor, leastMinor), fmt.Sprintf("found %q", strings.TrimSpace(text)))
}

var versionRule = regexp.MustCompile(`\bv?(\d+)\.(\d+)\.\d+`)

func parseVersion(text string) (major, minor int, ok bool) {
	found := versionRule.FindStringSubmatch(text)
	if found == nil {
		return 0, 0, false
	}
	major, err1 := strconv.Atoi(found[1])
	minor, err2 := strconv.Atoi(found[2])
	return major, minor, err1 == nil && err2 == nil
}

func effectiveCapabilities() (uint64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("CapEff:")); ok {
			return strconv.ParseUint(string(bytes.TrimSpace(rest)), 16, 64)
		}
	}
	return 0, errors.New("/proc/self/status names no capabilities")
}

func programVersion(program string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), controlTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return string(out), err
}

// fsTypeOf looks at the folder or at the nearest one above that exists.
func fsTypeOf(dir string) (int64, error) {
	for {
		var stat unix.Statfs_t
		err := unix.Statfs(dir, &stat)
		if err == nil {
			return int64(stat.Type), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return 0, fmt.Errorf("look at %s: %w", dir, err)
		}
		dir = filepath.Dir(dir)
	}
}

func tryNftables() error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	_, err = conn.ListTables()
	return err
}
