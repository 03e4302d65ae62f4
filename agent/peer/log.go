package peer

import (
	"context"

	"skein/raftfsm/fleet"
)

// Log is a voter's replicated log, as package raftfsm offers it.
type Log interface {
	// ID is the log's name in the Raft configuration.
	ID() fleet.RaftID
	// State is the newest published State, never nil.
	State() *fleet.State
	// Subscribe calls f after each publication, from the goroutine that applies:
	// f must return at once.
	Subscribe(f func(index uint64, t fleet.ChangeSet)) (cancel func())
	// Propose commits items; ErrNotLeader, ErrUnknown after Config.Translate.
	Propose(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error)
	Leader() (fleet.HostID, bool)
	IsLeader() bool
	// Verify asks a quorum whether this voter still leads.
	Verify(ctx context.Context) error
	CommitIndex() uint64
	// Trouble is why this voter should not vote now: ErrStalled after
	// Config.Translate, any other, or nil.
	Trouble() error
}

// VoterHooks make this host a voter and a worker again.
type VoterHooks interface {
	// Prepare keeps the fleet key with takeKeys, then opens an empty log under id.
	// Again with the same id is no error.
	Prepare(ctx context.Context, id fleet.RaftID, takeKeys func() error) error
	// Retire closes the log of id and deletes it, with the fleet key. A log that is not
	// there is no error; the log of another id must be left alone, with the key.
	Retire(ctx context.Context, id fleet.RaftID) error
}
