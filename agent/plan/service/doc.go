// Package service plans the tasks of services: desired against present, per
// revision and within the bounds of ECS API, DeploymentConfiguration. It starts before it stops
// wherever the upper bound leaves room, replaces what is unhealthy, rolls old
// revisions over to the current one and scales in by the normal order.
//
// It does not place tasks (agent/plan/placement), and it does not know why a
// host is unreachable (agent/plan/hosts): tasks there count as neither running
// nor pending, which alone makes their replacements. Nothing here looks at what
// is seen of hosts, so a host whose agent alone is down keeps its tasks.
//
// Units: counts of tasks, percent. Pure, no concurrency. Rules and bounds are
// in ../DESIGN.md.
package service
