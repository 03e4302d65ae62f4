// Package simlog is the replicated log of simulated fleets: the in-memory twin of
// raftfsm and the library under it, for one goroutine in virtual time.
//
// It owns a small whole Raft: terms, votes asked for beforehand, commit by
// majority, leases, changes of the configuration through the log, transfer of
// leadership, snapshots, and disks that keep of a voter what was synced. The
// contract that it shares with raftfsm is agent/lead/logtest, run against both.
//
// It does not own what entries mean (raftfsm/fleet), who votes (raftfsm/keeper),
// or what is done about a disk that fails; that is for the simulated host.
//
// Nothing here ticks. Where the real log sends heartbeats, the twin asks the
// network whether they would pass, whenever that may have changed: a follower
// hears its leader while both are up and linked and the leader leads in its term.
// What must be known by message (entries, votes, terms, a leader's first word) is
// sent, and sent again only while something is outstanding. So a quiet log has no
// events. What a node does it does in the life of its agent: a frozen machine
// stands still and then acts on what it believed.
//
// Safety is checked from outside while it runs, see Config.Broken: one leader a
// term, every leader has all that was committed, one entry an index, nothing
// applied is ever replaced. Rules break it on purpose.
package simlog
