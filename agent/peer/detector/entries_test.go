package detector

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// What a host says of entry addresses comes to the leader's view with the next word, and
// goes with the first beat that says it no more, and with the stream.
func TestWhatHostsSayOfEntryAddressesComesToTheLeader(t *testing.T) {
	var teller Teller
	s, w := NewStreams(), NewWatch("h-1")
	trouble := plan.EntryTrouble{Addr: netip.MustParseAddr("10.0.0.200"), Why: "no interface"}
	now := time.Second
	st := s.Open(now, "h-2", 1)
	word := func() plan.HostLiveness {
		t.Helper()
		now += 250 * time.Millisecond
		if w.Take(now, "h-1", teller.Next(now, "h-1", s, s.All(), fleet.Served{}, false)) {
			t.Fatal("a full word is asked for")
		}
		w.Step(now, false, 0)
		return w.Liveness(now, nil).Hosts["h-2"]
	}
	teller.Own("h-1")
	if got := word(); got.Leaving || len(got.Troubles) > 0 {
		t.Errorf("before it says anything: %+v", got)
	}
	st.Beat(now, time.Time{}, Beat{Leaving: true, Troubles: []plan.EntryTrouble{trouble}})
	for range 2 {
		if got := word(); !got.Leaving || !slices.Equal(got.Troubles, []plan.EntryTrouble{trouble}) {
			t.Errorf("while it says so: %+v", got)
		}
	}
	st.Beat(now, time.Time{}, Beat{})
	if got := word(); got.Leaving || len(got.Troubles) > 0 {
		t.Errorf("when it says so no more: %+v", got)
	}
	st.Beat(now, time.Time{}, Beat{Leaving: true})
	word()
	s.Close(st, false)
	if got := word(); got.Leaving {
		t.Errorf("when its stream has ended: %+v", got)
	}
}

// A voter that goes without a last word must not have a host leave for ever.
func TestANewerStreamSaysWhatAHostSaysOfEntryAddresses(t *testing.T) {
	w := NewWatch("h-1")
	word := func(voter fleet.HostID, seq, session uint64, entries ...EntryWord) {
		open := []OpenAge{{Host: "h-3", Session: session}}
		w.Take(time.Second, voter, Ages{Full: true, Seq: seq, Open: open, Entries: entries})
	}
	leaves := func() bool { return w.Liveness(time.Second, nil).Hosts["h-3"].Leaving }
	word("h-2", 1, 4, EntryWord{Host: "h-3", Leaving: true})
	if !leaves() {
		t.Error("its one stream says that it leaves")
	}
	word("h-1", 1, 5)
	if leaves() {
		t.Error("a newer stream, with another voter, does not say so")
	}
	word("h-1", 2, 5, EntryWord{Host: "h-3", Leaving: true})
	word("h-2", 2, 4)
	if !leaves() {
		t.Error("an older stream has ended the word of a newer one")
	}
	w.KnowVoters([]fleet.HostID{"h-2"})
	word("h-1", 3, 5)
	if leaves() {
		t.Error("its newest stream says so no more")
	}
}
