package fleet

import (
	"strings"
	"testing"
)

// threeVoters is a fleet whose three hosts vote.
func threeVoters(t *testing.T) *world {
	w := fleetOf(t, 3)
	for n := 2; n <= 3; n++ {
		for _, phase := range []VoterPhase{VoterPreparing, VoterLearning, VoterVoting} {
			w.must(SetVoter{ID: MakeRaftID(hostID(n), 1), Phase: phase})
		}
	}
	return w
}

func TestAChangeOfLeaderIsSaidOnce(t *testing.T) {
	w := threeVoters(t)
	lead := func(n int, without int64) NoteLeader {
		return NoteLeader{ID: MakeRaftID(hostID(n), 1), LeaderlessMs: without}
	}
	last := uint64(0)
	heard := func(want string) {
		t.Helper()
		got := "nothing"
		if e := w.lastEvent(); e.Seq > last {
			got, last = e.Code+": "+e.Message, e.Seq
		}
		if got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	w.wait(1000)
	last = w.lastEvent().Seq
	w.must(lead(1, 0))
	heard("nothing") // nobody led before
	w.wait(60_000)
	w.must(lead(2, 1500))
	heard("leader-changed: h2 leads, after h1")
	w.noop(lead(2, 1500)) // its agent starts again, and it is elected again
	for range 5 {         // two take turns
		w.wait(5000)
		w.must(lead(3, 800))
		w.wait(5000)
		w.must(lead(2, 800))
	}
	if got := w.LastLeader(); got == nil || got.Host != hostID(2) {
		t.Errorf("%+v led last", got)
	}
	turns := 0
	for e := range w.EventsAfter(last) {
		if e.Code == "leader-changed" {
			turns++
		}
	}
	if turns != 1 {
		t.Errorf("%d events of two voters that take turns, want the first alone", turns)
	}
	last = w.lastEvent().Seq
	w.wait(120_000)
	w.must(lead(2, 63_400))
	heard("quorum-back: h2 leads; for 1m3s no leader was elected, and nothing that needs one was done")
	w.wait(120_000)
	w.must(lead(1, 2000))
	heard("leader-changed: h1 leads, after h2")
	w.checked()
	w.must(SetVoter{ID: MakeRaftID(hostID(3), 1), Phase: VoterRetiring})
	w.refused(lead(3, 0), ErrNotFound, "note leader")
	w.refused(lead(9, 0), ErrNotFound, "note leader")
	w.refused(lead(2, -1), ErrInvalid, "leaderlessMs")
	if strings.Contains(w.lastEvent().Code, "leader") {
		t.Error("a refusal is an event")
	}
}
