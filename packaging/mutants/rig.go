package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// rig puts mutants under tests, one after the other.
type rig struct {
	m        *module
	folder   string // of this run, removed at its end
	cache    string // the build cache: kept, without what mutants put there
	lives    int
	own      bool                // only the tests of the broken package are run
	whole    map[string]baseline // of test packages, by path: the program that is not broken
	compiled time.Time           // when the last program that is not broken was compiled
	reached  *reach
}

// baseline is what the tests of a package do when nothing is broken.
type baseline struct {
	took time.Duration
	red  []string // tests that fail: they prove nothing
}

// simulations are the tests of the simulator that live fleets: a break is caught by a rule of the lives, by what a
// scenario expects, or by systematic faults.
const simulations = "^(TestScenarios|TestLives|TestEachCallMayFail|TestTheLeaderMayDieAtEachStep|" +
	"TestWhatMustNotMatterDoesNot)$"

func newRig(m *module, folder string, lives int, own bool) (*rig, error) {
	work, err := os.MkdirTemp(folder, "run-")
	if err != nil {
		return nil, err
	}
	return &rig{
		m: m, folder: work, cache: filepath.Join(folder, "cache"), lives: lives, own: own, whole: map[string]baseline{},
	}, nil
}

func (r *rig) close() { _ = os.RemoveAll(r.folder) } // an error leaves files in a folder for such

func (r *rig) environment() []string { return append(os.Environ(), "GOCACHE="+r.cache) }

// errBuild says that a mutant is no program: the next in the draw takes its place.
var errBuild = errors.New("does not compile")

// compile makes the test program of a package, broken by overlay if that is not "".
func (r *rig) compile(ctx context.Context, path, overlay string, more ...string) (string, error) {
	program := filepath.Join(r.folder, "program.test")
	args := []string{"-n", "15", "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-o", program}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "nice", append(append(args, more...), path)...)
	cmd.Dir, cmd.Env = r.m.root, r.environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(ctx.Err(), fmt.Errorf("%s: %w: %s", path, errBuild, out))
	}
	return program, nil
}

// base runs the tests of a package that is not broken, once a run.
func (r *rig) base(ctx context.Context, path string) (baseline, error) {
	if b, ok := r.whole[path]; ok {
		return b, nil
	}
	program, err := r.compile(ctx, path, "")
	if err != nil {
		return baseline{}, fmt.Errorf("the program that is not broken: %w", err)
	}
	r.compiled = time.Now()
	b := baseline{}
	for {
		limit := limits{10 * time.Minute, maxMemory}
		o, err := bounded(ctx, r.m.dir(path), limit, r.environment(), program, r.arguments(path, b)...)
		if err != nil {
			return baseline{}, err
		}
		if b.took = o.took; o.failed == "" {
			break
		}
		if !strings.HasPrefix(o.failed, "Test") || len(b.red) == 10 {
			return baseline{}, fmt.Errorf("the tests of %s fail with nothing broken: %s\n%s", path, o.failed, o.said)
		}
		fmt.Printf("         %s of %s fails with nothing broken and is left out\n", o.failed, path)
		b.red = append(b.red, o.failed)
	}
	r.whole[path] = b
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

// try puts one mutant under the unit tests and the simulator. What before says of this tree, or that unit tests caught
// it, is not tried again.
func (r *rig) try(ctx context.Context, s site, before result) (result, error) {
	start := time.Now()
	res := result{site: s, Tree: r.m.tree}
	if before.Sim == "" && (before.Tree == res.Tree || caught(before.Unit)) {
		res.Unit = before.Unit
	}
	sieved := res.Unit == own
	overlay, err := r.overlay(s)
	if err != nil {
		return res, err
	}
	if res.Unit == "" || sieved {
		res.Unit, err = r.unit(ctx, "skein/"+s.Package, overlay, sieved)
	}
	if errors.Is(err, errBuild) && ctx.Err() == nil {
		res.Unit, res.Sim = invalid, invalid
		return res, nil
	}
	if err != nil {
		return res, err
	}
	if !r.own {
		if res.Sim, err = r.simulate(ctx, s, overlay); err != nil {
			return res, err
		}
	}
	res.Seconds = time.Since(start).Seconds()
	return res, r.forget()
}

func (r *rig) overlay(s site) (string, error) {
	text, err := s.mutated()
	if err != nil {
		return "", err
	}
	broken := filepath.Join(r.folder, "broken.go")
	if err = os.WriteFile(broken, text, 0o600); err != nil {
		return "", err
	}
	files, err := json.Marshal(map[string]any{"Replace": map[string]string{s.path: broken}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(r.folder, "overlay.json")
	return overlay, os.WriteFile(overlay, files, 0o600)
}

// unit runs the package's own tests, unless it is sieved already, then those of its importers, until one catches the
// break.
func (r *rig) unit(ctx context.Context, path, overlay string, sieved bool) (string, error) {
	for _, tester := range r.m.testers(path) {
		if sieved && tester == path {
			continue
		}
		if r.own && tester != path {
			return own, nil
		}
		b, err := r.base(ctx, tester)
		if err != nil {
			return "", err
		}
		program, err := r.compile(ctx, tester, overlay)
		if err != nil {
			return "", err
		}
		by, err := r.caught(ctx, tester, program, b)
		if err != nil {
			return "", err
		}
		if by != "" {
			return strings.TrimPrefix(tester, "skein/") + " " + by, nil
		}
	}
	return none, nil
}

// caught says which test of a program fails. A test that does not fail a second time, alone, has failed by chance and
// is left out: on a busy machine a break would else be credited to it.
func (r *rig) caught(ctx context.Context, path, program string, b baseline) (string, error) {
	limit := limits{5*b.took + 30*time.Second, maxMemory}
	for range 3 {
		o, err := bounded(ctx, r.m.dir(path), limit, r.environment(), program, r.arguments(path, b)...)
		if err != nil || o.failed == "" || path == simulator || !strings.HasPrefix(o.failed, "Test") {
			return o.failed, err
		}
		again, err := bounded(ctx, r.m.dir(path), limit, r.environment(), program, "-test.v", "-test.run", exactly(o.failed))
		if err != nil || again.failed != "" {
			return o.failed, err
		}
		b.red = append(b.red[:len(b.red):len(b.red)], o.failed)
	}
	return "", nil
}

// simulate lives fleets with the break in them, if they ever come to its place.
func (r *rig) simulate(ctx context.Context, s site, overlay string) (string, error) {
	if !r.m.simulated("skein/" + s.Package) {
		return outside, nil
	}
	if r.reached == nil {
		var err error
		if r.reached, err = r.reach(ctx); err != nil {
			return "", err
		}
	}
	if !r.reached.contains(s) {
		return unreached, nil
	}
	b, err := r.base(ctx, simulator)
	if err != nil {
		return "", err
	}
	program, err := r.compile(ctx, simulator, overlay)
	if err != nil {
		return "", err
	}
	by, err := r.caught(ctx, simulator, program, b)
	return cmp.Or(by, none), err
}

// forget removes from the build cache what mutants put there: nothing of it is ever asked for again.
func (r *rig) forget() error {
	return filepath.WalkDir(r.cache, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if kind := filepath.Ext(strings.ReplaceAll(d.Name(), "-", ".")); kind != ".a" && kind != ".d" {
			return nil
		}
		if info.ModTime().After(r.compiled) {
			return os.Remove(path)
		}
		return nil
	})
}
