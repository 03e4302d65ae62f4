// Package placement gives hosts to tasks that have none.
//
// All that is unassigned is planned in one snapshot, as classes of identical
// tasks: one service revision, or one task definition of standalone tasks. A
// host is chosen by spread: the zone with fewest tasks of the revision, there
// the host with fewest, then the one with most free; ties by id. What finds no
// host says why, per filter, with counts.
//
// Where classes of one snapshot take each other's room, a small fleet is searched
// for an arrangement that places more of their tasks, or as many more evenly.
//
// It does not decide how many tasks there are (agent/plan/service), and it moves
// nothing: a task's host is written once.
//
// Units: cpu in 1/1024 core, memory in MiB. Pure, no concurrency. Cost is
// O(hosts) once for a pass that places anything, then O(zones + log hosts) a
// task; a search is bounded by MaxSearchNodes. Rules and bounds are in ../DESIGN.md.
package placement
