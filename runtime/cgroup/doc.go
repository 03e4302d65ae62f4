// Package cgroup nests everything Skein runs under one parent control group and
// protects the agent and the container runtime from it.
//
//	<parent>/agent           this process, ten times the weight of work
//	<parent>/runtime         containerd and its shims, likewise
//	<parent>/work/<task>     one folder a task, with its shares and ceilings
//	<parent>/work/<task>/<container>   made by the OCI runtime
//
// It works on cgroup v1 (one folder per controller) and on v2 (unified), by
// plain files: the few counters that matter are hot, and what was written is
// read back, because kernels and containers of containers drop settings
// silently. It never signals a process; it removes only empty folders.
//
// Units: cpu in 1/1024 core, memory in MiB. A [Tree] may be used by several
// goroutines; calls for one task must not overlap. Why: cmd/skein/DESIGN.md "Host layout".
package cgroup
