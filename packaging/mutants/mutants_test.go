package main

import (
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// broken is what becomes of the body of a function by one operator, each break in its order.
func broken(t *testing.T, signature, body, operator string) []string {
	t.Helper()
	source := "package p\n\nfunc f" + signature + " {\n" + body + "\n}\n"
	found, err := sitesOf("p", "p.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, s := range found {
		if s.Operator != operator {
			continue
		}
		text := source[:s.from] + s.replacement + source[s.to:]
		if _, err := parser.ParseFile(token.NewFileSet(), "p.go", text, 0); err != nil {
			t.Errorf("%s leaves what is no Go: %v\n%s", operator, err, text)
		}
		text = strings.TrimSuffix(strings.SplitN(text, "{\n", 2)[1], "\n}\n")
		texts = append(texts, text)
	}
	return texts
}

func TestEachOperatorBreaksAsItsNameSays(t *testing.T) {
	for _, c := range []struct {
		operator, signature, body string
		want                      []string
	}{
		{negate, "()", "if a { b() }", []string{"if !(a) { b() }"}},
		{negate, "()", "if err != nil { b() }", nil},
		{dropGuard, "() error", "if err != nil { return err }", []string{"if false && (err != nil) { return err }"}},
		{dropGuard, "()", "if a { b() }", nil},
		{boundary, "()", "x = a < b", []string{"x = a <= b"}},
		{reverse, "()", "x = a.Epoch == b", []string{"x = a.Epoch >= b"}},
		{reverse, "()", "x = size < b", nil},
		{connective, "()", "x = a && b", []string{"x = (a || b)"}},
		{dropOperand, "()", "x = a || b", []string{"x = (a || (false && (b)))"}},
		{offByOne, "()", "x = a[1:n-2]", []string{"x = a[2:n-2]", "x = a[1:n-3]"}},
		{plusMinus, "()", "x = a - b", []string{"x = (a + b)"}},
		{drop, "()", "x.y = a", []string{"_ = func() { x.y = a }"}},
		{drop, "()", "m.mu.Lock()\nm.log.Info(a)\nput(a)", []string{"m.mu.Lock()\nm.log.Info(a)\n_ = func() { put(a) }"}},
		{dropAppend, "()", "x = append(x, a)", []string{"_ = func() { x = append(x, a) }"}},
		{dropDefer, "()", "defer f.Close()\ndefer done(a)", []string{"defer f.Close()\n_ = func() { defer done(a) }"}},
		{loseError, "() (int, error)", "return 1, err", []string{"return 1, func(error) error { return nil }(err)"}},
		{loseError, "() (int, error)", "return g()", nil},
		{loseError, "() (int, error)", "return 1, nil", nil},
		{returnEarly, "() (int, *T)", "a()\nb()\nreturn c()", []string{"a()\nreturn *new(int), *new(*T); b()\nreturn c()"}},
		{returnEarly, "()", "m.Lock()\na()\nm.Unlock()", nil},
		{flip, "() bool", "return true", []string{"return false"}},
		{minMax, "()", "x = min(a, b)", []string{"x = max(a, b)"}},
		{skipCase, "()", "switch a {\ncase 1:\nb()\ndefault:\nc()\n}", []string{
			"switch a {\ncase 1:\nif func() bool { return false }() { b() }\ndefault:\nc()\n}",
		}},
		{stopLoop, "()", "for { continue }", []string{"for { break }"}},
	} {
		if got := broken(t, c.signature, c.body, c.operator); !slices.Equal(got, c.want) {
			t.Errorf("%s of %q:\n got %q\nwant %q", c.operator, c.body, got, c.want)
		}
	}
}

func theModule(t *testing.T) (*module, []site) {
	t.Helper()
	m, err := loadModule(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sites, err := m.sites(nil)
	if err != nil {
		t.Fatal(err)
	}
	return m, sites
}

func TestEachBreakOfThisRepositoryIsGoAndHasItsOwnID(t *testing.T) {
	m, sites := theModule(t)
	if len(sites) < 10_000 {
		t.Fatalf("only %d breaks in %d packages", len(sites), len(m.packages))
	}
	ids := map[string]bool{}
	for i, s := range sites {
		if ids[s.ID] {
			t.Errorf("two breaks have the ID %s: %+v", s.ID, s)
		}
		ids[s.ID] = true
		if i%20 != 0 {
			continue
		}
		text, err := s.mutated()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.ParseFile(token.NewFileSet(), s.File, text, parser.SkipObjectResolution); err != nil {
			t.Errorf("%s of %s:%d is no Go: %v", s.Operator, s.File, s.Line, err)
		}
	}
	for _, s := range sites {
		if strings.HasPrefix(s.Package, "agent/sim") || strings.HasSuffix(s.Package, "test") {
			t.Fatalf("%s tests and is not tested: nothing of it is drawn", s.Package)
		}
	}
}

func TestADrawDependsOnWhatLinesSayAndNotOnWhereTheyStand(t *testing.T) {
	source := "package p\n"
	for i := range 50 {
		source += fmt.Sprintf("func f%d() { a%d = b < c }\n", i, i)
	}
	drawOf := func(source string, seed uint64) []string {
		sites, err := sitesOf("p", "p.go", []byte(source))
		if err != nil {
			t.Fatal(err)
		}
		number(sites)
		drawn, _ := draw(sites, seed, 10, nil, func(site) bool { return true })
		var ids []string
		for _, s := range drawn {
			ids = append(ids, s.ID)
		}
		return ids
	}
	first := drawOf(source, 1)
	if len(first) != 10 {
		t.Fatalf("10 asked, %d drawn", len(first))
	}
	lower := strings.Replace(source, "package p\n", "package p\n\n// A comment.\nvar x int\n", 1)
	if moved := drawOf(lower, 1); !slices.Equal(first, moved) {
		t.Errorf("lines above change the draw:\n%v\n%v", first, moved)
	}
	if other := drawOf(source, 2); slices.Equal(first, other) {
		t.Error("another seed draws the same")
	}
}

func TestEquivalentsAndWhatDoesNotCompileArePassedOver(t *testing.T) {
	var sites []site
	for i := range 5 {
		sites = append(sites, site{
			ID: fmt.Sprint(i), File: "f", Line: i, Package: "p", Func: "f", Operator: drop, Text: fmt.Sprint("a", i),
		})
	}
	path := filepath.Join(t.TempDir(), "equivalent.txt")
	if err := os.WriteFile(path, []byte("# why\np\tf\tdrop statement\ta3\tit is set again\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	equal, err := readEquivalents(path)
	if err != nil {
		t.Fatal(err)
	}
	drawn, skipped := draw(sites, 1, 5, equal, func(s site) bool { return s.ID != "2" })
	if len(drawn) != 3 || len(skipped) != 1 || skipped[0].ID != "3" {
		t.Errorf("drawn %v, skipped %v", drawn, skipped)
	}
	if err := os.WriteFile(path, []byte("p\tf\tdrop statement\ta3\t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readEquivalents(path); err == nil || !strings.Contains(err.Error(), "reason") {
		t.Errorf("an equivalent without a reason: %v", err)
	}
}

func TestTheEquivalentsOfThisRepositoryAreThere(t *testing.T) {
	m, sites := theModule(t)
	equal, err := readEquivalents(filepath.Join(m.root, "packaging/mutants/equivalent.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sites {
		delete(equal, [4]string{s.Package, s.Func, s.Operator, s.Text})
	}
	for key := range equal {
		t.Errorf("equivalent.txt excludes what is not there any more: %q", key)
	}
}

// TestMain is also a program that fills the memory, for the test of bounds.
func TestMain(m *testing.M) {
	if os.Getenv("MUTANTS_FILL") != "" {
		for full := make([]byte, 1<<20); ; full = append(full, full...) {
			for i := 0; i < len(full); i += 4096 {
				full[i] = 1
			}
		}
	}
	os.Exit(m.Run())
}

func TestAProgramUnderTestIsBoundedAndEndsAtItsFirstFailure(t *testing.T) {
	for _, c := range []struct {
		name, script, want string
		limit              time.Duration
	}{
		{"what passes has no failure", "echo '--- PASS: TestA'", "", time.Minute},
		{"what fails is named, and is not waited for", "echo '--- FAIL: TestB (1s)'; sleep 600", "TestB", time.Minute},
		{"a subtest is named", "echo '    --- FAIL: TestB/c (0.1s)'; exit 1", "TestB/c", time.Minute},
		{"a panic fails", "echo panic; exit 2", "program: exit status 2", time.Minute},
		{"what loops is ended, with its children", "sleep 600 & while :; do :; done", "timeout", 300 * time.Millisecond},
		{"what fills the memory is ended", "MUTANTS_FILL=1 exec " + os.Args[0], "program: exit status 2", time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := bounded(t.Context(), t.TempDir(), limits{c.limit, 256 << 20}, os.Environ(), "bash", "-c", c.script)
			if err != nil {
				t.Fatal(err)
			}
			if o.failed != c.want {
				t.Errorf("failed %q, want %q; it said %s", o.failed, c.want, o.said)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bounded(ctx, t.TempDir(), limits{time.Minute, maxMemory}, os.Environ(), "sleep", "600"); err == nil {
		t.Error("an interrupt is no outcome")
	}
}

func TestResultsAreKeptAndSurvivorsRunAgainOnAnotherTree(t *testing.T) {
	folder := t.TempDir()
	r, err := openResults(folder)
	if err != nil {
		t.Fatal(err)
	}
	sites := []site{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	for _, one := range []result{
		{site: sites[0], Tree: "t1", Unit: "p TestA", Sim: none},
		{site: sites[1], Tree: "t1", Unit: none, Sim: unreached},
	} {
		if err = r.add(one); err != nil {
			t.Fatal(err)
		}
	}
	r.close()
	if r, err = openResults(folder); err != nil {
		t.Fatal(err)
	}
	defer r.close()
	for _, c := range []struct {
		tree string
		only []string
		want string
	}{{"t1", nil, "c"}, {"t2", nil, "b"}, {"t1", []string{"a"}, "a"}} {
		if next := r.next(sites, c.tree, c.only, false); next == nil || next.ID != c.want {
			t.Errorf("tree %s, only %v: next is %v, want %s", c.tree, c.only, next, c.want)
		}
	}
	var out strings.Builder
	r.print(&out, sites, nil, "t1")
	want := "unit tests caught 1 of 2; the simulator caught 0 of 2, of the 1 that it comes to; 1 survived both"
	if !strings.Contains(out.String(), want) {
		t.Errorf("want %q in\n%s", want, out.String())
	}
}

func TestReachIsTheSmallestStretchThatHoldsAPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profile")
	profile := "mode: set\nskein/p/f.go:1.10,9.2 3 1\nskein/p/f.go:3.5,5.3 1 0\n"
	if err := os.WriteFile(path, []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := readReach(path)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[int]bool{2: true, 4: false, 6: true, 12: false} {
		if got := r.contains(site{File: "p/f.go", Line: line, Column: 8}); got != want {
			t.Errorf("line %d: %v, want %v", line, got, want)
		}
	}
}
