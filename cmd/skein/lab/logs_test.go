package lab

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheEndOfALogIsItsLastLines(t *testing.T) {
	long := strings.Repeat("x", 2*maxLineBytes)
	for _, c := range []struct {
		name, text, want string
		lines            int
	}{
		{"the last line", "a\nb\nc\n", "c\n", 1},
		{"the last two", "a\nb\nc\n", "b\nc\n", 2},
		{"as many as there are", "a\nb\nc\n", "a\nb\nc\n", 3},
		{"more than there are", "a\nb\nc\n", "a\nb\nc\n", 9},
		{"a line that is still being written counts", "a\nb\nc", "b\nc", 2},
		{"an empty line counts", "a\n\nc\n", "\nc\n", 2},
		{"an empty log", "", "", 5},
		{"one line longer than the bound is cut at its front", "a\n" + long, long[:maxLineBytes], 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if err = seekLines(file, c.lines); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(file)
			if err != nil || string(got) != c.want {
				t.Errorf("%s: %d bytes, %v; want %d", shown(string(got)), len(got), err, len(c.want))
			}
		})
	}
}

func shown(s string) string { return fmt.Sprintf("%.40q", s) }
