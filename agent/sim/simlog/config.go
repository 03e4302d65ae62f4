package simlog

import (
	"cmp"
	"time"

	"skein/raftfsm/fleet"
)

// Config is how a log behaves; zero fields take raftfsm's values.
type Config struct {
	Election time.Duration // 500 ms to twice that, at random: without a leader's word, votes are asked for
	Lease    time.Duration // 250 ms, to half as much again: a leader without a quorum steps down
	Turn     time.Duration // 40 ms, after the lease: voters stand one by one for a leader that refuses connections
	Notice   time.Duration // 50 ms to twice that: followers hear of the last commit so soon
	Retry    time.Duration // 200 ms, doubled up to 32 times: what is not answered is sent again
	Propose  time.Duration // 10 s: then the outcome is unknown
	Stall    time.Duration // 2 s: a write pending so long cuts the node off
	Probe    time.Duration // 3 s: an idle disk is written to so often, so that its stall shows
	FsyncMin time.Duration // 100 us
	FsyncMax time.Duration // 400 us

	SnapshotEvery int // entries between two snapshots; 0: 4096
	KeepEntries   int // behind a snapshot; 0: 1024

	// Shared has each entry applied once: other voters take the State that the
	// first one came to, while somebody holds it. Otherwise every voter decodes and
	// applies for itself, and snapshots are bytes.
	Shared bool

	// Reads is the format that the agent of a voter reads while it has its log open;
	// nil for what this build reads. Kinds are since which format kinds of command may
	// be proposed; nil for those of this build.
	Reads func(fleet.RaftID) int
	Kinds map[fleet.Kind]int
	// Froze tells of a voter that stopped at an entry which its build must not apply.
	Froze func(id fleet.RaftID, why error)

	// Observers; nil for none. They must not call back into the log.
	Elected     func(id fleet.RaftID, term uint64)
	SteppedDown func(id fleet.RaftID, term uint64)
	// Believes tells of a node whose Leader may be another one than before, or none.
	Believes func(id fleet.RaftID)
	// LeaderLost is told of a follower that hears its leader no more.
	LeaderLost func(id fleet.RaftID)
	// Voted tells of each vote once it is durable, a candidate's own included.
	Voted func(voter fleet.RaftID, term uint64, candidate fleet.RaftID)
	// Committed tells of each command entry once, in order, when the first voter
	// has applied it. Entries of the log's own take indices without being told.
	Committed func(Commit)
	// Acked tells that a proposer was told that its entry is committed.
	Acked func(by fleet.RaftID, index uint64, results []fleet.Result)
	// Broken tells of a promise that was not kept, once a name.
	Broken func(name, detail string)

	Rules Rules
}

// Rules are mutations, each of which breaks one rule; the zero value is right.
type Rules struct {
	AckBeforeCommit       bool // the leader's own disk is enough
	CommitWithoutMajority bool // half of the voters are
	WipedMayVote          bool // a wiped disk comes back empty under its old id
	ForgetVote            bool // term and vote are not written down
	TermsIgnored          bool // a stale leader is obeyed, and goes on
	SnapshotBehind        bool // a snapshot lacks what its last entry did
	GateIgnored           bool // what the fleet's format does not have yet is proposed
}

// Commit is an entry that a voter has applied.
type Commit struct {
	Index, Term uint64
	Leader      fleet.RaftID // that put it into the log
	Planned     uint64       // index of the State that the leader had then
	Entry       fleet.Entry
	Outcome     fleet.Outcome
	State       *fleet.State // after it: read it only
}

// Member is a server of the Raft configuration.
type Member struct {
	ID     fleet.RaftID
	Voting bool
}

// Limits of one entry and of what waits, as in raftfsm.
const (
	maxEntryItems = 256
	maxEntryBytes = 512 << 10
	maxWaiting    = 1024
	maxAppend     = 64 // entries in one message
)

func (c Config) withDefaults() Config {
	c.Election = cmp.Or(c.Election, 500*time.Millisecond)
	c.Lease = cmp.Or(c.Lease, 250*time.Millisecond)
	c.Turn = cmp.Or(c.Turn, 40*time.Millisecond)
	c.Notice = cmp.Or(c.Notice, 50*time.Millisecond)
	c.Retry = cmp.Or(c.Retry, 200*time.Millisecond)
	c.Propose = cmp.Or(c.Propose, 10*time.Second)
	c.Stall = cmp.Or(c.Stall, 2*time.Second)
	c.Probe = cmp.Or(c.Probe, 3*time.Second)
	c.FsyncMin = cmp.Or(c.FsyncMin, 100*time.Microsecond)
	c.FsyncMax = max(c.FsyncMin, cmp.Or(c.FsyncMax, 400*time.Microsecond))
	c.SnapshotEvery = cmp.Or(c.SnapshotEvery, 4096)
	c.KeepEntries = cmp.Or(c.KeepEntries, 1024)
	return c
}
