package node

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyASocketMakesRoomForTheSocket(t *testing.T) {
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "file"), filepath.Join(dir, "socket")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false) // as one whose agent was killed
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, dir} {
		if err := removeSocket(name); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if kept, err := os.ReadFile(file); string(kept) != "precious" {
		t.Errorf("the file holds %q, %v", kept, err)
	}
	for range 2 {
		if err := removeSocket(socket); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the dead socket is still there: %v", err)
	}
}
