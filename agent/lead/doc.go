// Package lead is the leader: it plans for the fleet and proposes.
//
// Three layers. [Loop] decides when to plan, in which scope, and what may be
// proposed. [Driver] has the rules around it: terms, barriers, proposals entry by
// entry. Both are machines, whose Step takes time and events and returns effects.
// [Leader] carries effects out over the small interfaces of ports.go, with
// goroutines; the simulator steps the very same Driver. See DESIGN.md.
//
// The planners (agent/plan/...) own what is decided. The loop keeps nothing that a
// new leader would miss: its scope, wakes and timers are made again by the full
// pass at election.
//
// One goroutine steps a Loop or a Driver; Leader.Stats may be called from any.
package lead
