//go:build nextformat

package placement_test

import (
	"strconv"
	"strings"
	"testing"

	"skein/agent/plan/placement"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

func TestNextFormatTasksWaitForNewerAgents(t *testing.T) {
	for name, tt := range map[string]struct{ given, want string }{
		"what needs more goes where the agent reads it": {
			"leader format=NEXT; web desired=2; h1 zone=a reads=NEXT cpu=1024:; h2 zone=b:; unassigned: web/1 x2",
			"place web-1 web-2 on h1",
		},
		"and waits where none does, which is said": {
			"leader format=NEXT; web desired=2; h1 reads=NEXT cordoned:; h2:; h3:; unassigned: web/1 x2",
			"wait service:web no-host-fits: 2 tasks: 2 hosts need a newer agent (one that reads format NEXT), 1 cordoned",
		},
	} {
		t.Run(name, func(t *testing.T) {
			next := func(text string) string { return strings.ReplaceAll(text, "NEXT", strconv.Itoa(fleet.FormatVersion)) }
			w := plantest.Parse(t, next(tt.given))
			w.Do(fleet.MarkTaskDef{ID: "web:1", Next: "x"})
			if got := plantest.Text(placement.Next(w.Input())); !strings.HasPrefix(got, next(tt.want)) {
				t.Errorf("got  %s\nwant %s", got, next(tt.want))
			}
		})
	}
}
