package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// rig puts mutants under tests, one after the other.
type rig struct {
	m        *module
	folder   string // of this run, removed at its end
	lives    int
	programs programs
	whole    map[string]baseline // of test programs, with no break on
}

// baseline is what the tests of a package do when nothing is broken.
type baseline struct {
	took  time.Duration
	red   []string        // tests that fail: they prove nothing
	comes map[string]bool // to the places of these breaks, by ID
}

// simulations are the tests of the simulator that live fleets: a break is caught by a rule of the lives, by what a
// scenario expects, or by systematic faults.
const simulations = "^(TestScenarios|TestLives|TestEachCallMayFail|TestTheLeaderMayDieAtEachStep|" +
	"TestWhatMustNotMatterDoesNot)$"

func newRig(m *module, folder string, lives, nice int) (*rig, error) {
	work, err := os.MkdirTemp(folder, "run-")
	if err != nil {
		return nil, err
	}
	return &rig{m: m, folder: work, lives: lives, programs: programs{m: m, folder: work, nice: nice}}, nil
}

func (r *rig) close() { _ = os.RemoveAll(r.folder) } // an error leaves files in a folder for such

// put puts a draw into the programs; see programs.put.
func (r *rig) put(ctx context.Context, drawn []site) (unfit []string, err error) {
	r.whole = map[string]baseline{}
	return r.programs.put(ctx, drawn)
}

// base runs the tests of a package with no break on, once a draw.
func (r *rig) base(ctx context.Context, path string, own bool) (baseline, error) {
	key := fmt.Sprint(path, own)
	if b, ok := r.whole[key]; ok {
		return b, nil
	}
	program, err := r.programs.of(ctx, path, own)
	if err != nil {
		return baseline{}, err
	}
	reach := filepath.Join(r.folder, "reach")
	if err = os.WriteFile(reach, nil, 0o600); err != nil {
		return baseline{}, err
	}
	b := baseline{comes: map[string]bool{}}
	tries := 0
	for {
		limit := limits{10 * time.Minute, maxMemory, r.programs.nice}
		env := append(os.Environ(), envReach+"="+reach)
		var o outcome
		if o, err = bounded(ctx, r.m.dir(path), limit, env, program, r.arguments(path, b)...); err != nil {
			return baseline{}, err
		}
		if b.took = o.took; o.failed == "" {
			break
		}
		if tries++; !strings.HasPrefix(o.failed, "Test") && tries < 3 {
			continue // a program that panics names no test; by chance, perhaps
		}
		if !strings.HasPrefix(o.failed, "Test") || len(b.red) == 10 {
			return baseline{}, fmt.Errorf("the tests of %s fail with nothing broken: %s\n%s", path, o.failed, o.said)
		}
		fmt.Printf("         %s of %s fails with nothing broken and is left out\n", o.failed, path)
		b.red = append(b.red, o.failed)
	}
	told, err := os.ReadFile(reach)
	if err != nil {
		return baseline{}, err
	}
	for _, id := range strings.Fields(string(told)) {
		b.comes[id] = true
	}
	r.whole[key] = b
	return b, nil
}

// arguments of the test program of a package.
func (r *rig) arguments(path string, b baseline) []string {
	args := []string{"-test.failfast", "-test.v"}
	if len(b.red) > 0 {
		args = append(args, "-test.skip", exactly(b.red...))
	}
	if path == simulator {
		args = append(args, "-test.run", simulations, fmt.Sprintf("-seeds=%d", r.lives))
	}
	return args
}

// exactly is the pattern of the top tests of names.
func exactly(names ...string) string {
	var quoted []string
	for _, name := range names {
		top, _, _ := strings.Cut(name, "/")
		quoted = append(quoted, regexp.QuoteMeta(top))
	}
	return "^(" + strings.Join(quoted, "|") + ")$"
}

// sieve puts a mutant under the tests of its package.
func (r *rig) sieve(ctx context.Context, s site) (by string, err error) {
	path := "skein/" + s.Package
	if !r.m.tested(path) {
		return unreached, nil
	}
	return r.under(ctx, s, path, true)
}

// importers puts a mutant under the tests of the importers, until one catches it.
func (r *rig) importers(ctx context.Context, s site) (string, error) {
	said := unreached
	for _, tester := range r.m.importers("skein/" + s.Package) {
		by, err := r.under(ctx, s, tester, false)
		if err != nil || caught(by) {
			return by, err
		}
		if by != unreached {
			said = by
		}
	}
	return said, nil
}

func (r *rig) simulate(ctx context.Context, s site) (string, error) {
	if !r.m.simulated("skein/" + s.Package) {
		return outside, nil
	}
	return r.under(ctx, s, simulator, false)
}

// under says which test of a package catches a mutant, if any comes to it. A test that does not fail a second time,
// alone, has failed by chance and is left out: on a busy machine a break would else be credited to it.
func (r *rig) under(ctx context.Context, s site, path string, own bool) (string, error) {
	b, err := r.base(ctx, path, own)
	if err != nil || !b.comes[s.ID] {
		return unreached, err
	}
	program, err := r.programs.of(ctx, path, own)
	if err != nil {
		return "", err
	}
	by := func(failed string) string {
		if failed == "" {
			return none
		}
		return strings.TrimPrefix(path, "skein/") + " " + failed
	}
	limit := limits{5*b.took + 30*time.Second, maxMemory, r.programs.nice}
	env := append(os.Environ(), envOn+"="+s.ID)
	for range 3 {
		o, err := bounded(ctx, r.m.dir(path), limit, env, program, r.arguments(path, b)...)
		if err != nil || path == simulator || !strings.HasPrefix(o.failed, "Test") {
			return by(o.failed), err
		}
		again, err := bounded(ctx, r.m.dir(path), limit, env, program, "-test.v", "-test.run", exactly(o.failed))
		if err != nil || again.failed != "" {
			return by(o.failed), err
		}
		b.red = append(b.red[:len(b.red):len(b.red)], o.failed)
	}
	return none, nil
}
