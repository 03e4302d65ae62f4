package lab

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAnAgentIsAskedOnlyWhereOneAnswers(t *testing.T) {
	dir := t.TempDir()
	file, left, open := filepath.Join(dir, "file"), filepath.Join(dir, "left"), filepath.Join(dir, "open")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{left, open} {
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		if path == left { // as an agent that is killed leaves it
			listener.SetUnlinkOnClose(false)
			_ = listener.Close()
			continue
		}
		defer listener.Close()
	}
	for path, want := range map[string]bool{file: false, left: false, filepath.Join(dir, "none"): false, open: true} {
		if got := answers(path); got != want {
			t.Errorf("%s: answers is %v", filepath.Base(path), got)
		}
	}
}

// Whoever gave the lab a name of its own learns what to say.
func TestALabThatIsNotThereNamesThoseThatAre(t *testing.T) {
	l := offline(t)
	other := &Lab{root: l.root, name: "mine"}
	state := &State{Format: stateFormat, Name: "mine", Dir: "/data", Made: time.Unix(1_800_000_000, 0).UTC(),
		Subnet: netip.MustParsePrefix("10.213.2.0/24")}
	if err := other.save(state); err != nil {
		t.Fatal(err)
	}
	if _, err := l.load(); err == nil || !strings.Contains(err.Error(), "name with --lab one that is up: mine") {
		t.Errorf("got %v", err)
	}
}
