package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// What stands in a result where no test does.
const (
	none      = "none"
	invalid   = "does not compile"
	outside   = "not simulated" // the package is no part of the simulator's program
	unreached = "not reached"   // no test comes to the place
)

// result is what is known of one mutant: what became of it under the tests of its package, of the importers, which are
// asked only where the former did not catch it, and under the simulator.
type result struct {
	site
	Own, Importers, Sim verdict
}

// verdict is the test that caught a mutant, or one of the words above, or nothing where none was run; on which tree.
type verdict struct{ By, Tree string }

// unit is what became of the mutant under unit tests.
func (r result) unit() string {
	if caught(r.Importers.By) || r.Own.By == unreached && r.Importers.By != "" {
		return r.Importers.By
	}
	return r.Own.By
}

func (r result) survived() bool { return !caught(r.unit()) && !caught(r.Sim.By) }

func caught(by string) bool {
	switch by {
	case "", none, outside, unreached, invalid:
		return false
	}
	return true
}

// results are kept as lines of JSON; the last of an ID counts.
type results struct {
	file *os.File
	byID map[string]result
}

func openResults(folder string) (*results, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(folder, "results.jsonl"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	r := &results{file: file, byID: map[string]result{}}
	for dec := json.NewDecoder(file); ; {
		var one result
		if err := dec.Decode(&one); errors.Is(err, io.EOF) {
			return r, nil
		} else if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w; remove the line, or the file", file.Name(), err), file.Close())
		}
		r.byID[one.ID] = one
	}
}

func (r *results) close() { _ = r.file.Close() } // each line is written when it is known

func (r *results) add(one result) error {
	r.byID[one.ID] = one
	return json.NewEncoder(r.file).Encode(one)
}

func (r *results) invalid(id string) bool { return r.byID[id].Own.By == invalid }

// due are the drawn mutants, or those of only, that a step is to take: those of which it has said nothing, and those
// that survived all on another tree.
func (r *results) due(drawn []site, p step, tree string, only []string) (due []site) {
	for _, s := range drawn {
		one := r.byID[s.ID]
		said := *p.verdict(&one)
		switch {
		case len(only) > 0 && !slices.Contains(only, s.ID), p.name == "importers" && caught(one.Own.By):
		case said.By == "", one.survived() && said.Tree != tree:
			due = append(due, s)
		}
	}
	return due
}

// print prints the table of a draw and its totals.
func (r *results) print(w io.Writer, drawn, skipped []site, tree string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tPLACE\tFUNCTION\tOPERATOR\tUNIT TESTS\tSIMULATOR\tTEXT")
	var run, unit, lived, sim, comes, survived, earlier int
	for _, s := range drawn {
		one := r.byID[s.ID]
		run += count(one.unit() != "")
		unit += count(caught(one.unit()))
		lived += count(one.Sim.By != "")
		sim += count(caught(one.Sim.By))
		comes += count(one.Sim.By != "" && one.Sim.By != outside && one.Sim.By != unreached)
		survived += count(one.unit() != "" && one.survived())
		earlier += count(cmp.Or(one.Own.Tree, tree) != tree)
		fmt.Fprintf(table, "%s\t%s:%d\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.File, s.Line, s.Func, s.Operator,
			short(cmp.Or(one.unit(), "-")), short(cmp.Or(one.Sim.By, "-")), s.Text)
	}
	table.Flush()
	fmt.Fprintf(w, "\n%d drawn, %d excluded as equivalent, %d run (%d of them on an earlier tree)\n",
		len(drawn), len(skipped), run, earlier)
	fmt.Fprintf(w, "unit tests caught %d of %d; the simulator caught %d of %d, of the %d that it comes to; "+
		"%d survived both\n", unit, run, sim, lived, comes, survived)
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// short cuts the name of a test to what a table has place for.
func short(caught string) string {
	if i := strings.LastIndex(caught, " Test"); i >= 0 {
		caught = caught[i+1:]
	}
	if len(caught) > 40 {
		return caught[:40]
	}
	return caught
}
