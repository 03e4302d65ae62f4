// Package effects carries out what is to be done outside the log: rows of
// fleet.Effect, at least once each, whoever leads.
//
// It has both ends of it as machines. [Driver] is the leader's, for one term of
// leadership: it hands attempts to hosts, asks them, and has outcomes committed.
// [Inbox] is a host's: it decides which requests begin a run. [Executor] runs a Driver
// over the log and goroutines, [Runners] an Inbox; the simulator runs both over
// virtual time. effectstest holds what both must keep.
//
// Not here: what an effect means (runners are given by kind), who intends it
// (planners), and how a request travels (agent/peer).
package effects
