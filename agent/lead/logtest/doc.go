// Package logtest is the contract of the replicated log: the same cases for the
// simulator's (agent/sim/simlog) and for the real one (raftfsm). See [Log].
//
// Against raftfsm everything of a voter is real but its network and its disk,
// which are in memory, and its time, which is that of testing/synctest.
package logtest
