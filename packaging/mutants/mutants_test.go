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

// broken is what becomes of the body of a function by one operator, each break in its order: by itself, and with its
// switch.
func broken(t *testing.T, signature, body, operator string) (plain, both []string) {
	t.Helper()
	source := "package p\n\nfunc f" + signature + " {\n" + body + "\n}\n"
	found, err := sitesOf("p", "p.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	number(found)
	for _, s := range found {
		if s.Operator != operator {
			continue
		}
		text := switched(source, 0, len(source), []site{s})
		if _, err := parser.ParseFile(token.NewFileSet(), "p.go", text, 0); err != nil {
			t.Errorf("%s leaves what is no Go: %v\n%s", operator, err, text)
		}
		text = strings.ReplaceAll(strings.ReplaceAll(text, mark+s.ID+"*/", ""), s.on(), "ON")
		both = append(both, strings.TrimSuffix(strings.SplitN(text, "{\n", 2)[1], "\n}\n"))
		plain = append(plain, s.replacement)
	}
	return plain, both
}

func TestEachOperatorBreaksAsItsNameSays(t *testing.T) {
	for _, c := range []struct {
		operator, signature, body string
		want                      []string
	}{
		{negate, "()", "if a { b() }", []string{"!(a)"}},
		{negate, "()", "if err != nil { b() }", nil},
		{dropGuard, "() error", "if err != nil { return err }", []string{"false && (err != nil)"}},
		{dropGuard, "()", "if a { b() }", nil},
		{boundary, "()", "x = a < b", []string{"a <= b"}},
		{reverse, "()", "x = a.Epoch == b", []string{"a.Epoch >= b"}},
		{reverse, "()", "x = size < b", nil},
		{connective, "()", "x = a && b", []string{"a || b"}},
		{dropOperand, "()", "x = a || b", []string{"a"}},
		{offByOne, "()", "x = a[1:n-2]", []string{"2", "n - 3"}},
		{offByOne, "()", "x = n < 2", []string{"n < 3"}},
		{plusMinus, "()", "x = a - b", []string{"a + b"}},
		{minMax, "()", "x = min(a, b)", []string{"max(a, b)"}},
		{flip, "() bool", "return true", []string{"false"}},
		{loseError, "() (int, error)", "return 1, err", []string{"nil"}},
		{loseError, "() (int, error)", "return g()", nil},
		{loseError, "() (int, error)", "return 1, nil", nil},
	} {
		if got, _ := broken(t, c.signature, c.body, c.operator); !slices.Equal(got, c.want) {
			t.Errorf("%s of %q:\n got %q\nwant %q", c.operator, c.body, got, c.want)
		}
	}
}

func TestABreakAndWhatIsWholeStandInOneProgram(t *testing.T) {
	for _, c := range []struct {
		operator, signature, body string
		want                      []string
	}{
		{boundary, "()", "x = a < b", []string{"x = (ON && (a <= b) || !ON && (a < b))"}},
		{plusMinus, "()", "x = a - b", []string{"x = skeinPick(ON, a + b, a - b)"}},
		{drop, "()", "x.y = a", []string{"if !ON { x.y = a }"}},
		{drop, "()", "m.mu.Lock()\nm.log.Info(a)\nput(a)", []string{"m.mu.Lock()\nm.log.Info(a)\nif !ON { put(a) }"}},
		{drop, "()", "for ; a; i++ {}\nif x = b(); x {}", nil},
		{dropAppend, "()", "x = append(x, a)", []string{"if !ON { x = append(x, a) }"}},
		{dropDefer, "()", "defer f.Close()\ndefer done(a)", []string{"defer f.Close()\nif !ON { defer done(a) }"}},
		{loseError, "() error", "return err", []string{"return func(e error) error { if ON { return nil }; return e }(err)"}},
		{returnEarly, "() (int, *T)", "a()\nb()\nreturn c()", []string{
			"a()\nif ON { return *new(int), *new(*T) }; b()\nreturn c()",
		}},
		{returnEarly, "()", "m.Lock()\na()\nm.Unlock()", nil},
		{skipCase, "()", "switch a {\ncase 1:\nb()\ndefault:\nc()\n}", []string{
			"switch a {\ncase 1:\nif !ON { b() }\ndefault:\nc()\n}",
		}},
		{stopLoop, "()", "for { continue }", []string{"for { if ON { break }; continue }"}},
	} {
		if _, got := broken(t, c.signature, c.body, c.operator); !slices.Equal(got, c.want) {
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
	for _, s := range sites {
		if ids[s.ID] {
			t.Errorf("two breaks have the ID %s: %+v", s.ID, s)
		}
		ids[s.ID] = true
	}
	// All that a draw of a tenth of the lines holds, in one program.
	drawn, _ := draw(sites, 1, 2000, nil, func(site) bool { return true })
	byFile := map[string][]site{}
	for _, s := range drawn {
		byFile[s.path] = append(byFile[s.path], s)
	}
	for path, of := range byFile {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		order(of)
		text := switched(string(source), 0, len(source), of)
		if got := strings.Count(text, mark); got != len(of) {
			t.Errorf("%s: %d breaks of %d are in it", path, got, len(of))
		}
		if _, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution); err != nil {
			t.Errorf("%s with its breaks is no Go: %v", path, err)
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
		{"what fills the memory is ended", "MUTANTS_FILL=1 exec " + os.Args[0], "program: exit status", time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := bounded(t.Context(), t.TempDir(), limits{c.limit, 256 << 20, 0}, os.Environ(), "bash", "-c", c.script)
			if err != nil {
				t.Fatal(err)
			}
			// The status of memory that cannot be had is the runtime's, or the race detector's.
			if o.failed != c.want && !(strings.HasSuffix(c.want, "status") && strings.HasPrefix(o.failed, c.want+" ")) {
				t.Errorf("failed %q, want %q; it said %s", o.failed, c.want, o.said)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bounded(ctx, t.TempDir(), limits{time.Minute, maxMemory, 0}, os.Environ(), "sleep", "600"); err == nil {
		t.Error("an interrupt is no outcome")
	}
}

func TestResultsAreKeptAndSurvivorsRunAgainOnAnotherTree(t *testing.T) {
	folder := t.TempDir()
	r, err := openResults(folder)
	if err != nil {
		t.Fatal(err)
	}
	sites := []site{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}}
	for _, one := range []result{
		{sites[0], verdict{"p TestA", "t1"}, verdict{}, verdict{none, "t1"}},
		{sites[1], verdict{none, "t1"}, verdict{unreached, "t1"}, verdict{unreached, "t1"}},
		{sites[3], verdict{unreached, "t1"}, verdict{"q TestD", "t1"}, verdict{}},
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
		tree                      string
		only                      []string
		own, importers, simulator string
	}{
		{"t1", nil, "c", "c", "cd"},
		{"t2", nil, "bc", "bc", "bcd"},
		{"t2", []string{"a", "b"}, "b", "b", "b"},
	} {
		for i, want := range []string{c.own, c.importers, c.simulator} {
			var due string
			for _, s := range r.due(sites, steps[i], c.tree, c.only) {
				due += s.ID
			}
			if due != want {
				t.Errorf("tree %s, only %v, %s: %q is due, want %q", c.tree, c.only, steps[i].name, due, want)
			}
		}
	}
	var out strings.Builder
	r.print(&out, sites, nil, "t1")
	want := "unit tests caught 2 of 3; the simulator caught 0 of 2, of the 1 that it comes to; 1 survived both"
	if !strings.Contains(out.String(), want) {
		t.Errorf("want %q in\n%s", want, out.String())
	}
}

func TestTheCompilersErrorsNameTheBreakBeforeThem(t *testing.T) {
	to := filepath.Join(t.TempDir(), "broken.go")
	text := "package p\n\nvar a = " + mark + "00000001*/x\n\nvar b = " + mark + "00000002*/y\nvar c = z\n"
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	replaced := map[string]string{"/m/p/p.go": to}
	for errs, want := range map[string][]string{
		"p/p.go:3:9: undefined: x":                            {"00000001"},
		"# skein/p\np/p.go:6:9: undefined: z\np/p.go:5:1: no": {"00000002"},
		"p/p.go:1:1: no":                                      {"00000001"},
		"other.go:1:1: no":                                    nil,
	} {
		if got := blamed(errs, "/m", replaced); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", errs, got, want)
		}
	}
}

// A small package of Skein itself, from the draw to the verdict: all its breaks are in one program, which is whole
// while none is on, and one that is on is noticed.
func TestABreakThatIsOnIsCaughtAndOneThatIsOffIsNot(t *testing.T) {
	m, err := loadModule(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sites, err := m.sites([]string{"runtime/seam/connlimit"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRig(m, t.TempDir(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	drawn, _ := draw(sites, 1, 100, nil, func(site) bool { return true })
	for {
		var unfit []string
		if unfit, err = r.put(t.Context(), drawn); err != nil {
			t.Fatal(err)
		}
		if len(unfit) == 0 {
			break
		}
		drawn = slices.DeleteFunc(drawn, func(s site) bool { return slices.Contains(unfit, s.ID) })
	}
	if len(drawn) < 10 {
		t.Fatalf("only %d breaks compile", len(drawn))
	}
	b, err := r.base(t.Context(), "skein/runtime/seam/connlimit", true)
	if err != nil || len(b.red) > 0 || len(b.comes) == 0 {
		t.Fatalf("with no break on: %+v, %v", b, err)
	}
	for _, s := range drawn {
		by, err := r.sieve(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(by, "runtime/seam/connlimit Test") {
			return
		}
	}
	t.Error("no break of the package is caught by its tests")
}
