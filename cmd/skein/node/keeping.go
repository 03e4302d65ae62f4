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

func (v keeperVoters) Ask(ctx context.Context, host fleet.HostID) keeper.Answer {
	got, err := v.CommitIndex(ctx, host)
	return keeper.Answer{
		Now: err == nil, Commit: got.Commit, NotOne: errors.Is(err, peer.ErrNotHere), Trouble: got.Trouble,
		Stalled: got.Stalled,
	}
}
