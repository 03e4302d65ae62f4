package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A citation is the path of a page, from the file's own folder or the top, and
// maybe a heading of it or an invariant: `agent/plan/DESIGN.md "Counts"`,
// `cmd/skein/DESIGN.md I9`. It may be broken over two lines of a comment.
var citation = regexp.MustCompile(`([\w./-]*\b[\w-]+\.md)\b` + "`?" + `(?:,?[\s/]+"([^"\n]+)"|[\s/]+(I\d+)\b)?`)

// Pages that comments once named and that nobody can open.
var unresolved = regexp.MustCompile(`\bMECHANICS\b`)

func TestEveryCitationResolves(t *testing.T) {
	top := filepath.Join("..", "..")
	found := 0
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == "bin" || strings.HasPrefix(name, ".") && path != top {
				return filepath.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".md" || d.Name() == "citations_test.go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if word := unresolved.Find(text); word != nil {
			t.Errorf("%s cites %s, which is not in the repository", path, word)
		}
		for _, c := range citation.FindAllStringSubmatch(string(text), -1) {
			found++
			checkCitation(t, top, path, c[1], c[2], c[3])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 50 {
		t.Errorf("only %d citations were found: the test does not see them", found)
	}
}

func checkCitation(t *testing.T, top, from, page, heading, invariant string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(from), page))
	if err != nil {
		text, err = os.ReadFile(filepath.Join(top, page))
	}
	if err != nil {
		t.Errorf("%s cites %s, which is neither beside it nor at the top", from, page)
		return
	}
	if heading != "" && !regexp.MustCompile(`(?m)^#+ .*`+regexp.QuoteMeta(heading)).Match(text) {
		t.Errorf("%s cites %q of %s, which has no such heading", from, heading, page)
	}
	if invariant != "" && !strings.Contains(string(text), "| "+invariant+" |") {
		t.Errorf("%s cites %s of %s, which does not list it", from, invariant, page)
	}
}
