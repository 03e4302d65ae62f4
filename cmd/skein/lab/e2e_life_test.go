//go:build e2e

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestE2EUpGivesHostsOfTheirOwnAndDownLeavesNoTrace(t *testing.T) {
	l := newTestLab(t)
	up(t, l, "a", "b", "c")
	v, err := l.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if _, err := v.WriteTo(&table); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + table.String())
	boots, names := map[string]bool{}, map[string]bool{}
	for _, h := range v.Hosts {
		until(t, h.Name+" up with agent and containerd", 20*time.Second, func() (string, bool) {
			now := stateOf(t, l, h.Name)
			return fmt.Sprintf("%+v", now), now.State == "up" && now.AgentPID != 0 && now.RuntimePID != 0
		})
		boot := strings.TrimSpace(inside(t, l, h.Name, "cat", "/proc/sys/kernel/random/boot_id"))
		if boot != h.BootID {
			t.Errorf("%s: boot id %s, want %s", h.Name, boot, h.BootID)
		}
		boots[boot] = true
		names[strings.TrimSpace(inside(t, l, h.Name, "hostname"))] = true
		if pids := strings.Fields(inside(t, l, h.Name, "sh", "-c", "ls -d /proc/[0-9]*")); len(pids) > 30 ||
			!slices.Contains(pids, "/proc/1") {
			t.Errorf("%s sees processes of others: %v", h.Name, pids)
		}
		if links := inside(t, l, h.Name, "sh", "-c", "ls /sys/class/net"); strings.Join(strings.Fields(links),
			" ") != "eth0 lo" {
			t.Errorf("%s has links %q", h.Name, links)
		}
		if routes := inside(t, l, h.Name, "ip", "route"); strings.Contains(routes, "default") {
			t.Errorf("%s has a way out: %s", h.Name, routes)
		}
		if groups := inside(t, l, h.Name, "sh", "-c", "cat /proc/1/cgroup"); strings.Contains(groups, l.name) {
			t.Errorf("%s sees the machine's cgroups: %s", h.Name, groups)
		}
	}
	if len(boots) != 3 || !names["h1"] || !names["h2"] || !names["h3"] {
		t.Errorf("boot ids %v, host names %v", boots, names)
	}
	version := inside(t, l, "h2", "ctr", "--address", containerdSocket, "version")
	if !strings.Contains(version, "Server:") {
		t.Errorf("containerd of h2 does not answer: %s", version)
	}
	if err := l.Up(t.Context(), UpOptions{}); !errors.Is(err, ErrUp) {
		t.Errorf("second up: got %v, want ErrUp", err)
	}
	if err := l.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := traces(l, l.dir); len(left) > 0 {
		t.Fatalf("down left:\n%s", strings.Join(left, "\n"))
	}
	up(t, l, "a") // at once again
}

func TestE2EProtectionReachesTheServices(t *testing.T) {
	l := newTestLab(t)
	up(t, l, "a")
	until(t, "containerd up", 20*time.Second, func() (string, bool) {
		code, err := l.Exec(t.Context(), "h1", []string{"ctr", "--address", containerdSocket, "version"}, nil, nil, nil)
		return fmt.Sprint(code, err), err == nil && code == 0
	})
	now := stateOf(t, l, "h1")
	for _, c := range []struct {
		pid                  int
		cgroup, score, umask string
	}{{now.AgentPID, "/skein/agent", "-900", "0077"}, {now.RuntimePID, "/skein/runtime", "-500", "0022"}} {
		score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", c.pid))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(score)); got != c.score && mayLowerScores(t) {
			t.Errorf("%s: out-of-memory score %s, want %s", c.cgroup, got, c.score)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(status), "\nUmask:\t"+c.umask+"\n") {
			t.Errorf("%s: its umask is not %s:\n%s", c.cgroup, c.umask, status)
		}
		groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.pid))
		if err != nil {
			t.Fatal(err)
		}
		all, err := hierarchies()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(groups), l.hostCgroup("h1")+c.cgroup+"\n"); got != len(all) {
			t.Errorf("%s: in its cgroup in %d of %d hierarchies:\n%s", c.cgroup, got, len(all), groups)
		}
	}
	weights := inside(t, l, "h1", "sh", "-c",
		"cat /sys/fs/cgroup/cpu/skein/agent/cpu.shares /sys/fs/cgroup/skein/agent/cpu.weight 2>/dev/null || true")
	if got := strings.TrimSpace(weights); got != protectedShares && got != protectedWeight {
		t.Errorf("cpu weight of the agent: %q", got)
	}
}

// mayLowerScores reports CAP_SYS_RESOURCE, which some virtual machines keep from root.
func mayLowerScores(t *testing.T) bool {
	t.Helper()
	capabilities, err := effectiveCapabilities()
	if err != nil {
		t.Fatal(err)
	}
	return capabilities>>24&1 == 1
}

func TestE2EAddedHostsJoinByWayOfOneThatRuns(t *testing.T) {
	l := newTestLab(t)
	up(t, l, "a", "b")
	if err := l.KillAgent(t.Context(), "h1"); err != nil {
		t.Fatal(err)
	}
	name, err := l.Add(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if v := stateOf(t, l, name); name != "h3" || v.Zone != "b" {
		t.Errorf("added %s: %+v", name, v)
	}
	identity, err := os.ReadFile(filepath.Join(foldersOf(l.dir, "h3").data, "identity"))
	if err != nil || string(identity) != "joined" {
		t.Errorf("identity of h3: %q, %v", identity, err)
	}
	var log bytes.Buffer
	until(t, "log of h3", 5*time.Second, func() (string, bool) {
		log.Reset()
		err := l.Logs(t.Context(), &log, "h3", LogOptions{})
		return fmt.Sprint(err, log.String()), strings.Contains(log.String(), "stand-in agent listens")
	})
	if err := l.Kill(t.Context(), "h9"); !errors.Is(err, ErrNoHost) || !strings.Contains(err.Error(), "h1, h2, h3") {
		t.Errorf("unknown host: %v", err)
	}
}

func TestE2EALabOnIPv6(t *testing.T) {
	l := newTestLab(t)
	if err := l.Up(t.Context(), UpOptions{Zones: []string{"a", "b"}, IPv6: true}); err != nil {
		t.Fatal(err)
	}
	if out := inside(t, l, "h1", labBinary(l.dir), "standin", "dial", address(t, l, "h2", PeerPort),
		"1"); !strings.Contains(out, "connected") {
		t.Errorf("h1 saw %s", out)
	}
	if err := l.Cut(t.Context(), "h1", "h2", false); err != nil {
		t.Fatal(err)
	}
	if out := inside(t, l, "h1", labBinary(l.dir), "standin", "dial", address(t, l, "h2", PeerPort),
		"1"); strings.Contains(out, "connected") {
		t.Errorf("cut: h1 saw %s", out)
	}
}

func TestE2EExecEndsWithItsCaller(t *testing.T) {
	l := newTestLab(t)
	if err := l.Up(t.Context(), UpOptions{Zones: []string{"a"}, Empty: true}); err != nil {
		t.Fatal(err)
	}
	if code, err := l.Exec(t.Context(), "h1", []string{"sh", "-c", "exit 7"}, nil, nil, nil); code != 7 || err != nil {
		t.Errorf("exit code: %d, %v", code, err)
	}
	if _, err := l.Exec(t.Context(), "h1", []string{"no-such-program"}, nil, nil, nil); err == nil {
		t.Error("a program that is not there ran")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := l.Exec(ctx, "h1", []string{labBinary(l.dir), "standin", "sleep"}, nil, nil, nil); !errors.Is(err,
		context.DeadlineExceeded) {
		t.Errorf("exec past its deadline: %v", err)
	}
	until(t, "the command is gone", 5*time.Second, func() (string, bool) {
		out := inside(t, l, "h1", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
		return out, !strings.Contains(out, "standin sleep")
	})
}
