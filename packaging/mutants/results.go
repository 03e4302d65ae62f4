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

// result is what became of one mutant on one tree.
type result struct {
	site
	Tree      string
	Unit, Sim string // the test that caught it, or one of the words above; no Sim: only its own tests were run
}

func (r result) survived() bool { return !caught(r.Unit) && !caught(r.Sim) }

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

func (r *results) invalid(id string) bool { return r.byID[id].Unit == invalid }

// due are the drawn mutants that must be run: those of only, if there are any; else those without a whole result, and
// those that survived on another tree.
func (r *results) due(drawn []site, tree string, only []string) (due []site) {
	for _, s := range drawn {
		one, known := r.byID[s.ID]
		if slices.Contains(only, s.ID) || len(only) == 0 && (!known || one.Sim == "" || one.survived() && one.Tree != tree) {
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
		one, known := r.byID[s.ID]
		if !known {
			fmt.Fprintf(table, "%s\t%s:%d\t%s\t%s\t-\t-\t%s\n", s.ID, s.File, s.Line, s.Func, s.Operator, s.Text)
			continue
		}
		run++
		unit += count(caught(one.Unit))
		lived += count(one.Sim != "")
		sim += count(caught(one.Sim))
		comes += count(one.Sim != "" && one.Sim != outside && one.Sim != unreached)
		survived += count(one.survived())
		earlier += count(one.Tree != tree)
		fmt.Fprintf(table, "%s\t%s:%d\t%s\t%s\t%s\t%s\t%s\n",
			s.ID, s.File, s.Line, s.Func, s.Operator, short(one.Unit), short(cmp.Or(one.Sim, "-")), s.Text)
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
