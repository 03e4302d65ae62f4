// Package corpustest keeps what former builds wrote, and has tests read it again.
//
// A corpus is testdata/corpus of a package: a folder for each format, in it files
// named after a kind of thing and the hash of their bytes, each beside a file
// ".want" that says what reading it must give. Files are added, never changed:
//
//	go test -run Corpus ./raftfsm/fleet/wire ./gossip ./agent/converge ./agent/peer/... ./agent/trust -record
//
// What stands there of a format that is closed is written down once more, for all
// packages together: see CheckClosed.
//
// It is for tests only, and knows nothing of what the bytes mean.
package corpustest

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skein/raftfsm/fleet"
)

var record = flag.Bool("record", false, "add what this build writes to testdata/corpus; nothing there ever changes")

// root is the corpus of the package under test.
const root = "testdata/corpus"

// Kind is one kind of thing that is kept or sent: "log", "journal".
type Kind struct {
	Name string
	// Now is what this build writes for a fixed example.
	Now []byte
	// Read reads such bytes, of this build or an older one, and says what they mean:
	// the bytes of what was read, in a form that no later field changes.
	Read func([]byte) ([]byte, error)
}

// Check reads everything of a kind in the corpus, of all formats, and has what this
// build writes be part of it.
func Check(t *testing.T, k Kind) {
	t.Helper()
	if _, err := os.Stat(k.file()); os.IsNotExist(err) {
		missing(t, k)
	}
	for _, file := range files(t, "format-*", k) {
		check(t, file, k)
	}
}

// CheckKept is Check for what differs each time it is written, as with new keys:
// the corpus has one such thing of each format, which write makes.
func CheckKept(t *testing.T, k Kind, write func() []byte) {
	t.Helper()
	if len(files(t, formatFolder(), k)) == 0 {
		k.Now = write()
		missing(t, k)
	}
	for _, file := range files(t, "format-*", k) {
		check(t, file, k)
	}
}

// missing adds what this build writes, or asks for it.
func missing(t *testing.T, k Kind) {
	t.Helper()
	if *record {
		add(t, k.file(), k)
		return
	}
	t.Errorf("what this build writes is not in the corpus as %s: run the test again with -record, and commit what it adds",
		k.file())
}

func formatFolder() string { return fmt.Sprintf("format-%d", fleet.FormatVersion) }

// file is where what this build writes is kept.
func (k Kind) file() string {
	return filepath.Join(root, formatFolder(), k.Name+"-"+digest(k.Now)[:16])
}

// files are those of a kind in the folders that match.
func files(t *testing.T, folders string, k Kind) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(root, folders, k.Name+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(file string) bool { return strings.HasSuffix(file, ".want") })
}

func add(t *testing.T, name string, k Kind) {
	t.Helper()
	got, err := k.Read(k.Now)
	if err != nil {
		t.Fatalf("%s: %v", k.Name, err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string][]byte{name: k.Now, name + ".want": []byte(digest(got) + "\n")} {
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func check(t *testing.T, file string, k Kind) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(file + ".want")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(file, "-"+digest(b)[:16]) {
		t.Errorf("%s has been changed", file)
	}
	got, err := k.Read(b)
	if err != nil {
		t.Errorf("%s cannot be read any more: %v", file, err)
		return
	}
	if digest(got) != strings.TrimSpace(string(want)) {
		t.Errorf("%s means something else than it did: %s, was %s", file, digest(got), strings.TrimSpace(string(want)))
	}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
