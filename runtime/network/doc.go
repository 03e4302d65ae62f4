// Package network gives tasks their network on this host: a bridge with the
// host's own subnet, one veth pair and one address a task, and port maps in
// nftables. It speaks netlink only and runs no programs.
//
// The kernel is the only record. A task's link carries the task and its address
// in its alias, a map element carries the task in its comment; a second start of
// the agent reads both back and goes on. Nothing is written to disk, since
// nothing of it survives a boot either.
//
// Two rules come from how netlink fails. A dump that the kernel says was
// interrupted is partial: it may add to what we know and never removes. A
// transaction may be reported lost (ENOBUFS) though it was committed: the map
// carries a generation, read back before anything is believed or tried again.
//
// A [Network] may be used by several goroutines: one task never waits for
// another except for the short commit of the port map. See
// ../DESIGN.md.
package network
