package raftfsm

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestFollowersHearOfACommitWithoutTheNextEntry(t *testing.T) {
	never := func(cfg *Config) { cfg.Timing.Commit = time.Hour }
	inCluster(t, 3, never, func(t *testing.T, c *cluster) {
		for _, name := range []string{"a", "b", "c"} {
			index := c.put(name)
			told := time.Now()
			c.await("all followers hold "+name, func() bool {
				return c.all(func(h *host) bool { return h.node.State().Index() >= index })
			})
			if took := time.Since(told); took > 20*time.Millisecond {
				t.Errorf("followers held %s %v after it was acknowledged", name, took)
			}
		}
	})
}

func TestAFollowerIsToldOfCommitsUpToWhatItAcknowledged(t *testing.T) {
	to := peer{"h-2.1", "h-2.1"}
	message := func(term, prev, commit uint64, entries ...uint64) *raft.AppendEntriesRequest {
		m := &raft.AppendEntriesRequest{Term: term, PrevLogEntry: prev, PrevLogTerm: 1, LeaderCommitIndex: commit}
		for _, index := range entries {
			m.Entries = append(m.Entries, &raft.Log{Index: index, Term: term})
		}
		return m
	}
	for name, test := range map[string]struct {
		acknowledged []*raft.AppendEntriesRequest
		commit       uint64
		prev, tell   uint64 // 0: nothing is to be told
	}{
		"what it holds and does not know to be committed": {[]*raft.AppendEntriesRequest{message(3, 4, 4, 5, 6)}, 6, 6, 6},
		"no further than it is committed":                 {[]*raft.AppendEntriesRequest{message(3, 4, 4, 5, 6)}, 5, 6, 5},
		"no further than it holds":                        {[]*raft.AppendEntriesRequest{message(3, 4, 4, 5)}, 9, 5, 5},
		"nothing when the message itself told":            {[]*raft.AppendEntriesRequest{message(3, 6, 6)}, 6, 0, 0},
		"a message told only of what its receiver held":   {[]*raft.AppendEntriesRequest{message(3, 4, 9, 5)}, 9, 0, 0},
		"an answer that was late takes nothing back": {[]*raft.AppendEntriesRequest{message(3, 5, 5, 6),
			message(3, 4, 4, 5)}, 6, 6, 6},
		"an answer in a former term counts for nothing": {[]*raft.AppendEntriesRequest{message(2, 4, 4, 5, 6)}, 6, 0, 0},
		"what was told in a former term is told once more": {[]*raft.AppendEntriesRequest{message(2, 6, 6),
			message(3, 6, 5)}, 6, 6, 6},
		"a late answer of a former term changes no new one": {[]*raft.AppendEntriesRequest{message(3, 5, 5, 6),
			message(2, 8, 8)}, 6, 6, 6},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCommits()
			for _, m := range test.acknowledged {
				c.acknowledged(to, m)
			}
			got, any := c.behind(3, test.commit)[to]
			if got.PrevLogEntry != test.prev || got.LeaderCommitIndex != test.tell || any != (test.tell != 0) ||
				len(got.Entries) != 0 {
				t.Fatalf("told %+v, want commit index %d after entry %d", got, test.tell, test.prev)
			}
			if again := c.behind(3, test.commit); len(again) != 0 {
				t.Errorf("told twice: %+v", again)
			}
		})
	}
}
