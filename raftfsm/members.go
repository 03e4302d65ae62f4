package raftfsm

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
)

// Member is a server of the Raft configuration.
type Member struct {
	ID     fleet.RaftID
	Voting bool
}

// Members is the newest configuration this node has stored, by RaftID; it may
// not be committed yet. It is empty for a log that nobody has added to a fleet.
func (n *Node) Members() ([]Member, error) {
	future := n.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return nil, fmt.Errorf("read the raft configuration: %w", err)
	}
	var members []Member
	for _, server := range future.Configuration().Servers {
		members = append(members, Member{ID: fleet.RaftID(server.ID), Voting: server.Suffrage == raft.Voter})
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return members, nil
}

// Admits reports whether a host may speak raft to this node: it is in the
// configuration, or there is none yet and anybody may be the leader that adds
// this node. Whoever accepts connections for Config.Accept asks it first.
func (n *Node) Admits(host fleet.HostID) bool {
	members, err := n.Members()
	return err == nil && (len(members) == 0 ||
		slices.ContainsFunc(members, func(m Member) bool { return m.ID.Host() == host }))
}

// AddNonvoter adds a server that gets the log and does not vote. It changes
// nothing about one that is in the configuration. Errors: as Propose.
func (n *Node) AddNonvoter(ctx context.Context, id fleet.RaftID) error {
	return n.reconfigure(ctx, "add non-voter", id, func(limit time.Duration) raft.Future {
		return n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), 0, limit)
	})
}

// AddVoter gives a server a vote. Errors: as Propose.
func (n *Node) AddVoter(ctx context.Context, id fleet.RaftID) error {
	return n.reconfigure(ctx, "add voter", id, func(limit time.Duration) raft.Future {
		return n.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(id), 0, limit)
	})
}

// RemoveServer takes a server out; one that is not there is no error. A leader
// that removes itself steps down. Errors: as Propose.
func (n *Node) RemoveServer(ctx context.Context, id fleet.RaftID) error {
	return n.reconfigure(ctx, "remove server", id, func(limit time.Duration) raft.Future {
		return n.raft.RemoveServer(raft.ServerID(id), 0, limit)
	})
}

func (n *Node) reconfigure(
	ctx context.Context, what string, id fleet.RaftID, start func(time.Duration) raft.Future,
) error {
	if !n.IsLeader() {
		return fmt.Errorf("%s %s: %w", what, id, ErrNotLeader)
	}
	if err := n.ask(ctx, what+" "+string(id), start); err != nil {
		return err
	}
	n.cfg.Log.Info("raft configuration changed", "change", what, "raft_id", id)
	return nil
}

// Bootstrap makes this node, whose log must be empty, the first voter of a new
// fleet: a configuration of itself, then the item, which is InitFleet. A
// bootstrap that a crash interrupted anywhere is completed by calling it again
// with the same fleet. Errors: ErrExists when there is a fleet or another
// configuration, the command's refusal, or as Propose.
func (n *Node) Bootstrap(ctx context.Context, item fleet.Item) error {
	if err := n.bootstrap(ctx, item); err != nil {
		return fmt.Errorf("bootstrap %s: %w", n.cfg.ID, err)
	}
	return nil
}

func (n *Node) bootstrap(ctx context.Context, item fleet.Item) error {
	if n.State().Fleet() != nil {
		return ErrExists
	}
	if err := n.configureAlone(ctx); err != nil {
		return err
	}
	if err := n.awaitLeadership(ctx); err != nil {
		return err
	}
	// The item may be in the log already, from a life that ended before it knew.
	if err := n.Barrier(ctx); err != nil {
		return err
	}
	if made := n.State().Fleet(); made != nil {
		if first, ok := item.Command.(fleet.InitFleet); ok && first.ID == made.ID {
			return nil
		}
		return ErrExists
	}
	results, _, err := n.Propose(ctx, []fleet.Item{item})
	if err != nil {
		return err
	}
	return results[0].Err
}

// configureAlone writes the first configuration, unless it is there.
func (n *Node) configureAlone(ctx context.Context) error {
	members, err := n.Members()
	switch {
	case err != nil:
		return err
	case len(members) == 1 && members[0] == Member{ID: n.cfg.ID, Voting: true}:
		return nil
	case len(members) > 0:
		return ErrExists
	}
	if err := n.store.forgetFirstTerm(); err != nil {
		return err
	}
	return n.ask(ctx, "write the first configuration", func(time.Duration) raft.Future {
		return n.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{
			{ID: raft.ServerID(n.cfg.ID), Address: raft.ServerAddress(n.cfg.ID)},
		}})
	})
}

// bootstrapLimit is how long a lone voter's election may take; it takes some
// 0.5 to 1 s.
const bootstrapLimit = 10 * time.Second

func (n *Node) awaitLeadership(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootstrapLimit)
	defer cancel()
	changes := n.Leadership()
	for !n.IsLeader() {
		select {
		case <-changes:
		case <-n.broken:
			return *n.failed.Load()
		case <-ctx.Done():
			return fmt.Errorf("wait for the election: %w", context.Cause(ctx))
		}
	}
	return nil
}
