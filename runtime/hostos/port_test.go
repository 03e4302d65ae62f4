package hostos

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheProgramThatHasAPortIsNamed(t *testing.T) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := held.Addr().(*net.TCPAddr).Port
	if got, want := (Machine{}).PortHolder(port), fmt.Sprintf("(process %d)", os.Getpid()); !strings.HasSuffix(got, want) {
		t.Errorf("port %d is said to be held by %q, want ... %s", port, got, want)
	}
	_ = held.Close()
	if got := (Machine{}).PortHolder(port); got != "" {
		t.Errorf("port %d, which is closed, is said to be held by %q", port, got)
	}
}

func TestAProgramsNameCannotSteerATerminal(t *testing.T) {
	proc := t.TempDir()
	put := func(name, text string) {
		path := filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("net/tcp6", "head\n   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A "+
		"00000000:00000000 00:00000000 00000000 0 0 4711 1 0 100 0 0 10 0\n")
	put("12/comm", "ev\x1b[2Jil\xff\n")
	put("12/fd/none", "")
	if err := os.Symlink("socket:[4711]", filepath.Join(proc, "12/fd/3")); err != nil {
		t.Fatal(err)
	}
	if got := (Machine{Proc: proc}).PortHolder(80); got != "ev[2Jil (process 12)" {
		t.Errorf("the holder is %q", got)
	}
	if got := (Machine{Proc: proc}).PortHolder(8080); got != "" {
		t.Errorf("port 8080 is said to be held by %q", got)
	}
}
