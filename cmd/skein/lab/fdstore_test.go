package lab

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// awaitHeld waits until the store has files of just these names, which it returns as the next
// process of the service would get them.
func awaitHeld(t *testing.T, s *fdStore, names ...string) (fds []uintptr) {
	t.Helper()
	want := "LISTEN_FDNAMES=" + strings.Join(names, ":")
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		var env []string
		s.lend(func(f []uintptr, e []string) { fds, env = f, e })
		if len(names) == 0 && len(fds) == 0 || slices.Contains(env, want) && len(fds) == len(names) {
			return fds
		}
		if time.Now().After(deadline) {
			t.Fatalf("the store lends %v with %q, want %q", fds, env, want)
		}
	}
}

func TestTheLabKeepsFilesOfAServiceAsSystemdDoes(t *testing.T) {
	dir, err := os.MkdirTemp("", "sk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := openFDStore(filepath.Join(dir, "n"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.clear)
	tell := func(text string, files ...*os.File) {
		t.Helper()
		to := &net.UnixAddr{Name: s.socket, Net: "unixgram"}
		conn, failed := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
		if failed != nil {
			t.Fatal(failed)
		}
		defer conn.Close()
		var fds []int
		for _, file := range files {
			fds = append(fds, int(file.Fd()))
		}
		if _, _, failed = conn.WriteMsgUnix([]byte(text), syscall.UnixRights(fds...), to); failed != nil {
			t.Fatal(failed)
		}
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	tell("READY=1")
	tell("FDSTORE=1\nFDNAME=a", write)
	tell("FDSTORE=1\nFDNAME=b\n", read)
	write.Close() // its owner has ended
	fds := awaitHeld(t, s, "a", "b")
	if _, err = syscall.Write(int(fds[0]), []byte("x")); err != nil {
		t.Errorf("the file is not open: %v", err)
	}
	tell("FDSTOREREMOVE=1\nFDNAME=b")
	awaitHeld(t, s, "a")
	s.clear()
	awaitHeld(t, s)
	b := make([]byte, 2)
	n, err := read.Read(b)
	if n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err = read.Read(b); err == nil {
		t.Error("a file is held that was given up")
	}
}
