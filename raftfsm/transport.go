package raftfsm

import (
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
	"skein/runtime/clock"
)

const (
	// oneInFlight turns pipelining off: it wedges followers whose disk stalls, and
	// gains nothing where the application batches.
	oneInFlight = 1
	// pooled are the idle connections kept to each peer: heartbeats and appends.
	pooled = 3
	// installsKept is how long snapshot installs are remembered.
	installsKept = 10 * time.Minute
	// maxInstalls bounds what is remembered of one peer; three are too many.
	maxInstalls = 8
)

// transport is the library's transport, which also remembers snapshot installs:
// a follower that needs one again and again is stuck (hashicorp/raft issue 697).
type transport struct {
	*raft.NetworkTransport
	clock clock.Clock

	mu       sync.Mutex
	installs map[fleet.RaftID][]time.Duration
}

func newTransport(s *stream, cfg Config, log hclog.Logger) *transport {
	return &transport{
		clock:    cfg.Clock,
		installs: map[fleet.RaftID][]time.Duration{},
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: s, MaxPool: pooled, MaxRPCsInFlight: oneInFlight, Timeout: cfg.Timing.RPC,
			Logger: log, MsgpackUseNewTimeFormat: true,
		}),
	}
}

// InstallSnapshot implements raft.Transport.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	t.mu.Lock()
	peer, now := fleet.RaftID(id), t.clock.Mono()
	t.installs[peer] = append(t.recent(peer, now), now)
	t.mu.Unlock()
	return t.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
}

// recent drops what is too old or too much. t.mu is held.
func (t *transport) recent(peer fleet.RaftID, now time.Duration) []time.Duration {
	list := t.installs[peer]
	for len(list) > 0 && (now-list[0] > installsKept || len(list) >= maxInstalls) {
		list = list[1:]
	}
	return list
}

// SnapshotInstalls is how many snapshots this node has sent to a peer in the
// last 10 minutes.
func (n *Node) SnapshotInstalls(id fleet.RaftID) int {
	t := n.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.recent(id, t.clock.Mono()))
}
