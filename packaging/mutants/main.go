// Command mutants breaks rules of Skein one at a time and counts who notices: the unit tests, the simulator, both or
// nobody. It draws N lines of all packages by a seed. What survives everything is a rule that no test holds: it gets a
// test, or, where the broken program does what the whole one does, a line in equivalent.txt.
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

type options struct {
	count    int
	seed     uint64
	packages string
	only     string
	folder   string
	lives    int
	tests    string
	nice     int
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
	flag.StringVar(&o.tests, "tests", "own,importers,simulator", "run these: of the broken package, of its importers, "+
		"the simulator")
	flag.IntVar(&o.nice, "nice", 15, "how much other work of the machine comes before this")
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
	r, err := newRig(m, o.folder, o.lives, o.nice)
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
	for _, one := range steps {
		if !slices.Contains(splitList(o.tests), one.name) {
			continue
		}
		for _, s := range known.due(drawn, one, m.tree, only) {
			err := one.take(ctx, r, known, s)
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

// step is one kind of tests that mutants are put under, one kind after the other.
type step struct {
	name    string
	verdict func(*result) *verdict
	run     func(*rig, context.Context, site) (by string, err error)
}

// steps are in the order in which they tell most for their cost.
var steps = []step{
	{"own", func(r *result) *verdict { return &r.Own }, (*rig).sieve},
	{"importers", func(r *result) *verdict { return &r.Importers }, (*rig).importers},
	{"simulator", func(r *result) *verdict { return &r.Sim }, (*rig).simulate},
}

func (p step) take(ctx context.Context, r *rig, known *results, s site) error {
	by, err := p.run(r, ctx, s)
	if err != nil {
		return err
	}
	one := known.byID[s.ID]
	one.site = s
	*p.verdict(&one) = verdict{by, r.m.tree}
	fmt.Printf("%s %s:%d %s: %s\n         %s: %s\n", s.ID, s.File, s.Line, s.Operator, s.Text, p.name, by)
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
				if err := known.add(result{site: s, Own: verdict{invalid, r.m.tree}}); err != nil {
					return nil, nil, err
				}
			}
		}
	}
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
