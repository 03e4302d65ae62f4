// Package ecs turns Amazon ECS JSON into the fleet's nouns: a task definition
// (RegisterTaskDefinition's input), a service (CreateService, UpdateService),
// a run (RunTask) and a stop (StopTask).
//
// It owns the tables that give every ECS field a fate ([TaskDefFields],
// [ServiceFields], [RunFields], [StopFields]), the rules and limits of single
// fields, and the defaults a new service takes. It knows nothing of State:
// whether a definition exists or fits a host is for others.
//
// Everything is pure. Units on the wire are those of ECS: cpu in 1/1024 core or
// "vCPU", memory in MiB or "GB", durations in seconds. See DESIGN.md.
package ecs
