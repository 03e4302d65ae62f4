package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
)

// table prints rows in columns; the first row is the heading, if there is one.
type table struct {
	out     io.Writer
	columns int // of the heading
	aligned bytes.Buffer
	w       *tabwriter.Writer
}

func newTable(w io.Writer, heading ...string) *table {
	t := &table{out: w, columns: len(heading)}
	t.w = tabwriter.NewWriter(&t.aligned, 0, 4, 2, ' ', 0)
	if len(heading) > 0 {
		t.row(heading...)
	}
	return t
}

// row adds a row, with all cells that the heading has: one with fewer would part the columns of the rows
// above it from those below.
func (t *table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	missing := max(t.columns-len(cells), 0)
	fmt.Fprintln(t.w, strings.Join(cells, "\t")+strings.Repeat("\t", missing))
}

// flush prints the rows, without the blanks that stand for empty cells at their ends.
func (t *table) flush() error {
	if err := t.w.Flush(); err != nil {
		return err
	}
	for line := range bytes.Lines(t.aligned.Bytes()) {
		if _, err := fmt.Fprintf(t.out, "%s\n", bytes.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	t.aligned.Reset()
	return nil
}

// printable keeps what others named or wrote from steering the terminal.
func printable(given string) string { return text.Clean(given) }

// output is how a reading command prints.
type output struct {
	JSON bool `help:"Print the answer as JSON." env:"SKEIN_JSON"`
}

// printJSON prints an answer indented.
func printJSON(answer any) error {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

// staleAbove is how old an answer may be before a person is told.
const staleAbove = 2 * time.Second

// warnStale says on standard error when the State that an answer shows is not fresh.
func warnStale(header http.Header) {
	if header.Get(types.HeaderCutOff) == "true" {
		fmt.Fprintln(os.Stderr, "note: this host is cut off from the fleet's leader; what follows is what it last knew")
		return
	}
	if header.Get(types.HeaderBehind) == "true" {
		fmt.Fprintln(os.Stderr, "note: this host lags behind: what follows does not show your last change yet")
	}
	ms, err := strconv.ParseInt(header.Get(types.HeaderStale), 10, 64)
	if err == nil && time.Duration(ms)*time.Millisecond > staleAbove {
		fmt.Fprintf(os.Stderr, "note: this answer is %s old\n", (time.Duration(ms) * time.Millisecond).Round(time.Second))
	}
}

// ago is how long before now a stamp was: "12s", "3m", "2h", "5d"; "-" for none.
func ago(at types.Stamp, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	d := max(now.Sub(fleet.Time(at).Std()), 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// short is an id as people type it: any unique beginning is accepted back.
func short(id string) string {
	if len(id) > 8 {
		return id[:8]
	}
	return id
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
