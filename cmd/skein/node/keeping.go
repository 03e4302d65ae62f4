package node

import (
	"context"
	"errors"

	"skein/agent/peer"
	"skein/raftfsm"
	"skein/raftfsm/fleet"
	"skein/raftfsm/keeper"
)

// keeper keeps the fleet's voters while this host leads.
func (n *node) keeper(log *raftfsm.Node) *keeper.Keeper {
	return &keeper.Keeper{
		Log: keeperLog{log}, Voters: keeperVoters{n.port}, Mono: n.clock.Mono, Warn: n.Log.Warn,
		Starved: func(host fleet.HostID) bool {
			report, known := n.reportOf(host)
			return known && report.Starved
		},
	}
}

// keeperLog is the log as the keeper knows it.
type keeperLog struct{ *raftfsm.Node }

func (l keeperLog) Members() ([]keeper.Member, error) {
	members, err := l.Node.Members()
	all := make([]keeper.Member, 0, len(members))
	for _, member := range members {
		all = append(all, keeper.Member(member))
	}
	return all, err
}

// keeperVoters is the peer port as the keeper knows it.
type keeperVoters struct{ *peer.Port }

func (v keeperVoters) Ask(ctx context.Context, host fleet.HostID) (keeper.Reply, error) {
	got, err := v.CommitIndex(ctx, host)
	if errors.Is(err, peer.ErrNotHere) {
		return keeper.Reply{None: true}, nil
	}
	return keeper.Reply{ID: got.ID, Commit: got.Commit, Trouble: got.Trouble, Stalled: got.Stalled}, err
}
