package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const hybridMounts = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,xattr,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
40 31 0:37 / /sys/fs/cgroup/systemd rw shared:10 master:1 - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
42 31 0:32 / /mnt/again\040here rw,relatime - cgroup cgroup rw,memory
`

const plainMounts = `27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
29 23 0:25 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
`

func TestHierarchiesAreReadFromMountinfo(t *testing.T) {
	cases := map[string]struct {
		mounts string
		want   []hierarchy
	}{
		"hybrid": {hybridMounts, []hierarchy{
			{mount: "/sys/fs/cgroup/cpu,cpuacct", options: "cpu,cpuacct"},
			{mount: "/sys/fs/cgroup/memory", options: "memory"},
			{mount: "/sys/fs/cgroup/freezer", options: "freezer"},
			{mount: "/sys/fs/cgroup/systemd", options: "name=systemd"},
			{mount: "/sys/fs/cgroup/unified", v2: true},
		}},
		"v2 alone": {plainMounts, []hierarchy{{mount: "/sys/fs/cgroup", v2: true}}},
		"none":     {"27 1 254:0 / / rw - ext4 /dev/vda rw\nnonsense\n\n", nil},
	}
	for name, c := range cases {
		got, err := parseHierarchies(strings.NewReader(c.mounts))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(hierarchy{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOctalEscapesOfMountinfo(t *testing.T) {
	for text, want := range map[string]string{
		`/plain`: "/plain", `/a\040b`: "/a b", `/a\134b`: `/a\b`, `/end\04`: `/end\04`, `/no\999x`: `/no\999x`,
	} {
		if got := unescape(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestTheFreezerIsTheOldOneWhereThereIsOne(t *testing.T) {
	hybrid, _ := parseHierarchies(strings.NewReader(hybridMounts))
	plain, _ := parseHierarchies(strings.NewReader(plainMounts))
	for name, c := range map[string]struct {
		all          []hierarchy
		file, freeze string
	}{
		"hybrid":   {hybrid, "/sys/fs/cgroup/freezer/x/freezer.state", "FROZEN"},
		"v2 alone": {plain, "/sys/fs/cgroup/x/cgroup.freeze", "1"},
	} {
		file, freeze, _, ok := freezer(c.all, "/x")
		if !ok || file != c.file || freeze != c.freeze {
			t.Errorf("%s: %s %s %v", name, file, freeze, ok)
		}
	}
	if _, _, _, ok := freezer(nil, "/x"); ok {
		t.Error("a freezer out of nothing")
	}
}

// A folder stands for a v2 hierarchy: what is written where can be read back.
func TestControllersAreSwitchedOnForEveryAncestorAndNotForTheLeaf(t *testing.T) {
	root := t.TempDir()
	h := hierarchy{mount: root, v2: true}
	for _, dir := range []string{"", "lab", "lab/one"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, dir, "cgroup.controllers"), []byte("cpu memory pids\n"),
			0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := makeCgroup([]hierarchy{h}, "/lab/one/h1"); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{"": true, "lab": true, "lab/one": true, "lab/one/h1": false} {
		_, err := os.Stat(filepath.Join(root, dir, "cgroup.subtree_control"))
		if (err == nil) != want {
			t.Errorf("%q: controllers switched on: %v, want %v", dir, err == nil, want)
		}
	}
}

func TestANewCpusetTakesItsParents(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{
		"cpuset.cpus": "0-1\n", "cpuset.mems": "0\n", "lab/cpuset.cpus": "\n", "lab/cpuset.mems": "\n",
		"lab/h1/cpuset.cpus": "1\n", "lab/h1/cpuset.mems": "\n",
	} {
		write(file, text)
	}
	if err := makeCgroup([]hierarchy{{mount: root, options: "cpuset"}}, "/lab/h1"); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"lab/cpuset.cpus": "0-1\n", "lab/cpuset.mems": "0\n",
		"lab/h1/cpuset.cpus": "1\n", "lab/h1/cpuset.mems": "0\n"} {
		got, err := os.ReadFile(filepath.Join(root, file))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", file, got, err, want)
		}
	}
}

func TestCgroupsAreRemovedFromTheLeavesUp(t *testing.T) {
	root := t.TempDir()
	h := []hierarchy{{mount: root, options: "memory"}}
	for _, name := range []string{"/lab/h1/skein/work/task/web", "/lab/h2"} {
		if err := makeCgroup(h, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeCgroup(h, "/lab", time.Second); err != nil {
		t.Fatal(err)
	}
	if left := subtree(root); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	if err := removeCgroup(h, "/lab", time.Second); err != nil {
		t.Errorf("what is gone: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(root, "lab"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "lab", "busy"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := removeCgroup(h, "/lab", 30*time.Millisecond); err == nil {
		t.Error("a cgroup that stays busy was reported as removed")
	}
}
