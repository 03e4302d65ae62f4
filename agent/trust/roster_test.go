package trust_test

import (
	"net/netip"
	"testing"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

func TestTheNewerVotersAreKnown(t *testing.T) {
	st := fleet.New()
	st.Apply(5, fleet.Entry{At: 1_767_355_200_000, Items: []fleet.Item{{Command: fleet.InitFleet{ID: "f-1",
		CABundle: []byte("ca"), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8), Gossip: make([]byte, 8)},
		Host: fleet.Admission{ID: "h-1", Name: "one", Zone: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7700"),
			PublicKey: "key"}, RaftID: "h-1.1"}}}})
	now := trust.RosterOf(st)
	if !now.Has("h-1") {
		t.Fatalf("State has %+v", now)
	}
	told := func(index uint64) trust.Roster {
		return trust.Roster{Epoch: now.Epoch, Index: index, Voters: []trust.RosterVoter{{Host: "h-2", Voting: true}}}
	}
	for name, c := range map[string]struct {
		known trust.Roster
		st    *fleet.State
		want  fleet.HostID
	}{
		"a host without a log knows what it was told": {told(1), nil, "h-2"},
		"a log without a fleet says nothing":          {told(1), fleet.New(), "h-2"},
		"State is newer than what was told":           {told(st.Index() - 1), st, "h-1"},
		"State is as new as what was told":            {told(st.Index()), st, "h-1"},
		"what was told is newer than State":           {told(st.Index() + 1), st, "h-2"},
	} {
		if got := c.known.With(c.st); !got.Has(c.want) {
			t.Errorf("%s: %+v, want %s in it", name, got, c.want)
		}
	}
}
