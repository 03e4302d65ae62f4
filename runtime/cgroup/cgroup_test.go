package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skein/agent/converge"
	"skein/agent/converge/porttest"
	"skein/runtime/port"
)

func TestWeightsAreExactRatios(t *testing.T) {
	// The curve that newer runtimes use gives 59 for 512 and 100 for 1024.
	for shares, want := range map[int64]int64{2: 1, 5: 1, 10: 1, 16: 2, 128: 13, 512: 50, 1024: 100, 2048: 200,
		10240: 1000, 102400: 10000, 262144: 10000} {
		if got := Weight(shares); got != want {
			t.Errorf("weight of %d shares is %d, want %d", shares, got, want)
		}
	}
}

func TestBoundsInTheKernelsUnits(t *testing.T) {
	for name, c := range map[string]struct {
		in   port.TaskBounds
		want bounds
	}{
		"shares are kept within the kernel's":      {port.TaskBounds{Shares: 1}, bounds{shares: 2}},
		"too many shares are the most there are":   {port.TaskBounds{Shares: 1 << 30}, bounds{shares: 262144}},
		"half a core is half of each period":       {port.TaskBounds{CPU: 512}, bounds{shares: 512, quotaUS: 50_000}},
		"a tiny ceiling is what the kernel allows": {port.TaskBounds{CPU: 4}, bounds{shares: 4, quotaUS: 1000}},
		"memory is in MiB": {port.TaskBounds{Shares: 9, Memory: 3},
			bounds{shares: 9, memoryBytes: 3145728}},
	} {
		if got := toBounds(c.in); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestPressureIsRoundedUpToWholePercent(t *testing.T) {
	for text, want := range map[string]int8{
		"some avg10=0.00 avg60=0.35 avg300=2.72 total=94710841\nfull avg10=9.00\n": 0,
		"some avg10=0.01 avg60=0 avg300=0 total=1":                                 1,
		"some avg10=12.30 avg60=0 avg300=0 total=1":                                13,
		"some avg10=100.00 avg60=0 avg300=0 total=1":                               100,
		"some avg10=many":   -1,
		"full avg10=1.00 ":  -1,
		"":                  -1,
		"some avg10=-1.00 ": -1,
	} {
		if got := parsePressure(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}

func TestTheGroupOfAProcess(t *testing.T) {
	const v1 = "9:name=systemd:/init\n2:cpu,cpuacct:/skein/agent\n1:memory:/other\n0::/\n"
	if got, err := parseGroup(v1, 1); err != nil || got != "/skein/agent" {
		t.Errorf("v1: %q, %v", got, err)
	}
	if got, err := parseGroup("0::/skein/runtime\n", 2); err != nil || got != "/skein/runtime" {
		t.Errorf("v2: %q, %v", got, err)
	}
	for _, text := range []string{"", "nonsense", "1:memory:/x"} {
		if got, err := parseGroup(text, 1); err == nil {
			t.Errorf("%q gave %q", text, got)
		}
	}
}

func TestParentsThatAreRefused(t *testing.T) {
	for _, parent := range []string{"/", "skein", "/skein/", "/a/../b"} {
		if _, err := Open(Config{Parent: parent}); err == nil {
			t.Errorf("parent %q was accepted", parent)
		}
	}
	if _, err := Open(Config{Root: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "no cpu controller") {
		t.Errorf("a folder without cgroups: %v", err)
	}
}

// unifiedTree is a folder that looks like cgroup v2 to code that writes files.
func unifiedTree(t *testing.T) *Tree {
	t.Helper()
	root := t.TempDir()
	tree := &Tree{root: root, parent: "/skein", layout: unified{}, mounts: []string{""}, rmdir: os.RemoveAll}
	tree.mkdir = func(dir string) error {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		return furnish(dir)
	}
	if err := furnish(root); err != nil {
		t.Fatal(err)
	}
	return tree
}

func furnish(dir string) error {
	for name, text := range map[string]string{
		"cgroup.controllers": "cpuset cpu io memory pids", "cgroup.subtree_control": "", "cgroup.procs": "",
		"cpu.weight": "100", "cpu.max": "max 100000", "memory.max": "max", "memory.min": "0",
		"cpu.stat": "usage_usec 0\nuser_usec 0", "memory.current": "0",
		"memory.stat": "anon 0\ninactive_file 0", "memory.events": "low 0\noom 0\noom_kill 0",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func TestUnifiedTreeKeepsTheContract(t *testing.T) {
	porttest.Cgroups(t, func(t *testing.T) porttest.CgroupsFixture {
		tree := unifiedTree(t)
		return porttest.CgroupsFixture{
			Cgroups: tree,
			Reopen:  func(*testing.T) converge.Cgroups { return tree },
			ReadBack: func(t *testing.T, path string) port.TaskBounds {
				return readUnified(t, filepath.Join(tree.root, path))
			},
		}
	})
}

// readUnified reads bounds as a human would, from the files. Weights lose the
// difference between 1 and 10 shares.
func readUnified(t *testing.T, dir string) port.TaskBounds {
	t.Helper()
	var b port.TaskBounds
	if weight := number(t, dir, "cpu.weight"); weight == 1 {
		b.Shares = 2
	} else {
		b.Shares = (weight*1024 + 50) / 100
	}
	if limit := read(t, dir, "memory.max"); limit != "max" {
		b.Memory = number(t, dir, "memory.max") / mib
	}
	if quota, _, _ := strings.Cut(read(t, dir, "cpu.max"), " "); quota != "max" {
		us, err := strconv.ParseInt(quota, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		b.CPU = us * 1024 / periodUS
	}
	if b.Shares == 102 || b.Shares == 205 { // 100 and 200 shares, as near as whole weights come
		b.Shares = b.Shares / 102 * 100
	}
	return b
}

func read(t *testing.T, dir, file string) string {
	t.Helper()
	text, err := readControl(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func number(t *testing.T, dir, file string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(read(t, dir, file), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestUnifiedUsageIsWhatCannotBeTakenAway(t *testing.T) {
	tree := unifiedTree(t)
	path, err := tree.Prepare(t.Context(), "a", port.TaskBounds{Shares: 2})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cpu.stat": "usage_usec 1500000", "memory.current": "10485760",
		"memory.stat": "anon 1\ninactive_file 4194304", "memory.events": "oom 9\noom_kill 2",
	} {
		if err := os.WriteFile(filepath.Join(tree.root, path, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := port.Usage{CPU: 1500 * 1000 * 1000, MemoryMiB: 6, OOMKills: 2}
	if got, err := tree.Usage(t.Context(), "a"); err != nil || got != want {
		t.Errorf("Usage = %+v, %v; want %+v", got, err, want)
	}
}

func TestASettingThatTheKernelDropsIsAnError(t *testing.T) {
	tree := unifiedTree(t)
	if _, err := tree.Prepare(t.Context(), "a", port.TaskBounds{Shares: 2}); err != nil {
		t.Fatal(err)
	}
	err := tree.verify("/skein/work/a", setting{"", "cpu.weight", "55"})
	if err == nil || !strings.Contains(err.Error(), "cpu.weight") || !strings.Contains(err.Error(), "55") {
		t.Errorf("verify: %v", err)
	}
	if err = os.Remove(filepath.Join(tree.root, "skein/work/a/memory.max")); err != nil {
		t.Fatal(err)
	}
	_, err = tree.Prepare(t.Context(), "a", port.TaskBounds{Memory: 8})
	for _, want := range []string{"memory.max", "8388608", "no such file"} { // what, to what, why not
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without a memory controller: %v, want %q in it", err, want)
		}
	}
}

func TestProtectionSaysWhatIsMissing(t *testing.T) {
	for want, p := range map[string]Protection{
		"yes":         {Full: true},
		"partly: why": {Partly: true, Why: "why"},
		"no: why":     {Why: "why"},
	} {
		if got := p.String(); got != want {
			t.Errorf("%+v is %q, want %q", p, got, want)
		}
	}
	tree := unifiedTree(t)
	if p := tree.Protect(0); p.Full || p.Partly || !strings.Contains(p.Why, "agent:") ||
		!strings.Contains(p.Why, "not known") {
		t.Errorf("a process outside the tree is protected: %s", p)
	}
}

func TestAGroupThatCannotBeRemovedIsToldAndWhatHoldsItStays(t *testing.T) {
	for name, tt := range map[string]struct {
		at      string // below which the group cannot be removed
		prepare func(t *testing.T, dir string)
		rmdir   func(dir string) error
	}{
		"its folder is a file": {"", func(t *testing.T, dir string) {
			if err := os.WriteFile(dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, os.Remove},
		"a group in it is refused by the kernel": {"a/b", makeGroups, func(dir string) error {
			if filepath.Base(dir) == "b" {
				return unix.EIO
			}
			return os.Remove(dir)
		}},
		"it is nested too deep": {strings.Repeat("x/", maxDepth+1) + "x", makeGroups, os.Remove},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "group")
			tt.prepare(t, filepath.Join(dir, tt.at))
			tree := &Tree{rmdir: tt.rmdir}
			if err := tree.removeTree(t.Context(), dir, 0); err == nil {
				t.Error("it counts as removed")
			}
			if _, err := os.Lstat(filepath.Join(dir, tt.at)); err != nil {
				t.Errorf("it is gone: %v", err)
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "group")
	makeGroups(t, filepath.Join(dir, strings.Repeat("x/", maxDepth)))
	tree := &Tree{rmdir: os.Remove}
	for range 2 { // what is gone is removed
		if err := tree.removeTree(t.Context(), dir, 0); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func makeGroups(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}
