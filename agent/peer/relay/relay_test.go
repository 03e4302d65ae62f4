package relay_test

import (
	"errors"
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/peer/relay"
	"skein/raftfsm/fleet"
)

const now = time.Hour

func place(leader fleet.HostID) relay.Place { return relay.Place{Self: "h-b", Leader: leader} }

// heard is a voter that the leader h-a has answered.
func heard() *relay.Relay {
	var r relay.Relay
	r.Hear(now, "h-a")
	return &r
}

// told is a voter to which others have said how far they are.
func told(words ...relay.Word) *relay.Relay {
	var r relay.Relay
	r.Answered(now, words)
	return &r
}

func TestWhomToCallWithWhatOnlyTheLeaderDoes(t *testing.T) {
	for name, c := range map[string]struct {
		r     *relay.Relay
		later time.Duration
		at    relay.Place
		calls int
		want  relay.Hop
		err   error
	}{
		"the leader that has answered": {heard(), relay.Kept - 1, place("h-a"), 4, relay.Hop{To: "h-a"}, nil},
		"a leader that has not answered yet, while no other way is known": {told(), 0, place("h-a"), 4,
			relay.Hop{To: "h-a"}, nil},
		"a voter that knows a way, while the leader does not answer": {told(relay.Word{Voter: "h-c", Away: 2}),
			relay.Kept - 1, place("h-a"), 4, relay.Hop{To: "h-c", Through: true, Left: 3}, nil},
		"the leader, once a way is old": {told(relay.Word{Voter: "h-c", Away: 2}), relay.Kept, place("h-a"), 4,
			relay.Hop{To: "h-a"}, nil},
		"a voter that knows a way, while the log knows no leader": {told(relay.Word{Voter: "h-c", Away: 2}), 0,
			place(""), 4, relay.Hop{To: "h-c", Through: true, Left: 3}, nil},
		"the leader as such, though it is the way as well": {told(relay.Word{Voter: "h-a", Away: 1}), 0, place("h-a"), 4,
			relay.Hop{To: "h-a"}, nil},
		"another leader than the one that has answered": {heard(), 0, place("h-c"), 4, relay.Hop{To: "h-c"}, nil},
		"a last call is made by who may not pass it on": {told(relay.Word{Voter: "h-c", Away: 2}), 0, place("h-a"), 1,
			relay.Hop{To: "h-c", Through: true, Left: 0}, nil},
		"nobody, when no call is left":                     {heard(), 0, place("h-a"), 0, relay.Hop{}, protocol.ErrNotLeader},
		"nobody, when no way is known":                     {heard(), 0, place(""), 4, relay.Hop{}, protocol.ErrNoLeader},
		"nobody, when the log takes itself for the leader": {told(), 0, place("h-b"), 4, relay.Hop{}, protocol.ErrNoLeader},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.r.Next(now+c.later, c.at, c.calls)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %+v, %v, want %+v, %v", got, err, c.want, c.err)
			}
		})
	}
}

func TestACallThatIsUnderWayIsGivenUpWhenItsWayMoved(t *testing.T) {
	direct, through := relay.Hop{To: "h-a"}, relay.Hop{To: "h-c", Through: true}
	way := func(voter fleet.HostID) *relay.Relay { return told(relay.Word{Voter: voter, Away: 2}) }
	for name, c := range map[string]struct {
		r    *relay.Relay
		at   relay.Place
		hop  relay.Hop
		want bool
	}{
		"the leader answers":                               {heard(), place("h-a"), direct, false},
		"the leader does not answer, and no way is known":  {told(), place("h-a"), direct, false},
		"another leads":                                    {heard(), place("h-c"), direct, true},
		"no leader is known, and no way":                   {told(), place(""), direct, false},
		"the leader does not answer, and another is a way": {way("h-c"), place("h-a"), direct, true},
		"no leader is known, and another is a way":         {way("h-c"), place(""), direct, true},
		"the way is the leader's own":                      {way("h-a"), place(""), direct, false},
		"the voter that it goes through is the way":        {way("h-c"), place("h-a"), through, false},
		"another than the voter that it goes through is":   {way("h-d"), place("h-a"), through, true},
		"the link is back while it goes through a voter":   {heard(), place("h-a"), through, false},
		"no way is left but the one that it takes":         {told(), place("h-a"), through, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.r.Moved(now, c.at, c.hop); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestHowFarTheLeaderIs(t *testing.T) {
	far := func(away int) *relay.Relay { return told(relay.Word{Voter: "h-c", Away: away}) }
	for name, c := range map[string]struct {
		r     *relay.Relay
		later time.Duration
		at    relay.Place
		asker fleet.HostID
		want  int
	}{
		"this voter leads": {told(), 0, relay.Place{Self: "h-b", Leads: true, Leader: "h-b"},
			"h-d", 1},
		"the leader has answered":                     {heard(), relay.Kept - 1, place("h-a"), "h-d", 2},
		"the leader has not answered for a while":     {heard(), relay.Kept, place("h-a"), "h-d", 0},
		"another leads than the one that answered":    {heard(), 0, place("h-c"), "h-d", 0},
		"through another voter":                       {far(2), 0, place("h-a"), "h-d", 3},
		"through another voter, a while ago":          {far(2), relay.Kept, place("h-a"), "h-d", 0},
		"through the voter that asks: nobody circles": {far(2), 0, place("h-a"), "h-c", 0},
		"further than anybody may be":                 {far(relay.MaxAway), 0, place("h-a"), "h-d", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.r.Away(now+c.later, c.at, c.asker); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestWhichVoterIsTheWay(t *testing.T) {
	word := func(voter fleet.HostID, away int) relay.Word { return relay.Word{Voter: voter, Away: away} }
	for name, c := range map[string]struct {
		words []relay.Word
		want  fleet.HostID
	}{
		"the nearest":                    {[]relay.Word{word("h-c", 3), word("h-d", 2), word("h-e", 3)}, "h-d"},
		"of several the first by name":   {[]relay.Word{word("h-d", 2), word("h-c", 2), word("h-e", 2)}, "h-c"},
		"not one that knows no way":      {[]relay.Word{word("h-c", 0), word("h-d", 3)}, "h-d"},
		"not one that makes no sense":    {[]relay.Word{word("h-c", -1), word("h-d", 3)}, "h-d"},
		"the furthest that may be":       {[]relay.Word{word("h-c", relay.MaxAway)}, "h-c"},
		"none that is further than that": {[]relay.Word{word("h-c", relay.MaxAway+1)}, ""},
		"none, when nobody answers":      {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			hop, _ := told(c.words...).Next(now, place(""), relay.MaxAway)
			if hop.To != c.want {
				t.Errorf("got %q, want %q", hop.To, c.want)
			}
		})
	}
}

func TestAWayThatIsKnownStaysWhileNoBetterIsTold(t *testing.T) {
	r := told(relay.Word{Voter: "h-c", Away: 2})
	r.Answered(now+1, []relay.Word{{Voter: "h-d", Away: relay.MaxAway + 1}})
	if hop, err := r.Next(now+1, place(""), 4); hop.To != "h-c" {
		t.Errorf("got %+v, %v", hop, err)
	}
	r.Hear(now+2, "h-a")
	if _, err := r.Next(now+2, place(""), 4); !errors.Is(err, protocol.ErrNoLeader) {
		t.Errorf("the way stays though the leader has answered: %v", err)
	}
}

func TestOthersAreAskedWhereTheLeaderDoesNotAnswer(t *testing.T) {
	var r relay.Relay
	ask := func(at time.Duration, place relay.Place, want bool, when string) {
		t.Helper()
		if got := r.Ask(at, place); got != want {
			t.Errorf("%s: asks %v, want %v", when, got, want)
		}
	}
	ask(now, relay.Place{Self: "h-b", Leads: true, Leader: "h-b"}, false, "it leads")
	r.Hear(now, "h-a")
	ask(now, place("h-a"), false, "the leader has just answered")
	ask(now, place("h-c"), true, "another leads now")
	ask(now+relay.Kept, place("h-a"), false, "the last question is under way")
	r.Answered(now+relay.AskEvery-1, nil)
	ask(now+relay.AskEvery-1, place(""), false, "the last question was a moment ago")
	ask(now+relay.AskEvery, place(""), true, "the log knows no leader")
}

func TestABoundThatNoVoterSetsIsRefused(t *testing.T) {
	for left, want := range map[int]error{-1: protocol.ErrMalformed, 0: nil, relay.MaxAway: nil,
		relay.MaxAway + 1: protocol.ErrMalformed} {
		if err := relay.CheckLeft(left); !errors.Is(err, want) {
			t.Errorf("%d: %v, want %v", left, err, want)
		}
	}
}
