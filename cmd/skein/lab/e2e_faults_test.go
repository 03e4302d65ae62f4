//go:build e2e

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestE2EAKilledHostIsSilentAndComesBackWithANewBootID(t *testing.T) {
	l := newTestLab(t)
	up(t, l, "a", "b")
	target := address(t, l, "h2", PeerPort)
	before := stateOf(t, l, "h2")
	dials := startInside(t, l, "h1", labBinary(l.dir), "standin", "dial", target, "6")
	held := startInside(t, l, "h1", labBinary(l.dir), "standin", "hold", target)
	dials.waitFor("connected")
	held.waitFor("holding")

	begin := time.Now()
	if err := l.Kill(t.Context(), "h2"); err != nil {
		t.Fatal(err)
	}
	t.Logf("kill took %s", time.Since(begin).Round(time.Microsecond))
	if v := stateOf(t, l, "h2"); v.State != "dead" {
		t.Errorf("state after kill: %+v", v)
	}
	if err := l.Kill(t.Context(), "h2"); !errors.Is(err, ErrState) {
		t.Errorf("second kill: got %v, want ErrState", err)
	}
	// From the machine itself it is as silent.
	conn, err := net.DialTimeout("tcp", target, 500*time.Millisecond)
	if got := outcome(err); got != "timeout" && got != "unreachable" {
		t.Errorf("dial from the hub: %s", got)
	}
	if err == nil {
		conn.Close()
	}
	outcomes := dials.wait()
	t.Logf("outcomes: %v", outcomes)
	for what := range outcomes {
		if what != "connected" && what != "timeout" && what != "unreachable" {
			t.Errorf("a peer saw %q from a dead host", what)
		}
	}
	if outcomes["timeout"] == 0 {
		t.Error("the peer saw no silence")
	}
	for what := range held.wait() {
		if what == "reset" || what == "closed" {
			t.Errorf("an open connection to the dead host was %s", what)
		}
	}

	if err := l.Start(t.Context(), "h2"); err != nil {
		t.Fatal(err)
	}
	after := stateOf(t, l, "h2")
	if after.BootID == before.BootID {
		t.Error("boot id is that of the last boot")
	}
	if got := strings.TrimSpace(inside(t, l, "h2", "cat", "/proc/sys/kernel/random/boot_id")); got != after.BootID {
		t.Errorf("boot id inside: %s, want %s", got, after.BootID)
	}
	until(t, "peer reaches the host again", 10*time.Second, func() (string, bool) {
		out := inside(t, l, "h1", labBinary(l.dir), "standin", "dial", target, "1")
		return out, strings.Contains(out, "connected")
	})
}

func TestE2EAKilledAgentRefusesUntilItIsStarted(t *testing.T) {
	l := newTestLab(t)
	up(t, l, "a", "b")
	target := address(t, l, "h2", PeerPort)
	before := stateOf(t, l, "h2")
	if err := l.KillAgent(t.Context(), "h2"); err != nil {
		t.Fatal(err)
	}
	out := inside(t, l, "h1", labBinary(l.dir), "standin", "dial", target, "3") // longer than the restart delay
	for line := range strings.Lines(out) {
		if strings.TrimSpace(line) != "refused" {
			t.Fatalf("a peer saw %q, want refused", line)
		}
	}
	if v := stateOf(t, l, "h2"); v.State != "agent-down" || v.RuntimePID != before.RuntimePID ||
		v.BootID != before.BootID {
		t.Errorf("more than the agent ended: %+v, before %+v", v, before)
	}
	if err := l.Start(t.Context(), "h2"); err != nil {
		t.Fatal(err)
	}
	until(t, "agent answers", 10*time.Second, func() (string, bool) {
		out := inside(t, l, "h1", labBinary(l.dir), "standin", "dial", target, "1")
		return out, strings.Contains(out, "connected")
	})
}

func TestE2ECrashedServicesAreStartedAgain(t *testing.T) {
	l := newTestLab(t)
	up(t, l, "a")
	until(t, "services up", 20*time.Second, func() (string, bool) {
		now := stateOf(t, l, "h1")
		return fmt.Sprintf("%+v", now), now.AgentPID != 0 && now.RuntimePID != 0
	})
	before := stateOf(t, l, "h1")
	for _, crash := range []func(context.Context, string) error{l.CrashAgent, l.CrashRuntime} {
		if err := crash(t.Context(), "h1"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "both back", 20*time.Second, func() (string, bool) {
		now := stateOf(t, l, "h1")
		return fmt.Sprintf("%+v", now), now.State == "up" && now.AgentPID != before.AgentPID &&
			now.RuntimePID != before.RuntimePID && now.AgentPID != 0 && now.RuntimePID != 0
	})
	if got := stateOf(t, l, "h1").InitPID; got != before.InitPID {
		t.Error("the init ended too")
	}
}

func TestE2EAPausedHostTakesConnectionsButDoesNotAnswer(t *testing.T) {
	l := newTestLab(t)
	up(t, l, "a")
	target := address(t, l, "h1", PeerPort)
	until(t, "agent answers", 10*time.Second, func() (string, bool) {
		err := roundTrip(target, time.Second)
		return fmt.Sprint(err), err == nil
	})
	if err := l.Pause(t.Context(), "h1"); err != nil {
		t.Fatal(err)
	}
	if got := outcome(roundTrip(target, 500*time.Millisecond)); got != "timeout" {
		t.Errorf("a paused host: %s, want timeout", got)
	}
	if v := stateOf(t, l, "h1"); v.State != "paused" {
		t.Errorf("state: %+v", v)
	}
	if err := l.KillAgent(t.Context(), "h1"); !errors.Is(err, ErrState) {
		t.Errorf("kill --agent of a paused host: %v", err)
	}
	if err := l.Resume(t.Context(), "h1"); err != nil {
		t.Fatal(err)
	}
	if err := roundTrip(target, 2*time.Second); err != nil {
		t.Errorf("after resume: %v", err)
	}
	if err := l.Resume(t.Context(), "h1"); !errors.Is(err, ErrState) {
		t.Errorf("second resume: %v", err)
	}
	if err := l.Pause(t.Context(), "h1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Kill(t.Context(), "h1"); err != nil {
		t.Errorf("kill of a paused host: %v", err)
	}
}

func roundTrip(addr string, limit time.Duration) error {
	conn, err := net.DialTimeout("tcp", addr, limit)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit))
	if _, err = conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func TestE2ECutsDropOneWayOrBothAndHeal(t *testing.T) {
	l := newTestLab(t)
	up(t, l, "a", "b")
	target := address(t, l, "h2", PeerPort)
	see := func() string {
		return inside(t, l, "h1", labBinary(l.dir), "standin", "dial", target, "1")
	}
	hears := func() bool { // h2 gets what h1 sends, answers or not
		before := inside(t, l, "h2", "cat", "/sys/class/net/eth0/statistics/rx_bytes")
		_ = see()
		return before != inside(t, l, "h2", "cat", "/sys/class/net/eth0/statistics/rx_bytes")
	}
	if !strings.Contains(see(), "connected") {
		t.Fatal("no connection before the cut")
	}
	if err := l.Cut(t.Context(), "h2", "h1", true); err != nil {
		t.Fatal(err)
	}
	if out := see(); strings.Contains(out, "connected") || !strings.Contains(out, "timeout") {
		t.Errorf("answers of h2 cut: h1 saw %s", out)
	}
	if !hears() {
		t.Error("the way from h1 to h2 is cut too")
	}
	if err := l.Cut(t.Context(), "h1", "h2", false); err != nil {
		t.Fatal(err)
	}
	if out := see(); strings.Contains(out, "connected") {
		t.Errorf("both ways cut: h1 saw %s", out)
	}
	if err := roundTrip(target, time.Second); err != nil {
		t.Errorf("the hub is cut off too: %v", err)
	}
	if err := l.Cut(t.Context(), Hub, "h2", false); err != nil {
		t.Fatal(err)
	}
	if got := outcome(roundTrip(target, 500*time.Millisecond)); got != "timeout" {
		t.Errorf("hub and h2 cut: %s", got)
	}
	if err := l.Heal(t.Context(), "h1", "h2", false); err != nil {
		t.Fatal(err)
	}
	if out := see(); !strings.Contains(out, "connected") {
		t.Errorf("after heal: h1 saw %s", out)
	}
	if err := l.HealAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := roundTrip(target, time.Second); err != nil {
		t.Errorf("after heal of all: %v", err)
	}
}

func TestE2ETheRegistryServesAnImageAndFailsOnDemand(t *testing.T) {
	l := newTestLab(t)
	if err := l.Up(t.Context(), UpOptions{Zones: []string{"a"}, Empty: true}); err != nil {
		t.Fatal(err)
	}
	reference, err := l.PushWeb(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pull := []string{"ctr", "--address", containerdSocket, "-n", "skein", "images", "pull", "--plain-http", reference}
	until(t, "containerd up", 20*time.Second, func() (string, bool) {
		now := stateOf(t, l, "h1")
		code, err := l.Exec(t.Context(), "h1", []string{"ctr", "--address", containerdSocket, "version"}, nil, nil, nil)
		return fmt.Sprintf("%+v %d %v", now, code, err), err == nil && code == 0
	})
	begin := time.Now()
	out := inside(t, l, "h1", pull...)
	t.Logf("pull took %s\n%s", time.Since(begin).Round(time.Millisecond), out[max(0, len(out)-300):])

	base := "http://" + strings.SplitN(reference, "/", 2)[0] + "/v2/"
	if err := l.RegistryDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := outcome(get(base, time.Second)); got != "refused" {
		t.Errorf("registry down: %s, want refused", got)
	}
	if err := l.RegistryUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := get(base, time.Second); err != nil {
		t.Errorf("registry up again: %v", err)
	}
	if err := l.RegistrySlow(t.Context(), 64<<10); err != nil {
		t.Fatal(err)
	}
	blob := firstBlob(t, l)
	if err := get(base+"skein/web/blobs/"+blob, 2*time.Second); outcome(err) != "timeout" {
		t.Errorf("slow registry: %v, want a timeout", err)
	}
	if err := l.RegistrySlow(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := get(base+"skein/web/blobs/"+blob, 20*time.Second); err != nil {
		t.Errorf("registry no longer slow: %v", err)
	}
}

func get(url string, limit time.Duration) error {
	client := &http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// firstBlob is the digest of the largest blob the registry has.
func firstBlob(t *testing.T, l *Lab) string {
	t.Helper()
	var name string
	var size int64
	err := filepath.Walk(filepath.Join(l.dir, "blobs"), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Size() > size {
			size, name = info.Size(), path
		}
		return err
	})
	if err != nil || name == "" {
		t.Fatalf("no blobs: %v", err)
	}
	return "sha256:" + filepath.Base(name)
}
