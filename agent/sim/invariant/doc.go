// Package invariant watches a whole fleet and says which rule was broken, when
// and how. It shares no code with what it watches: not with planners, not with
// the host loop, not with the indices that State derives from its rows. It keeps
// a plain model of its own (hosts, services, tasks, containers), counts for
// itself, and is told facts: what was committed, what machines really did, what
// clients were answered.
//
// A rule is a small function in a file of its own; its doc says the rule in
// words and where it comes from. Rules promise what the design promises, with
// its exceptions named, and no more: a checker that cries wolf is turned off.
//
// The cost of a fact does not grow with the fleet, but for Full and Desired,
// which look at everything. One goroutine; no clock of its own, no chance: equal
// facts give equal reports.
//
// To add a rule: a name in rules.go with the invariant it belongs to and what
// should hold; a function that calls hold where the fact comes in; a table of
// stories in sentences, one that keeps it and several that break it; a mutant in
// mutants_test.go. To add a command: apply in log.go, and what it changes in
// compare.go and full.go; a command that the model does not know is found by
// Full, since State has rows then that nothing made.
package invariant
