// Package lead is the leader loop: it plans for the fleet and proposes.
//
// The decision is [Loop.Step], a pure function of time and events that returns
// effects; the executor, [Leader.Run], carries effects out over the small
// interfaces of ports.go and brings their results back as events. The simulator
// steps the very same Loop.
//
// The loop owns when to plan, in which scope, and what may be proposed; the
// planners (agent/plan/...) own what. It keeps nothing that a new leader would
// miss: its scope, wakes and timers are made again by the full pass at election.
//
// One goroutine steps a Loop; Leader.Stats may be called from any.
package lead
