//go:build e2e

package lab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// newTestLab is a lab with a name and folder of its own that is gone, with every
// trace, when the test ends. It fails, naming what is missing, where no lab can be.
func newTestLab(t *testing.T) *Lab {
	t.Helper()
	name := fmt.Sprintf("t%06x", rand.Uint32N(1<<24))
	// A folder of our own and not t.TempDir(): the lab removes it itself, and the
	// test checks that.
	dir := filepath.Join("/var/tmp", "skein-lab-test-"+name)
	l, err := New(Options{Name: name, Dir: dir, Commands: standInCommands{},
		Say: func(text string) { t.Log(name + ": " + text) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Errorf("down: %v", err)
		}
		if left := traces(l, dir); len(left) > 0 {
			t.Errorf("down left:\n%s", strings.Join(left, "\n"))
		}
	})
	return l
}

func up(t *testing.T, l *Lab, zones ...string) {
	t.Helper()
	begin := time.Now()
	if err := l.Up(t.Context(), UpOptions{Zones: zones}); err != nil {
		t.Fatal(err)
	}
	t.Logf("up took %s", time.Since(begin).Round(time.Millisecond))
}

// traces lists everything on the machine that belongs to the lab.
func traces(l *Lab, dir string) []string {
	var found []string
	add := func(what string, err error, match bool) {
		if err == nil && match {
			found = append(found, what)
		}
	}
	mine := func(text string) bool {
		return strings.Contains(text, dir) || strings.Contains(text, cgroupRoot+"/"+l.name) ||
			strings.Contains(text, l.portPrefix()) ||
			strings.Contains(text, l.bridge()) || strings.Contains(text, l.table()) || strings.Contains(text, runRoot+"/"+l.name)
	}
	links, _ := exec.Command("ip", "-o", "link").CombinedOutput()
	tables, _ := exec.Command("nft", "list", "ruleset").CombinedOutput()
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	loops, _ := exec.Command("sh", "-c", "cat /sys/block/loop*/loop/backing_file 2>/dev/null").Output()
	for what, text := range map[string][]byte{"link": links, "nftables": tables, "mount": mounts, "loop device": loops} {
		for line := range strings.Lines(string(text)) {
			add(what+": "+line, nil, mine(line))
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		if filepath.Base(process) == fmt.Sprint(os.Getpid()) {
			continue
		}
		command, err := os.ReadFile(process + "/cmdline")
		groups, _ := os.ReadFile(process + "/cgroup")
		program, _ := os.Readlink(process + "/exe")
		if stat, _ := os.ReadFile(process + "/stat"); bytes.Contains(stat, []byte(") Z ")) {
			continue // ended; whoever adopted it has yet to notice
		}
		add(fmt.Sprintf("process %s: %q", process, command), err, mine(string(command)) || mine(string(groups)) ||
			mine(program))
	}
	all, _ := hierarchies()
	for _, h := range all {
		for _, group := range subtree(h.mount + l.cgroup()) {
			found = append(found, "cgroup: "+group)
		}
	}
	for _, path := range []string{dir, l.stateFile(), l.stateFile() + ".tmp", l.lockFile(), l.socketFolder()} {
		_, err := os.Stat(path)
		add("path: "+path, err, true)
	}
	return found
}

// inside runs a stand-in command on a host and returns what it printed.
func inside(t *testing.T, l *Lab, host string, argv ...string) string {
	t.Helper()
	s, err := l.load()
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.host(host)
	if err != nil {
		t.Fatal(err)
	}
	out, err := l.runInside(t.Context(), h, argv)
	if err != nil {
		t.Fatalf("%v on %s: %v", argv, host, err)
	}
	return out
}

func address(t *testing.T, l *Lab, host string, port uint16) string {
	t.Helper()
	s, err := l.load()
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.host(host)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(h.Addr, port).String()
}

func until(t *testing.T, what string, limit time.Duration, done func() (string, bool)) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		seen, ok := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s; last seen: %s", what, limit, seen)
		}
	}
}

func stateOf(t *testing.T, l *Lab, host string) HostView {
	t.Helper()
	v, err := l.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(v.Hosts, func(h HostView) bool { return h.Name == host })
	if i < 0 {
		t.Fatalf("no host %s in %+v", host, v.Hosts)
	}
	return v.Hosts[i]
}

// background is a stand-in command that runs in a host while the test goes on.
type background struct {
	t     *testing.T
	lines chan string
	seen  map[string]int
}

func startInside(t *testing.T, l *Lab, host string, argv ...string) *background {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b := &background{t: t, lines: make(chan string, 10_000), seen: map[string]int{}}
	go func() {
		_, _ = l.Exec(context.Background(), host, argv, nil, write, write)
		_ = write.Close()
	}()
	go func() {
		defer close(b.lines)
		defer read.Close()
		for lines := bufio.NewScanner(read); lines.Scan(); {
			b.lines <- lines.Text()
		}
	}()
	return b
}

func (b *background) waitFor(line string) {
	b.t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case got, ok := <-b.lines:
			if !ok {
				b.t.Fatalf("ended before it said %q; it said %v", line, b.seen)
			}
			b.seen[got]++
			if got == line {
				return
			}
		case <-timeout:
			b.t.Fatalf("did not say %q in time; it said %v", line, b.seen)
		}
	}
}

// wait returns how often each line was printed until the command ended.
func (b *background) wait() map[string]int {
	b.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case got, ok := <-b.lines:
			if !ok {
				return b.seen
			}
			b.seen[got]++
		case <-timeout:
			b.t.Fatalf("did not end in time; it said %v", b.seen)
		}
	}
}
