package vfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFilesThatSomebodyNamesAreRegularAndOfABoundedLength(t *testing.T) {
	dir := t.TempDir()
	file, long, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "long"), filepath.Join(dir, "pipe")
	for name, text := range map[string]string{file: "secret", long: strings.Repeat("x", 20)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadRegular(OS, file, 10); err != nil || string(got) != "secret" {
		t.Errorf("%q, %v", got, err)
	}
	for name, why := range map[string]string{long: "more than 10 bytes", pipe: "no regular file", dir: "no regular file",
		"/dev/zero": "no regular file"} {
		if _, err := ReadRegular(OS, name, 10); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
