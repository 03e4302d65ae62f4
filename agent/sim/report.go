package sim

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Report writes what a world has come to: what happened, what was checked, how
// well it went.
func (w *World) Report(out io.Writer) {
	s, state := w.stats, w.truth
	var b strings.Builder
	fmt.Fprintf(&b, "simulated   %s, %d events, log index %d, %d voters' terms\n", stamp(w.time.Now()), w.time.Ran(),
		state.Index(), s.Elections)
	fmt.Fprintf(&b, "tasks       %d created, %d asked to stop, %d of services ended unasked and were replaced, %d "+
		"kept now\n", s.Created, s.Stopped, s.Replaced, state.TaskCount())
	if s.GapOf != "" {
		fmt.Fprintf(&b, "worst gap   %s had fewer tasks running than its lower bound for %s\n", s.GapOf,
			s.Gap.Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "\nwhat happened\n%s", counts(s.Operations))
	fmt.Fprintf(&b, "\ndecisions\n%s", counts(s.Events))
	fmt.Fprintf(&b, "\ncommands\n%s", counts(s.Commands))
	if len(s.Refused) > 0 {
		fmt.Fprintf(&b, "\nrefused by State\n%s", counts(s.Refused))
	}
	b.WriteString("\nrules checked\n")
	for _, c := range w.watch.checker.Counters() {
		fmt.Fprintf(&b, "%12d  %-4s %s\n", c.Evaluated, c.Name, c.Rule)
	}
	_, _ = io.WriteString(out, b.String()) // a report that cannot be written is told by its reader
}

// counts lists what was counted, most first.
func counts(of map[string]uint64) string {
	names := slices.Collect(maps.Keys(of))
	slices.SortFunc(names, func(a, b string) int {
		if of[a] != of[b] {
			return int(of[b]) - int(of[a])
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%12d  %s\n", of[name], name)
	}
	return b.String()
}
