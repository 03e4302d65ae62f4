package raftfsm

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
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

// transport is the library's transport. It also remembers snapshot installs: a
// follower that needs one again and again is stuck (hashicorp/raft issue 697). It
// tells followers of commits (commits), and sends heartbeats together (pace).
type transport struct {
	*raft.NetworkTransport
	clock   clock.Clock
	commits *commits
	pace    *pace

	mu       sync.Mutex
	installs map[fleet.RaftID][]time.Duration
}

func newTransport(s *stream, cfg Config, log hclog.Logger) *transport {
	return &transport{
		clock:    cfg.Clock,
		commits:  newCommits(),
		pace:     newPace(cfg),
		installs: map[fleet.RaftID][]time.Duration{},
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: s, MaxPool: pooled, MaxRPCsInFlight: oneInFlight, Timeout: cfg.Timing.RPC,
			Logger: log, MsgpackUseNewTimeFormat: true,
		}),
	}
}

// AppendEntries implements raft.Transport.
func (t *transport) AppendEntries(
	id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse,
) error {
	if isHeartbeat(args) {
		t.pace.wait()
		return t.NetworkTransport.AppendEntries(id, target, args, resp)
	}
	err := again(func() error { return t.NetworkTransport.AppendEntries(id, target, args, resp) })
	if err == nil && resp.Success {
		t.commits.acknowledged(peer{id, target}, args)
	}
	return err
}

// isHeartbeat reports whether a message only shows that the leader lives, by the
// library's own rule for who receives it.
func isHeartbeat(args *raft.AppendEntriesRequest) bool {
	return args.PrevLogEntry == 0 && args.PrevLogTerm == 0 && len(args.Entries) == 0 && args.LeaderCommitIndex == 0
}

// InstallSnapshot implements raft.Transport.
func (t *transport) InstallSnapshot(
	id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse,
	data io.Reader,
) error {
	t.mu.Lock()
	peer, now := fleet.RaftID(id), t.clock.Mono()
	t.installs[peer] = append(t.recent(peer, now), now)
	t.mu.Unlock()
	return t.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
}

// RequestVote implements raft.Transport. It leaves the candidate's id out, with
// which the library would refuse a candidate that has no vote by the voter's own
// configuration, which may be old: a majority of which part has missed the last
// change could then elect nobody. Raft itself has no such rule; the log decides.
func (t *transport) RequestVote(
	id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse,
) error {
	anonymous := *args
	anonymous.ID = nil
	return again(func() error { return t.NetworkTransport.RequestVote(id, target, &anonymous, resp) })
}

// again asks again where a pooled connection had died, as those to a voter that
// has restarted have: the library would wait for the next election, or for the
// next time that it tells of commits. A question asked twice has one answer, and
// entries sent twice are there once.
func again(ask func() error) (err error) {
	for range pooled + 1 {
		if err = ask(); err == nil || errors.Is(err, errDial) || errors.Is(err, errCut) ||
			errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return err
}

// RequestPreVote implements raft.WithPreVote. A pre-vote cannot be anonymous: one
// refused under the candidate's id is asked for again under that of the one
// asked, which has a vote by its own configuration. It is a question without effect.
func (t *transport) RequestPreVote(
	id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse,
) error {
	err := again(func() error { return t.NetworkTransport.RequestPreVote(id, target, args, resp) })
	if err != nil || resp.Granted {
		return err
	}
	own := *args
	own.ID = []byte(id)
	var second raft.RequestPreVoteResponse
	if err := t.NetworkTransport.RequestPreVote(id, target, &own, &second); err == nil {
		*resp = second
	}
	return nil
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
