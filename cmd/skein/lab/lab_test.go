package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// offline is a lab whose files lie in a folder of the test.
func offline(t *testing.T) *Lab {
	t.Helper()
	l, err := New(Options{Name: "test", Dir: filepath.Join(t.TempDir(), "data")})
	if err != nil {
		t.Fatal(err)
	}
	l.root = t.TempDir()
	return l
}

func TestLabNames(t *testing.T) {
	for _, name := range []string{"", "demo", "a", "t123456z"} {
		l, err := New(Options{Name: name})
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		const linkName = 15
		if len(l.bridge()) > linkName || len(l.port(maxHosts)) > linkName {
			t.Errorf("%q: links %s and %s are longer than %d bytes", name, l.bridge(), l.port(maxHosts), linkName)
		}
	}
	for _, name := range []string{"Demo", "9lives", "a-b", "a/b", "..", "toolongname", "ä", " ", "a\n"} {
		if _, err := New(Options{Name: name}); !errors.Is(err, ErrName) {
			t.Errorf("%q: got %v, want ErrName", name, err)
		}
	}
}

func TestABadZoneIsRefusedBeforeAnythingIsMade(t *testing.T) {
	l := offline(t)
	if err := l.Up(t.Context(), UpOptions{Zones: []string{"a", "../b"}}); err == nil ||
		!strings.Contains(err.Error(), `zone: "../b" is refused`) {
		t.Errorf("up: %v", err)
	}
	if _, err := l.Add(t.Context(), ""); err == nil || !strings.Contains(err.Error(), `zone: "" is refused`) {
		t.Errorf("add: %v", err)
	}
	left, err := os.ReadDir(l.root)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNoLabsNamesReachIntoAnothers(t *testing.T) {
	one, _ := New(Options{Name: "a"})
	two, _ := New(Options{Name: "ab"})
	if strings.HasPrefix(two.port(1), one.portPrefix()) || one.bridge() == two.bridge() {
		t.Errorf("%s reaches %s", one.portPrefix(), two.port(1))
	}
}

func TestStateSurvivesItsFile(t *testing.T) {
	l := offline(t)
	if _, err := l.load(); !errors.Is(err, ErrNoLab) || !strings.Contains(err.Error(), "skein lab up --lab test") {
		t.Errorf("no file: %v", err)
	}
	want := &State{
		Format: stateFormat, Name: "test", Dir: "/data", Made: time.Unix(1_800_000_000, 0).UTC(),
		Subnet:   netip.MustParsePrefix("10.213.1.0/24"),
		Registry: Process{PID: 7, Start: 8},
		Hosts: []Host{{N: 1, Name: "h1", Zone: "a", Addr: netip.MustParseAddr("10.213.1.11"), Init: Process{9, 10},
			BootID: "b", Joined: true}, {N: 4, Name: "h4"}},
		Cuts: []Cut{{netip.MustParseAddr("10.213.1.11"), netip.MustParseAddr("10.213.1.12")}},
	}
	if err := l.save(want); err != nil {
		t.Fatal(err)
	}
	got, err := l.load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("state (-saved +loaded):\n%s", diff)
	}
	if n := got.nextNumber(); n != 5 {
		t.Errorf("next host: %d, want 5", n)
	}
	if _, err := got.host("h2"); !errors.Is(err, ErrNoHost) || !strings.Contains(err.Error(), "h1, h4") {
		t.Errorf("unknown host: %v", err)
	}
	if all := l.allStates(); len(all) != 1 || all[0].Name != "test" {
		t.Errorf("all states: %v", all)
	}
}

func TestUnreadableStateSaysWhatToDo(t *testing.T) {
	newer, _ := json.Marshal(State{Format: stateFormat + 1, Name: "test"})
	for name, content := range map[string][]byte{
		"cut short": []byte(`{"Format":1,`), "empty": nil, "of a newer format": newer,
		"huge": bytes.Repeat([]byte(" "), maxStateBytes+1),
	} {
		l := offline(t)
		if err := os.WriteFile(l.stateFile(), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := l.load(); err == nil || !strings.Contains(err.Error(), "skein lab down --lab test") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheSecondWaitsAndSaysForWhom(t *testing.T) {
	name := filepath.Join(t.TempDir(), "run", "lock")
	first, err := acquire(t.Context(), name, "skein lab up (pid 1)", time.Second, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	say := func(text string) { said = append(said, text) }
	_, err = acquire(t.Context(), name, "skein lab kill (pid 2)", 2*lockPoll, say)
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "skein lab up (pid 1)") {
		t.Errorf("held too long: %v", err)
	}
	if diff := cmp.Diff([]string{"waiting for skein lab up (pid 1)"}, said); diff != "" {
		t.Error(diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = acquire(ctx, name, "", time.Minute, say); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// The holder removes the file at its end, as down does: the next makes another.
	if err = first.remove(); err != nil {
		t.Fatal(err)
	}
	first.release()
	second, err := acquire(t.Context(), name, "skein lab up (pid 3)", time.Second, say)
	if err != nil {
		t.Fatal(err)
	}
	defer second.release()
	if holder, _ := os.ReadFile(name); string(holder) != "skein lab up (pid 3)" {
		t.Errorf("holder in the file: %q", holder)
	}
}

func TestALockOnARemovedFileIsNoLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	first, _, err := tryLock(name, "one")
	if err != nil {
		t.Fatal(err)
	}
	defer first.release()
	if err = os.Remove(name); err != nil {
		t.Fatal(err)
	}
	second, _, err := tryLock(name, "two")
	if err != nil || second == nil {
		t.Fatalf("the new file: %v, %v", second, err)
	}
	defer second.release()
	if sameFile(first.file, name) {
		t.Error("the first holder still believes in its lock")
	}
}

func TestAPidAloneIsNotAProcess(t *testing.T) {
	self, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !self.alive() || (Process{}).alive() {
		t.Error("this process should live, none should not")
	}
	child := exec.Command("sleep", "60")
	if err = child.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := identify(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	successor := Process{p.PID, p.Start + 1}
	if successor.alive() {
		t.Error("a pid with another start time counts as alive")
	}
	// A signal takes effect a little later, so the process is watched for a while.
	if err := successor.kill(); err != nil || p.waitGone(300*time.Millisecond) == nil {
		t.Errorf("a successor's process was killed: %v", err)
	}
	if err := p.kill(); err != nil {
		t.Fatal(err)
	}
	// It is a zombie until we reap it, and gone all the same.
	if err := p.waitGone(5 * time.Second); err != nil {
		t.Error(err)
	}
	_ = child.Wait()
	if err := p.kill(); err != nil {
		t.Errorf("kill of a process that is gone: %v", err)
	}
}

func TestAFolderThatHoldsSomethingElseIsNeitherUsedNorRemoved(t *testing.T) {
	l := offline(t)
	l.binary = os.Args[0]
	file := filepath.Join(l.dir, "precious")
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.makeFolder(); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("used: %v", err)
	}
	if err := l.removeFolder(l.dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("removed: %v", err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, marker), []byte("other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.removeFolder(l.dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("another lab's folder was removed: %v", err)
	}
}

func TestAMarkedFolderIsRemovedWhole(t *testing.T) {
	l := offline(t)
	l.binary = filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(l.binary, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.makeFolder(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(labBinary(l.dir)); err != nil || string(b) != "program" {
		t.Errorf("copy of the program: %q, %v", b, err)
	}
	if err := foldersOf(l.dir, "h1").make(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.removeFolder(l.dir); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(l.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

func TestBootIDsHaveTheKernelsFormAndDiffer(t *testing.T) {
	kernel, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	one, two := newBootID(), newBootID()
	if one == two || len(one) != len(strings.TrimSpace(string(kernel))) || strings.Count(one, "-") != 4 {
		t.Errorf("got %s and %s, the kernel's is %s", one, two, kernel)
	}
}

func TestSkeinCommandLines(t *testing.T) {
	c := SkeinCommands{}
	got := map[string]string{
		"agent": strings.Join(c.Agent("/bin/skein", "/etc/agent.toml"), " "),
		"init":  strings.Join(c.Init("/bin/skein", "/etc/agent.toml"), " "),
		"token": strings.Join(c.Token("/bin/skein", "/etc/agent.toml"), " "),
		"join": strings.Join(c.Join("/bin/skein", "/etc/agent.toml", netip.MustParseAddrPort("10.213.1.11:7700"),
			"skein1.x"), " "),
	}
	want := map[string]string{
		"agent": "/bin/skein agent --config /etc/agent.toml",
		"init":  "/bin/skein init --config /etc/agent.toml",
		"token": "/bin/skein token create --socket /run/skein/agent.sock",
		"join":  "/bin/skein join 10.213.1.11:7700 skein1.x --config /etc/agent.toml",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOutputIsCapped(t *testing.T) {
	var c capped
	for range 3 {
		if n, err := c.Write(make([]byte, maxOutput)); n != maxOutput || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	if c.Len() != maxOutput {
		t.Errorf("kept %d bytes", c.Len())
	}
}

func TestTheOperatorTokenIsSharedWhereThereIsOne(t *testing.T) {
	dir := t.TempDir()
	from, to := foldersOf(dir, "h1"), foldersOf(dir, "h2")
	for _, f := range []hostFolders{from, to} {
		if err := f.make(); err != nil {
			t.Fatal(err)
		}
	}
	if err := shareOperatorToken(from, to); err != nil {
		t.Errorf("none to share: %v", err)
	}
	if err := os.WriteFile(from.operatorToken, []byte("skein1o.x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := shareOperatorToken(from, to); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(to.operatorToken)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("shared token: %v, %v", info, err)
	}
}

func TestExplainingAHostsState(t *testing.T) {
	self, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host Host
		want string
	}{
		{Host{Name: "h2"}, "skein lab start h2"},
		{Host{Name: "h2", Init: self, Paused: true}, "skein lab resume h2"},
	} {
		if err := mustRun(&c.host); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.host, err)
		}
	}
	if err := mustRun(&Host{Init: self}); err != nil {
		t.Error(err)
	}
}

func ExampleMissing() {
	err := error(&Missing{[]Thing{{"root", "run this command with sudo"}, {"runc on PATH", "apt-get install runc"}}})
	fmt.Println(err)
	// Output:
	// this machine cannot carry a lab yet:
	//   - root: run this command with sudo
	//   - runc on PATH: apt-get install runc
}
