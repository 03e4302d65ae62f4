package simlog_test

import (
	"testing"

	"skein/agent/sim/simlog"
)

// Each mutant breaks one rule and must be caught within so many games.
func TestEachMutantIsCaught(t *testing.T) {
	for _, m := range []struct {
		name  string
		rules simlog.Rules
		seeds uint64
	}{
		{"acknowledging before commit", simlog.Rules{AckBeforeCommit: true}, 10},
		{"committing without a majority", simlog.Rules{CommitWithoutMajority: true}, 10},
		{"a wiped disk votes", simlog.Rules{WipedMayVote: true}, 200},
		{"a vote is forgotten", simlog.Rules{ForgetVote: true}, 50},
		{"terms are ignored", simlog.Rules{TermsIgnored: true}, 50},
	} {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= m.seeds; seed++ {
				if problems, _ := play(t, seed, simlog.Config{Shared: true, Rules: m.rules}, map[string]int{}); len(problems) > 0 {
					t.Logf("caught by seed %d: %.300s", seed, problems[0])
					return
				}
			}
			t.Errorf("not caught by %d seeds", m.seeds)
		})
	}
}
