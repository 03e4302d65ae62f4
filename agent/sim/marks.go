package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Marks count interesting states by name: a run that never reaches them proves
// little. Names are sentences, listed in SometimesMarks.
type Marks map[string]int

// Add adds the counts of another run.
func (m Marks) Add(o Marks) {
	for name, n := range o {
		m[name] += n
	}
}

// Missing lists what SometimesMarks names and no run has reached.
func (m Marks) Missing() []string {
	var missing []string
	for _, name := range SometimesMarks {
		if m[name] == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}

// String lists all counts, one a line, by name.
func (m Marks) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%9d  %s\n", m[name], name)
	}
	return b.String()
}

// sometimes counts a state that should be reached now and then.
func (w *World) sometimes(name string) { w.marks[name]++ }

// SometimesMarks are the states that a set of lives must reach: see TestLives.
var SometimesMarks = []string{
	"a leader hears how far a host has come",
	"a disk is wiped",
	"a host is declared lost",
	"a host of a fleet at rest dies",
	"a host is declared silent",
	"a host refuses a frame",
	"a host refuses to begin an effect",
	"a leader hands over because its clock is off",
	"a leader steps down because a proposal is unknown",
	"a local call fails",
	"a pull finds the registry down",
	"a report comes again later",
	"a request for an effect has no answer",
	"a running task is found again",
	"a silent host returns in its session",
	"a stream breaks after a frame",
	"a task is run again after a cold start",
	"a voter is behind what a host has seen",
	"a voter is removed",
	"a voter's log is deleted",
	"a certificate is revoked",
	"a host has another zone or capacity",
	"a host is forgotten",
	"an agent is rolled back",
	"an agent is upgraded",
	"an agent that is too old is refused",
	"an answered request comes again",
	"an old frame comes again",
	"an operator's request is refused",
	"an operator's request is sent again with its token",
	"a host that comes and goes is held back",
	"keys are refused that do not follow",
	"keys are rotated",
	"tasks of a lost host are declared stopped",
	"the answer of a call is lost",
	"the clock of a host is off",
	"the disk of a voter is wiped",
	"something that a newer build wrote is read",
	"the format of the fleet is raised",
	"the journal of a host is lost",
	"the keeper moves leadership",
	"the rows of a voter that was opened anew are compared",
	"the newer copy of what a host is to run is damaged",
	"wanted tasks change while a stream resumes",
}
