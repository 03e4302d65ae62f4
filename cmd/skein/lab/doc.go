// Package lab runs a fleet of test hosts on one machine: each with its own
// namespaces, address, cgroups, containerd and agent, started from the same TOML
// and by the same commands as a real host. It owns everything it makes (bridge,
// processes, cgroups, folders, nftables table) and removes all of it again. It
// owns no part of the fleet inside: what it asks of the agent is in commands.go.
//
// A [Lab] is a handle without state of its own: all state is in a file under
// /run/skein-lab, so that one command can be killed at any moment and the next
// one finds what it left. Methods of one lab exclude each other by a file lock,
// also between programs. Linux only, root only; [Check] says what is missing.
//
// [InitMain] and [RegistryMain] are the other side: what `skein lab init` and
// `skein lab registry` run. Design: DESIGN.md beside this file.
package lab
