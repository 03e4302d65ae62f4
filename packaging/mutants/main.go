// Command mutants breaks rules of Skein one at a time and counts who notices: the unit tests, the simulator, both or
// nobody. It draws N breaks (mutants) from the lines of all packages by a seed, puts each under the tests by an overlay
// of the go command, so that no file is edited, and prints a table with totals. What survives everything is a rule
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
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
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
	flag.StringVar(&o.folder, "folder", filepath.Join(os.TempDir(), "skein-mutants"), "where results and the cache are")
	flag.IntVar(&o.lives, "lives", 60, "how many lives the simulator lives for a mutant")
	flag.BoolVar(&o.own, "own", false, "run only the tests of the broken package: a first sieve")
	flag.BoolVar(&o.list, "list", false, "print the draw and what is known of it, run nothing")
	flag.Parse()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

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
	results, err := openResults(o.folder)
	if err != nil {
		return err
	}
	defer results.close()
	only := splitList(o.only)
	if o.list {
		drawn, skipped := draw(sites, o.seed, o.count, equivalents, func(s site) bool { return !results.invalid(s.ID) })
		results.print(os.Stdout, drawn, skipped, m.tree)
		return nil
	}
	b, err := newRig(m, o.folder, o.lives, o.own)
	if err != nil {
		return err
	}
	defer b.close()
	// The draw is made again after each mutant that does not compile: the next in order takes its place.
	for {
		drawn, skipped := draw(sites, o.seed, o.count, equivalents, func(s site) bool { return !results.invalid(s.ID) })
		if len(skipped)*10 > o.count {
			return fmt.Errorf("equivalent.txt excludes %d of %d; at most 10 %% may be excluded", len(skipped), o.count)
		}
		next := results.next(drawn, m.tree, only, o.own)
		if next == nil {
			results.print(os.Stdout, drawn, skipped, m.tree)
			return nil
		}
		only = without(only, next.ID)
		fmt.Printf("%s %s:%d %s: %s\n", next.ID, next.File, next.Line, next.Operator, next.Text)
		r, err := b.try(ctx, *next, results.byID[next.ID])
		if errors.Is(err, context.Canceled) || ctx.Err() != nil {
			results.print(os.Stdout, drawn, skipped, m.tree)
			return errors.New("interrupted; the same command goes on from here")
		}
		if err != nil {
			return err
		}
		fmt.Printf("         unit: %s, simulator: %s (%.0f s)\n", r.Unit, cmp.Or(r.Sim, "not run yet"), r.Seconds)
		if err := results.add(r); err != nil {
			return err
		}
	}
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func without(list []string, gone string) []string {
	var kept []string
	for _, one := range list {
		if one != gone {
			kept = append(kept, one)
		}
	}
	return kept
}
