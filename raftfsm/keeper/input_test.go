package keeper_test

import (
	"errors"
	"testing"

	"skein/raftfsm/fleet"
	"skein/raftfsm/keeper"
)

func TestAReplyCountsForTheVoterThatWasAskedFor(t *testing.T) {
	const asked, other = fleet.RaftID("h-1.2"), fleet.RaftID("h-1.1")
	well := keeper.Reply{ID: asked, Commit: 7}
	for name, c := range map[string]struct {
		reply keeper.Reply
		err   error
		want  keeper.Answer
	}{
		"its own log answers":      {well, nil, keeper.Answer{Now: true, Commit: 7}},
		"a log of before does not": {keeper.Reply{ID: other, Commit: 9}, nil, keeper.Answer{NotOne: true}},
		"a host without a log":     {keeper.Reply{None: true}, nil, keeper.Answer{NotOne: true}},
		"silence is no answer":     {well, errors.New("no connection"), keeper.Answer{}},
		"an agent that does not say whose log it holds": {keeper.Reply{Commit: 7}, nil,
			keeper.Answer{Now: true, Commit: 7}},
		"a disk in trouble": {keeper.Reply{ID: asked, Trouble: "stalls", Stalled: true}, nil,
			keeper.Answer{Now: true, Trouble: "stalls", Stalled: true}},
	} {
		if got := keeper.AnswerOf(asked, c.reply, c.err); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
