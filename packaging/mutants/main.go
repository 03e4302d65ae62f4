// Command mutants breaks rules of Skein one at a time and counts who notices: the unit tests, the simulator, both or
// nobody. It draws N XX What survives everything is a rule
// that no test holds: it gets a test, or, where the broken program does what the whole one does, a line in
// equivalent.txt.
//
// Not drawn from: the simulator, the packages of contract cases (named ...test) and the twins, as they are what
// tests, not what is tested. End-to-end tests are not run.
//
// One mutant lives at a time, at a low priority, bounded in time and memory. Results are kept in a folder; an
// interrupted run goes on where it was. A later tree runs again only what survived, or what is new in the draw.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// lowPriority is how nice programs under test are: the machine has other work.
const lowPriority = 15

type options struct {
	count    int
	seed     uint64
	packages string
	only     string
	folder   string
	lives    int
	own      bool
	list     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.IntVar(&o.count, "n", 100, "how many mutants to draw")
	flag.Uint64Var(&o.seed, "seed", 1, "which draw")
	flag.StringVar(&o.packages, "packages", "", "draw from packages below these paths only, with commas between")
	flag.StringVar(&o.only, "only", "", "run the drawn mutants with these ids again, with commas between")
	flag.StringVar(&o.folder, "folder", filepath.Join(os.TempDir(), "skein-mutants"), "where results are kept")
	flag.IntVar(&o.lives, "lives", 60, "how many lives the simulator lives for a mutant")
	flag.BoolVar(&o.own, "own", false, "run only the tests of the broken package")
	flag.BoolVar(&o.list, "list", false, "print the draw and what is known of it, run nothing")
	flag.Parse()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

var errInterrupted = errors.New("interrupted; the same command goes on from here")

func run(ctx context.Context, o options) error {
	m, err := loadModule(ctx)
	if err != nil {
		return err
	}
	sites, err := m.sites(splitList(o.packages))
	if err != nil {
		return err
	}
	equivalents, err := readEquivalents(filepath.Join(m.root, "packaging/mutants/equivalent.txt"))
	if err != nil {
		return err
	}
	known, err := openResults(o.folder)
	if err != nil {
		return err
	}
	defer known.close()
	choose := func() (drawn, skipped []site) {
		return draw(sites, o.seed, o.count, equivalents, func(s site) bool { return !known.invalid(s.ID) })
	}
	if o.list {
		drawn, skipped := choose()
		known.print(os.Stdout, drawn, skipped, m.tree)
		return nil
	}
	r, err := newRig(m, o.folder, o.lives, lowPriority)
	if err != nil {
		return err
	}
	defer r.close()
	drawn, skipped, err := compiled(ctx, r, known, choose)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return err
	}
	if len(skipped)*10 > o.count {
		return fmt.Errorf("equivalent.txt excludes %d of %d; at most 10 %% may be excluded", len(skipped), o.count)
	}
	defer func() { known.print(os.Stdout, drawn, skipped, m.tree) }()
	only := splitList(o.only)
	for _, id := range only {
		delete(known.byID, id)
	}
	steps := []func(context.Context, *rig, *results, site) error{sieve, finish}
	if o.own {
		steps = steps[:1]
	}
	for _, step := range steps {
		for _, s := range known.due(drawn, m.tree, only) {
			err := step(ctx, r, known, s)
			if ctx.Err() != nil {
				return errInterrupted
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// sieve runs the tests of the mutant's package: what they catch, most do, is known soon.
func sieve(ctx context.Context, r *rig, known *results, s site) error {
	if before := known.byID[s.ID]; before.Tree == r.m.tree && before.Unit != "" || caught(before.Unit) {
		return nil
	}
	by, err := r.sieve(ctx, s)
	if err != nil {
		return err
	}
	if !caught(by) {
		fmt.Printf("%s %s:%d %s: %s\n         its own tests: %s\n", s.ID, s.File, s.Line, s.Operator, s.Text, by)
	}
	return known.add(result{site: s, Tree: r.m.tree, Unit: by})
}

// finish runs the tests of the importers, where that may still tell, and the simulator.
func finish(ctx context.Context, r *rig, known *results, s site) (err error) {
	one := known.byID[s.ID]
	if !caught(one.Unit) {
		if one.Unit, err = r.importers(ctx, s, one.Unit); err != nil {
			return err
		}
	}
	if one.Sim, err = r.simulate(ctx, s); err != nil {
		return err
	}
	one.site, one.Tree = s, r.m.tree
	fmt.Printf("%s %s:%d %s: %s\n         unit: %s, simulator: %s\n",
		s.ID, s.File, s.Line, s.Operator, s.Text, one.Unit, one.Sim)
	return known.add(one)
}

// compiled draws until all that is drawn compiles: the next in order takes the place of what does not.
func compiled(
	ctx context.Context, r *rig, known *results, choose func() (drawn, skipped []site),
) (drawn, skipped []site, err error) {
	for {
		drawn, skipped = choose()
		unfit, err := r.put(ctx, drawn)
		if err != nil || len(unfit) == 0 {
			return drawn, skipped, err
		}
		fmt.Printf("%d of %d do not compile; others take their places\n", len(unfit), len(drawn))
		for _, s := range drawn {
			if slices.Contains(unfit, s.ID) {
				if err := known.add(result{site: s, Tree: r.m.tree, Unit: invalid, Sim: invalid}); err != nil {
					return nil, nil, err
				}
			}
		}
	}
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
