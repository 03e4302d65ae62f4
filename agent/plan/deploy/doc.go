// Package deploy plans deployments of services: it leads each through the stages of its
// strategy, calls hooks, asks alarms, compares what ingress sees of both revisions, shifts
// traffic and rolls back. What it decides is a function of State, of what is seen of
// routes and traffic, and of time alone, so that a new leader goes on at the same place.
//
// It never starts or stops a task of a service: it says how many of which revision there
// are to be (fleet.Goals), and agent/plan/service leads the tasks there. It sends nothing:
// hooks, probes and questions are effects, and agent/deployment says what is in them.
// Which stage follows which, and what is refused, is raftfsm/fleet's.
//
// The stage table, rules and bounds are in ../DESIGN.md. Pure, no concurrency.
package deploy
