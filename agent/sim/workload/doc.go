// Package workload draws a fleet and what happens to it, shaped like published
// traces: machines, services and job kinds as data, and then an endless stream of
// deployments, scalings, jobs and failures.
//
// It owns the numbers and nothing else: it starts no task and knows no planner.
// Draw makes a World and World.Outcome the stream of its events; Preset holds every
// parameter, and the parts (Fleet, Services, Kinds, NewJobs, ...) can be used
// alone.
//
// Every draw goes through a *virtual.Chance that is handed in: equal chances and
// parameters give equal worlds and events. Streams are lazy: an event is drawn
// when it is asked for, so that a month costs no memory.
//
// Times are a time.Duration since the world began, which was on a Monday at
// midnight. cpu is in 1/1024 core, memory in MiB.
//
// Where the shapes come from: machines and bursty arrivals after Google's 2011
// trace (Reiss et al., SoCC 2012), heavy tails of jobs after Borg: the Next
// Generation (EuroSys 2020). The numbers are round ones of that form, not fits;
// a comment says where one is a choice of this package.
//
// Not drawn, since the fleet refuses them today: placement constraints, volumes,
// and other deployments than rolling ones.
package workload
