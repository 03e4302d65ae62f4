// Package hosts plans the lives of hosts: who is silent, who is lost, who is
// back. It acts on positive statements alone (witnesses heard nothing, or were
// refused for too long); what is merely unknown or suspected asks for witnesses
// and changes nothing.
//
// It owns the brakes on mass silence. It does not replace tasks: a silent host
// is one command, and agent/plan/service sees its tasks as unreachable.
//
// Everything it needs besides the liveness stands in State: when a host fell
// silent, and how many did lately. A new leader goes on where the last stopped.
//
// Pure, no concurrency. Rules and bounds are in ../DESIGN.md.
package hosts
