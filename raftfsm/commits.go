package raftfsm

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A follower learns how far the log is committed from the next message that the
// leader sends it. When nothing more is proposed the library sends an empty one
// after Timing.Commit, again and again, which is most of what an idle leader would
// do. Here the leader tells of a commit at once, once, so that Timing.Commit is no
// more than a bound for what got lost.
//
// What is sent is what the library would send: no entries after the last that the
// follower acknowledged in this term. Its commit index is never beyond that entry:
// up to there the logs are known to be the same, behind it the follower may have
// entries of a former leader.

// commitGather is how long a commit waits for the next entries, which tell of it.
const commitGather = 2 * time.Millisecond

// peer is where the library sends messages of another server.
type peer struct {
	id      raft.ServerID
	address raft.ServerAddress
}

// acknowledgement is what a follower has acknowledged last.
type acknowledgement struct {
	raft.AppendEntriesRequest        // without entries, after those acknowledged
	told                      uint64 // the highest commit index that it was told of in this term
}

// commits are what followers know of the leader's log.
type commits struct {
	due chan struct{}

	mu    sync.Mutex
	peers map[peer]acknowledgement
}

func newCommits() *commits {
	return &commits{due: make(chan struct{}, 1), peers: map[peer]acknowledgement{}}
}

// acknowledged notes that a follower has taken a message of its leader.
func (c *commits) acknowledged(to peer, args *raft.AppendEntriesRequest) {
	next := *args
	if n := len(args.Entries); n > 0 {
		next.PrevLogEntry, next.PrevLogTerm = args.Entries[n-1].Index, args.Entries[n-1].Term
	}
	next.Entries = nil
	told := min(args.LeaderCommitIndex, next.PrevLogEntry)
	c.mu.Lock()
	before := c.peers[to]
	switch {
	case before.Term > next.Term:
	case before.Term < next.Term:
		c.peers[to] = acknowledgement{next, told}
	case before.PrevLogEntry > next.PrevLogEntry:
		before.told = max(before.told, told)
		c.peers[to] = before
	default:
		c.peers[to] = acknowledgement{next, max(before.told, told)}
	}
	c.mu.Unlock()
	if len(args.Entries) > 0 {
		c.nudge()
	}
}

// nudge has followers told of commits soon.
func (c *commits) nudge() {
	select {
	case c.due <- struct{}{}:
	default:
	}
}

// behind returns the messages for followers that do not know that the log is committed
// up to an index of this term. These followers count as told: a message that fails is
// not sent again, since the library sends its own.
func (c *commits) behind(term, index uint64) map[peer]raft.AppendEntriesRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	messages := map[peer]raft.AppendEntriesRequest{}
	for to, a := range c.peers {
		if a.Term != term {
			delete(c.peers, to)
			continue
		}
		if a.LeaderCommitIndex = min(index, a.PrevLogEntry); a.LeaderCommitIndex > a.told {
			a.told = a.LeaderCommitIndex
			c.peers[to] = a
			messages[to] = a.AppendEntriesRequest
		}
	}
	return messages
}

// tellCommits runs until the node stops.
func (n *Node) tellCommits() {
	for {
		select {
		case <-n.transport.commits.due:
		case <-n.stop:
			return
		}
		select {
		case <-time.After(commitGather):
		case <-n.stop:
			return
		}
		if n.raft.State() != raft.Leader {
			continue
		}
		for to, message := range n.transport.commits.behind(n.Term(), n.raft.CommitIndex()) {
			n.loops.Go(func() {
				var resp raft.AppendEntriesResponse
				_ = n.transport.NetworkTransport.AppendEntries(to.id, to.address, &message, &resp)
			})
		}
	}
}
