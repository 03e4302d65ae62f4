package detector

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// watchOf has hosts of zones ("aab": two in a, one in b), all alive, of which the
// first leads, and one more in zone a that is not.
func watchOf(zones string, starved ...fleet.HostID) (*Watch, *watchedHost) {
	w := NewWatch("h0")
	ages := Ages{Seq: 1, Full: true, StarvedHosts: starved}
	var hosts []Host
	for i, zone := range zones {
		id := fleet.HostID(fmt.Sprintf("h%d", i))
		hosts = append(hosts, Host{ID: id, Zone: string(zone), State: fleet.HostReady})
		ages.Open = append(ages.Open, OpenAge{Host: id, Session: 1})
	}
	hosts = append(hosts, Host{ID: "victim", Zone: "a", State: fleet.HostReady})
	ages.Gone = []GoneAge{{Host: "victim", AgeMs: 60_000}}
	w.Take(time.Second, "h0", ages)
	w.Know(time.Second, hosts, []fleet.HostID{"h0"})
	w.Step(time.Second, false, 0)
	w.Know(time.Second, hosts, []fleet.HostID{"h0"})
	return w, w.hosts["victim"]
}

func TestAllWitnessesAreAskedInTurn(t *testing.T) {
	tests := map[string]struct {
		zones string
		asks  int    // in which all have been asked
		asked string // zones of hosts that are ever asked, if not all
	}{
		"fewer than three":               {zones: "aa", asks: 1},
		"four of one zone":               {zones: "aaaa", asks: 2},
		"twelve of one zone":             {zones: strings.Repeat("a", 12), asks: 10},
		"two zones":                      {zones: "aaabbbb", asks: 2, asked: "b"},
		"one of another zone":            {zones: "aaaab", asks: 3},
		"three zones, even":              {zones: "abcbcbcbc", asks: 4, asked: "bc"},
		"three others of one each":       {zones: "aabcd", asks: 1, asked: "bcd"},
		"three others, uneven":           {zones: "bbbbbbccd", asks: 6},
		"seven zones":                    {zones: "bcdefgbcdefgbcdefgh", asks: 9},
		"as many zones as hosts in each": {zones: "bbbbccccddddeeee", asks: 8},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, victim := watchOf(tt.zones)
			asked := map[fleet.HostID]bool{}
			for range tt.asks {
				picked := w.witnessSets.pick(victim)
				if len(picked) != min(protocol.MaxWitnesses, len(tt.zones)) {
					t.Errorf("picked %v", picked)
				}
				for i, id := range picked {
					if slices.Contains(picked[:i], id) || id == "victim" {
						t.Errorf("picked %v", picked)
					}
					asked[id] = true
				}
				victim.askedWitnesses++
			}
			for i, zone := range tt.zones {
				id := fleet.HostID(fmt.Sprintf("h%d", i))
				if !asked[id] && (tt.asked == "" || strings.ContainsRune(tt.asked, zone)) {
					t.Errorf("%s of zone %c was not asked in %d asks", id, zone, tt.asks)
				}
			}
		})
	}
}

// Or the host would be silent each time that it is not asked.
func TestAWitnessThatFoundAHostIsAskedAgain(t *testing.T) {
	for _, starved := range [][]fleet.HostID{nil, {"h3"}} {
		w, victim := watchOf("aaaaaaaaaaaa", starved...)
		now := time.Second
		ask := func(reaches fleet.HostID) []fleet.HostID {
			t.Helper()
			now += 10 * time.Second
			w.Take(now, "h0", Ages{Seq: w.views["h0"].seq + 1, StarvedHosts: starved})
			asks := w.Step(now, false, 10)
			if len(asks) != 1 {
				t.Fatalf("asks %v", asks)
			}
			var votes []Vote
			for _, by := range asks[0].Witnesses {
				v := Vote{By: by, Outcome: Silent}
				if by == reaches {
					v.Outcome = Refused
				}
				votes = append(votes, v)
			}
			w.Answer(now, "victim", asks[0].Needed, votes, -1)
			return asks[0].Witnesses
		}
		if starved != nil {
			victim.reached = w.hosts["h3"] // starved ones come last
		}
		for victim.reached == nil {
			if now > time.Hour {
				t.Fatal("h3 is never asked")
			}
			ask("h3")
		}
		others := map[fleet.HostID]bool{}
		for range 20 {
			for _, by := range ask("h3") {
				others[by] = true
			}
			if victim.liveness != plan.LivenessRefused {
				t.Fatalf("the host is %s", victim.liveness)
			}
		}
		if len(others) < 11 {
			t.Errorf("beside h3 only %v were asked", others)
		}
		ask("")
		if victim.reached != nil || victim.liveness != plan.LivenessSilent {
			t.Errorf("the host is %s once h3 finds it no more", victim.liveness)
		}
	}
}
