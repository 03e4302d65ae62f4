package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"skein/agent/api/view"
	"skein/raftfsm/fleet"
)

// What is said of voters counts the living, in every answer alike.
func TestVotersAreCountedByTheLiving(t *testing.T) {
	leaderless := func(x *testAPI) {
		x.voter.set(func(v *fakeVoter) { v.leads, v.leader, v.age = false, "", time.Minute })
	}
	gossip := func(x *testAPI, alive ...bool) {
		for i, is := range alive {
			x.members.members = append(x.members.members, view.Member{Host: hostID(i + 1), Role: "voter", Alive: is})
		}
	}
	tests := []struct {
		name   string
		given  func(x *testAPI)
		want   string
		lost   bool
		alive  int
		metric string
	}{
		{"all alive", func(x *testAPI) { gossip(x, true, true, true) }, "3 of 3 alive (may lose 1)", false, 3,
			"skein_voters_alive 3"},
		{"nothing heard by gossip yet", func(*testAPI) {}, "3 of 3 alive (may lose 1)", false, 3, "skein_voters_alive 3"},
		{"one dead by gossip", func(x *testAPI) { gossip(x, true, true, false) }, "2 of 3 alive (may lose none)", false, 2,
			"skein_voters_alive 2"},
		{"one silent by the leader's word", func(x *testAPI) {
			gossip(x, true, true, true)
			x.voter.must(t, fleet.SilenceHost{Host: hostID(2), Session: 1})
		}, "2 of 3 alive (may lose none)", false, 2, "skein_quorum_lost 0"},
		{"one whose agent runs on as a worker, without its log", func(x *testAPI) {
			gossip(x, true, true)
			x.members.members = append(x.members.members, view.Member{Host: hostID(3), Role: "worker", Alive: true})
		}, "2 of 3 alive (may lose none)", false, 2, "skein_voters_alive 2"},
		{"quorum lost", func(x *testAPI) { gossip(x, true, false, false); leaderless(x) },
			"1 of 3 alive (QUORUM LOST, 2 needed)", true, 1, "skein_quorum_lost 1"},
		{"an election among the living", func(x *testAPI) { gossip(x, true, true, false); leaderless(x) },
			"2 of 3 alive (may lose none)", false, 2, "skein_voters_needed 2"},
		{"one that came back while nobody leads", func(x *testAPI) {
			gossip(x, true, true, true)
			x.voter.must(t, fleet.SilenceHost{Host: hostID(2), Session: 1})
			leaderless(x)
		}, "3 of 3 alive (may lose 1)", false, 3, "skein_quorum_lost 0"},
		{"one silent by the word of a leader that is gone, and not heard since", func(x *testAPI) {
			gossip(x, true)
			x.voter.must(t, fleet.SilenceHost{Host: hostID(2), Session: 1})
			leaderless(x)
		}, "2 of 3 alive (may lose none)", false, 2, "skein_voters_alive 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newTestAPI(t, nil)
			root := webFleet(t, x)
			tt.given(x)
			status := want(t, http.StatusOK, root, "GET", "/v1/status", "")
			voters := want(t, http.StatusOK, root, "GET", "/v1/voters", "")
			for where, counts := range map[string]any{"status": status["voters"], "voters": voters["counts"]} {
				if at(t, counts, "summary") != tt.want || at(t, counts, "quorumLost") != tt.lost {
					t.Errorf("%s: %v, want %s", where, counts, tt.want)
				}
			}
			if said := strings.Contains(fmt.Sprint(status["notes"]), "QUORUM LOST"); said != tt.lost {
				t.Errorf("notes %v", status["notes"])
			}
			alive := 0
			for _, row := range voters["voters"].([]any) {
				if at(t, row, "alive") == true {
					alive++
				}
			}
			if alive != tt.alive {
				t.Errorf("%d rows are alive: %v", alive, voters["voters"])
			}
			w := newRecorder()
			root.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/metrics", nil))
			if !strings.Contains(w.Body.String(), tt.metric+"\n") {
				t.Errorf("no line %s", tt.metric)
			}
		})
	}
}

// A worker that is cut off counts the voters that gossip still hears: what the
// fleet was when it last asked says nothing of who is alive.
func TestACutOffWorkerCountsTheVotersThatItHears(t *testing.T) {
	worker, _, cut := workerOf(t)
	h := worker.Handler(TrustNone)
	want(t, http.StatusOK, h, "GET", "/v1/status", "")
	cut()
	worker.members.members = []view.Member{{Host: hostID(1), Role: "voter", Alive: true}, {Host: hostID(2), Role: "voter"},
		{Host: hostID(3), Role: "worker", Alive: true}, {Host: hostID(4), Role: "worker", Alive: true}}
	got := want(t, http.StatusOK, h, "GET", "/v1/status", "")
	if at(t, got, "voters", "summary") != "1 of 3 alive (QUORUM LOST, 2 needed)" {
		t.Errorf("voters %v", got["voters"])
	}
}
