package vfs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A file that a container has mounted is the same file for ever, and ends where its text does.
func TestASharedFileStaysTheSameFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(text string) {
		t.Helper()
		if err := WriteShared(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("first, and longer\n")
	mounted, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer mounted.Close()
	for _, text := range []string{"second\n", "second\n", strings.Repeat("third\n", 1_000), "fourth\n", ""} {
		write(text)
		got, err := io.ReadAll(io.NewSectionReader(mounted, 0, 1<<20))
		if err != nil || string(got) != text {
			t.Errorf("who has the file open reads %.40q, %v; want %.40q", got, err, text)
		}
	}
}

// Tasks run as any user, the agent under the umask that its service manager gave it.
func TestASharedFileIsReadByEverybody(t *testing.T) {
	was := syscall.Umask(0o077)
	defer syscall.Umask(was)
	dir := t.TempDir()
	for sentence, before := range map[string]func(name string) error{
		"a new file":                   func(string) error { return nil },
		"one that only its owner read": func(name string) error { return os.WriteFile(name, []byte("old\n"), 0o600) },
		"one that has this text":       func(name string) error { return os.WriteFile(name, []byte("text\n"), 0o600) },
	} {
		t.Run(sentence, func(t *testing.T) {
			name := filepath.Join(dir, strings.ReplaceAll(sentence, " ", "-"))
			if err := before(name); err != nil {
				t.Fatal(err)
			}
			if err := WriteShared(name, []byte("text\n")); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != 0o644 {
				t.Errorf("its mode is %v, want -rw-r--r--", info.Mode())
			}
		})
	}
}

func TestASharedFileIsNoPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "hosts")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteShared(name, []byte("text\n")); err == nil || !strings.Contains(err.Error(), "pipe") {
		t.Errorf("a pipe is written to: %v", err)
	}
}

func TestAtNoStepASharedFileIsNeitherTextNorTheOther(t *testing.T) {
	texts := []string{"", "short\n", "of the middle\n", strings.Repeat("long\n", 2_000)}
	for _, old := range texts {
		for _, text := range texts {
			f := steps{text: []byte(old)}
			if err := overwrite(&f, []byte(old), []byte(text)); err != nil {
				t.Fatal(err)
			}
			for i, seen := range f.seen {
				if seen = strings.TrimRight(seen, "\n"); seen != strings.TrimRight(old, "\n") &&
					seen != strings.TrimRight(text, "\n") {
					t.Errorf("from %.20q to %.20q: after step %d it is %.40q", old, text, i+1, seen)
				}
			}
			if string(f.text) != text {
				t.Errorf("from %.20q to %.20q: in the end it is %.40q", old, text, f.text)
			}
		}
	}
}

// steps is a file that remembers what it was after each change.
type steps struct {
	text []byte
	seen []string
}

func (s *steps) WriteAt(b []byte, at int64) (int, error) {
	if at > int64(len(s.text)) {
		return 0, fmt.Errorf("a hole from %d to %d", len(s.text), at)
	}
	grown := append(s.text[:at:at], b...)
	if len(grown) < len(s.text) {
		grown = append(grown, s.text[len(grown):]...)
	}
	s.text = grown
	s.seen = append(s.seen, string(s.text))
	return len(b), nil
}

func (s *steps) Truncate(size int64) error {
	s.text = s.text[:size]
	s.seen = append(s.seen, string(s.text))
	return nil
}
