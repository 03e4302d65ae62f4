// Package raftfsm keeps a fleet's State in a Raft log: it orders entries,
// applies them, stores them, and publishes a snapshot of State after each batch.
//
// It owns the log file, the snapshots, the node's name in the Raft
// configuration and the disk watchdog. It does not own what a command means
// (raftfsm/fleet), how entries look as bytes (raftfsm/fleet/wire), who should
// be a voter (raftfsm/keeper) or how connections are authenticated (they are
// handed in by Config.Dial and Config.Accept).
//
// [Open] restores State from the newest snapshot and the entries known to be
// committed, without needing anybody else, so that a host alone remembers all
// it was told. [Node.Propose] packs commands of concurrent callers into entries.
//
// Leadership is not authority: ask [Node.Verify] before acting on it outside
// the log. Ages and deadlines are on the monotonic clock; stamps of entries are
// the wall clock's. Every method is safe for concurrent use.
//
// See DESIGN.md beside this file.
package raftfsm
