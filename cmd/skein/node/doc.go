// Package node puts an agent together: it opens the adapters of this host,
// connects the loops to each other and runs them until the agent is told to
// stop.
//
// It owns the wiring and nothing else: which function feeds which, in what
// order things open and close, and the small translations between what one
// package offers and another asks for. What the agent decides is in agent/...,
// what it does in the adapters.
package node
