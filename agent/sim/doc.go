// Package sim runs a whole fleet in one process, in virtual time: the real
// planners, State, leader loop, host loop and voter keeper, stepped as functions
// of (now, events), over simulated machines.
//
// [World] is a fleet and everything around it: machines with disks, clocks,
// containers and a registry (twins), a network, the replicated log and the
// membership (simlog, simdetector), operators, and a checker that watches all of it
// (invariant). What happens to a world is a list of [Operation]s, which people can
// write and a seed can draw; the same seed, operations and code give the same trace,
// byte for byte.
//
// The package owns the executors that carry effects out in virtual time and the
// ways a world can be hurt. It owns no decision of the fleet's: a rule that is
// tested here lives elsewhere.
//
// One goroutine uses a World. DESIGN.md beside this file says how to add a fault,
// an invariant, a mutation and a scenario.
package sim
