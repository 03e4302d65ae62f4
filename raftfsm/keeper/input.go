package keeper

import (
	"time"

	"skein/raftfsm/fleet"
)

// LeaderLog is what the leader's log tells a step.
type LeaderLog interface {
	ID() fleet.RaftID
	State() *fleet.State
	CommitIndex() uint64
	// Trouble is why this host should not lead, or nil.
	Trouble() error
	// SnapshotInstalls is how many snapshots a voter was sent in the last 10 minutes.
	SnapshotInstalls(id fleet.RaftID) int
	// Leaderless is how long this node had heard no leader when it became one.
	Leaderless() time.Duration
	// Members is the Raft configuration.
	Members() ([]Member, error)
}

// InputOf is what a log and gossip say now, without Answers: nothing where the log
// does not tell its members.
func InputOf(log LeaderLog, starved func(fleet.HostID) bool) Input {
	members, err := log.Members()
	if err != nil {
		return Input{}
	}
	in := Input{
		State: log.State(), Self: log.ID(), Commit: log.CommitIndex(), Members: members, Starved: starved,
		Installs: map[fleet.RaftID]int{}, Leaving: log.Trouble() != nil, Leaderless: log.Leaderless(),
	}
	for row := range in.State.Voters() {
		in.Installs[row.ID] = log.SnapshotInstalls(row.ID)
	}
	return in
}

// Reply is what a host says when it is asked for its log.
type Reply struct {
	None    bool         // it holds no log
	ID      fleet.RaftID // of the log that it holds; empty from an agent that does not say
	Commit  uint64
	Trouble string // see Answer
	Stalled bool
}

// AnswerOf is what a host's reply says of the voter that was asked for; an error is
// silence.
func AnswerOf(asked fleet.RaftID, reply Reply, err error) Answer {
	switch {
	case err != nil:
		return Answer{}
	case reply.None, reply.ID != "" && reply.ID != asked:
		return Answer{NotOne: true}
	}
	return Answer{Now: true, Commit: reply.Commit, Trouble: reply.Trouble, Stalled: reply.Stalled}
}
