// Package fleet is the replicated truth of a Skein fleet: which hosts exist,
// what should run, and what has become of it.
//
// State is one value with O(1) snapshots ([State.Clone]). Commands are its only
// writers: [State.Apply] takes an [Entry] of the log and answers one [Result] a
// command. Apply is total and deterministic: it never reads a clock, a random
// source, a file or the network, so every voter that applies the same entries
// holds the same State. Stamps and ids are made by whoever proposes.
//
// Three kinds of facts are kept apart. Intent, and the outcomes a new leader
// needs, live here. Observation (pressure, free memory, who answers) is
// gossiped or reported and is never stored. Action is what a host does.
//
// Units: cpu in 1/1024 core, memory in MiB, times in UTC milliseconds ([Time]),
// percentages 0 to 100 unless the name says otherwise.
//
// # Words
//
//   - fleet: all hosts that share one gossip ring, one Raft log, one authority
//   - host: a machine with an agent; voter: an agent that holds the Raft log
//   - task definition, task, container, service, revision: as in Amazon ECS
//   - standalone task: started by run; nobody replaces it
//   - session: one life of an agent; boot: one life of its machine
//   - cordon keeps work off; drain moves work away; silent is not stopped
//   - event: what a planner or operator did, and why, as data
//   - condition: what a planner did not do, and why, as data
//
// Rows handed out by accessors are shared and must not be modified. A State
// that is being written may not be read by another goroutine: publish a Clone.
package fleet
