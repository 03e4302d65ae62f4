package fdstore

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// An agent tells its manager of each of its ports before it goes on: hundreds of waits would
// keep it from its tasks for minutes.
func TestAManagerThatDoesNotReadIsWaitedForOnce(t *testing.T) {
	dir, err := os.MkdirTemp("", "sk") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "n")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	s := &Store{manager: path}
	const most = 10_000 // words that a kernel keeps for who does not read
	for sent := 0; ; sent++ {
		if s.patience() != sendTimeout {
			t.Fatalf("after %d words it has %s", sent, s.patience())
		}
		err = s.Drop("a")
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil || sent == most {
			t.Fatalf("after %d words: %v", sent, err)
		}
	}
	if s.patience() != stalledTimeout {
		t.Errorf("a manager that does not read has %s", s.patience())
	}
	if err = s.Drop("b"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it takes a word without room: %v", err)
	}
	if _, err = manager.Read(make([]byte, 1024)); err != nil {
		t.Fatal(err)
	}
	if err = s.Drop("c"); err != nil || s.patience() != sendTimeout {
		t.Errorf("a manager that reads again: %v, and has %s", err, s.patience())
	}
}
