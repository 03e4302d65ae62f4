// Package porttest holds the contract of the ports that the host loop stands
// on, as test suites: [Containers], [Network] and [Cgroups]. The twins of
// runtime/fake and the real adapters run the same suites, so that what is
// tested against a twin holds on a host.
//
// It also has what real adapters need to be tested without disturbing anything:
// [Isolated] runs a package's tests in namespaces of their own, and [Program] is
// the program that test containers run.
//
// A suite's cases are sentences. A fixture says how to make the port under test
// and how to let time pass; cases that look from inside a process run only where
// processes are real.
package porttest
