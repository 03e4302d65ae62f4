package lab

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// able is a machine that lacks nothing.
func able() machine {
	return machine{
		euid:         0,
		capabilities: func() (uint64, error) { return ^uint64(0), nil },
		hierarchies:  func() ([]hierarchy, error) { return []hierarchy{{mount: "/sys/fs/cgroup", v2: true}}, nil },
		writable:     func(string) bool { return true },
		version:      func(string) (string, error) { return "containerd github.com/containerd/containerd v1.7.2 abc", nil },
		lookPath:     func(program string) (string, error) { return "/usr/bin/" + program, nil },
		fsType:       func(string) (int64, error) { return unix.EXT4_SUPER_MAGIC, nil },
		nftables:     func() error { return nil },
	}
}

func TestAnAbleMachineLacksNothing(t *testing.T) {
	if err := able().check("/data"); err != nil {
		t.Error(err)
	}
	old := able()
	old.hierarchies = func() ([]hierarchy, error) { return parseHierarchies(strings.NewReader(hybridMounts)) }
	err := old.check("/data")
	if err == nil || strings.Contains(err.Error(), "controller cpu") ||
		!strings.Contains(err.Error(), "controller pids") || !strings.Contains(err.Error(), "controller devices") {
		t.Errorf("v1 hierarchies without pids and devices: %v", err)
	}
}

func TestEachLackIsNamedWithWhatToDo(t *testing.T) {
	cases := []struct {
		name  string
		spoil func(*machine)
		want  []string
	}{
		{"not root", func(m *machine) { m.euid = 1000 }, []string{"root", "sudo"}},
		{"root in a container", func(m *machine) { m.capabilities = func() (uint64, error) { return 0, nil } },
			[]string{"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "privileged"}},
		{"no cgroups", func(m *machine) { m.hierarchies = func() ([]hierarchy, error) { return nil, nil } },
			[]string{"mounted cgroups", "/sys/fs/cgroup"}},
		{"read-only cgroups", func(m *machine) { m.writable = func(string) bool { return false } },
			[]string{"writable cgroups", "/sys/fs/cgroup is read-only"}},
		{"no programs", func(m *machine) { m.lookPath = func(string) (string, error) { return "", os.ErrNotExist } },
			[]string{"containerd on PATH", "runc on PATH", "containerd-shim-runc-v2 on PATH", "apt-get install"}},
		{"an old runtime",
			func(m *machine) { m.version = func(string) (string, error) { return "containerd 1.4.13~ds1", nil } },
			[]string{"containerd 1.6 or newer", "1.4.13"}},
		{"a broken runtime", func(m *machine) {
			m.version = func(string) (string, error) { return "", errors.New("exec format error") }
		}, []string{"a working containerd", "exec format error"}},
		{"data on overlay",
			func(m *machine) { m.fsType = func(string) (int64, error) { return unix.OVERLAYFS_SUPER_MAGIC, nil } },
			[]string{"/data is on overlay", "another file system"}},
		{"no nftables", func(m *machine) { m.nftables = func() error { return unix.EOPNOTSUPP } },
			[]string{"nftables by netlink", "CONFIG_NF_TABLES"}},
	}
	for _, c := range cases {
		m := able()
		c.spoil(&m)
		err := m.check("/data")
		var missing *Missing
		if !errors.As(err, &missing) || missing.ExitCode() != 2 {
			t.Errorf("%s: got %v, want *Missing with exit code 2", c.name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in\n%v", c.name, want, err)
			}
		}
	}
}

func TestAllLacksAreNamedAtOnce(t *testing.T) {
	m := able()
	m.writable = func(string) bool { return false }
	m.nftables = func() error { return unix.EOPNOTSUPP }
	m.fsType = func(string) (int64, error) { return unix.OVERLAYFS_SUPER_MAGIC, nil }
	var missing *Missing
	if err := m.check("/data"); !errors.As(err, &missing) || len(missing.Things) != 3 {
		t.Errorf("got %v", err)
	}
}

func TestVersionsOfPrograms(t *testing.T) {
	for text, want := range map[string][2]int{
		"containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3": {1, 6},
		"containerd github.com/containerd/containerd/v2 v2.4.2 0123456789":            {2, 4},
		"runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1":                         {1, 1},
	} {
		major, minor, ok := parseVersion(text)
		if !ok || major != want[0] || minor != want[1] {
			t.Errorf("%q: got %d.%d %v", text, major, minor, ok)
		}
	}
	if _, _, ok := parseVersion("containerd, a fine program"); ok {
		t.Error("a version out of nothing")
	}
}

func TestTheFileSystemOfAFolderThatIsNotThereYet(t *testing.T) {
	dir := t.TempDir()
	want, err := fsTypeOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fsTypeOf(filepath.Join(dir, "not", "there", "yet")); err != nil || got != want {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
}
