package keeper_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/keeper"
)

func TestTarget(t *testing.T) {
	for _, tc := range []struct {
		name           string
		hosts, setting int
		change         func(w *world)
		want           int
	}{
		{"one host has one voter", 1, 3, nil, 1},
		{"two hosts have one voter", 2, 3, nil, 1},
		{"three hosts have three", 3, 3, nil, 3},
		{"many hosts have three by default", 9, 3, nil, 3},
		{"five by setting", 9, 5, nil, 5},
		{"seven by setting", 9, 7, nil, 7},
		{"five by setting on four hosts are three", 4, 5, nil, 3},
		{"seven by setting on six hosts are five", 6, 7, nil, 5},
		{"a silent host counts", 3, 3, func(w *world) { w.down(3) }, 3},
		{"a lost host counts", 3, 3, func(w *world) { w.lose(3) }, 3},
		{"a forgotten host does not", 3, 3, func(w *world) { w.lose(3); w.do(fleet.ForgetHost{Host: id(3)}) }, 1},
		{"one whose certificate is revoked does not", 3, 3, func(w *world) { w.do(fleet.RevokeCert{Host: id(3)}) }, 1},
		{"one that never was ready does not", 2, 3, func(w *world) {
			w.do(fleet.AdmitHost{Token: "t", SecretHash: make([]byte, 32), Host: admission(3, "c")})
		}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, zones(tc.hosts)...)
			w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: int64(tc.setting)})
			if tc.change != nil {
				tc.change(w)
			}
			if got := keeper.Target(w.state); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func zones(n int) (zones []string) {
	for i := range n {
		zones = append(zones, string("abc"[i%3]))
	}
	return zones
}

func (w *world) lose(n int) {
	w.down(n)
	w.now = w.now.Add(10 * time.Minute)
	w.do(fleet.LoseHost{Host: id(n), Session: w.state.Host(id(n)).Session.N})
}

func TestScenarios(t *testing.T) {
	for _, tc := range []struct {
		name   string
		zones  string
		play   func(w *world)
		voters string
	}{
		{"one host votes alone", "a", func(w *world) { w.run(time.Minute) }, "1"},
		{"of two hosts one votes", "ab", func(w *world) { w.run(time.Minute) }, "1"},
		{"of three hosts all vote", "abc", func(w *world) { w.run(20 * time.Second) }, "1 2 3"},
		{"voters are spread over zones", "aaabbbccc", func(w *world) { w.run(time.Minute) }, "1 4 7"},
		{"in one zone those longest ready vote", "aaaaa", func(w *world) { w.run(time.Minute) }, "1 2 3"},
		{"five by setting, spread", "aaabbbccc", func(w *world) {
			w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
			w.run(time.Minute)
		}, "1 2 4 5 7"},
		{"a raised setting grows from three to five", "abcabc", func(w *world) {
			w.run(time.Minute)
			w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
			w.run(time.Minute)
		}, "1 2 3 4 5"},
		{"a lowered setting shrinks, the youngest go, zones stay", "abcabc", func(w *world) {
			w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
			w.run(time.Minute)
			w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 3})
			w.run(time.Minute)
		}, "1 2 3"},
		{"a cordoned host is not picked", "abc", func(w *world) {
			w.do(fleet.CordonHost{Host: id(2)})
			w.run(time.Minute)
		}, "1"},
		{"a starved host is not picked", "abcd", func(w *world) {
			w.starved[id(2)] = true
			w.run(time.Minute)
		}, "1 3 4"},
		{"a voter whose disk stalls for less than two minutes stays", "abcd", func(w *world) {
			w.run(time.Minute)
			w.hosts[id(2)].disk = "stalled"
			w.run(keeper.TroubleFor - 5*time.Second)
			w.hosts[id(2)].disk = ""
			w.run(10 * time.Minute)
		}, "1 2 3"},
		{"a voter whose disk stalls for long is replaced, though it answers", "abcd", func(w *world) {
			w.run(time.Minute)
			w.hosts[id(2)].disk = "stalled"
			w.run(keeper.TroubleFor + time.Minute)
		}, "1 3 4"},
		{"a voter whose disk stalls for 3 s in every 10 s is replaced", "abcd", func(w *world) {
			w.run(time.Minute)
			w.stallAgainAndAgain(2, 3*time.Second, 10*time.Second, 20*time.Minute)
		}, "1 3 4"},
		{"a voter whose disk stalls for 3 s every minute stays", "abcd", func(w *world) {
			w.run(time.Minute)
			w.stallAgainAndAgain(2, 3*time.Second, time.Minute, 2*time.Hour)
		}, "1 2 3"},
		{"stalls long ago do not count", "abcd", func(w *world) {
			w.run(time.Minute)
			w.stallAgainAndAgain(2, 3*time.Second, 10*time.Second, 8*time.Minute)
			w.run(time.Hour)
			w.stallAgainAndAgain(2, 3*time.Second, 10*time.Second, 8*time.Minute)
		}, "1 2 3"},
		{"a silence among the stalls tells nothing of the disk", "abcd", func(w *world) {
			w.run(time.Minute)
			w.stallAgainAndAgain(2, 3*time.Second, 10*time.Second, 8*time.Minute)
			w.hosts[id(2)].mute = true
			w.run(keeper.MuteAfter / 2)
			w.hosts[id(2)].mute = false
			w.stallAgainAndAgain(2, 3*time.Second, 10*time.Second, 8*time.Minute)
		}, "1 3 4"},
		{"a voter whose disk is full for long is replaced", "abcd", func(w *world) {
			w.run(time.Minute)
			w.hosts[id(2)].disk = "full"
			w.run(keeper.TroubleFor + time.Minute)
		}, "1 3 4"},
		{"a voter whose disk stalls stays where nobody can replace it", "abc", func(w *world) {
			w.run(time.Minute)
			w.hosts[id(2)].disk = "stalled"
			w.run(time.Hour)
		}, "1 2 3"},
		{"a host whose disk stalled is not picked again soon", "abcd", func(w *world) {
			w.run(time.Minute)
			w.hosts[id(2)].disk = "stalled"
			w.run(keeper.TroubleFor + time.Minute)
			w.down(3)
			w.run(5 * time.Minute)
		}, "1 3 4"},
		{"two of three stalled disks change nothing: no majority takes entries", "abcdef", func(w *world) {
			w.run(time.Minute)
			w.hosts[id(2)].disk, w.hosts[id(3)].disk = "stalled", "stalled"
			w.run(time.Hour)
		}, "1 2 3"},
		{"two of five stalled disks are replaced one after the other", "abcabcabc", func(w *world) {
			w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
			w.run(time.Minute)
			w.hosts[id(2)].disk, w.hosts[id(3)].disk = "stalled", "stalled"
			w.run(keeper.TroubleFor + 2*time.Minute)
		}, "1 4 5 6 8"},
		{"a stalled voter does not count for the majority that a change needs", "abcde", func(w *world) {
			w.run(time.Minute)
			w.hosts[id(2)].disk = "stalled"
			w.lose(3)
			w.run(time.Hour)
		}, "1 2 3"},
		{"a cordoned voter stays", "abcd", func(w *world) {
			w.run(time.Minute)
			w.do(fleet.CordonHost{Host: id(2)})
			w.run(time.Minute)
		}, "1 2 3"},
		{"a voter silent for less than 30 s stays", "abcd", func(w *world) {
			w.run(time.Minute)
			w.down(2)
			w.run(25 * time.Second)
			w.back(2, false)
			w.run(time.Minute)
		}, "1 2 3"},
		{"a dead voter is replaced", "abcd", func(w *world) {
			w.run(time.Minute)
			w.down(2)
			w.run(time.Minute)
		}, "1 3 4"},
		{"a lost voter is replaced at once", "abcd", func(w *world) {
			w.run(time.Minute)
			w.lose(2)
			w.run(10 * time.Second)
		}, "1 3 4"},
		{"a dead voter without a replacement stays", "abc", func(w *world) {
			w.run(time.Minute)
			w.lose(2)
			w.run(time.Hour)
		}, "1 2 3"},
		{"a dead voter whose only replacement is cordoned stays", "abcd", func(w *world) {
			w.run(time.Minute)
			w.do(fleet.CordonHost{Host: id(4)})
			w.lose(2)
			w.run(time.Hour)
		}, "1 2 3"},
		{"two of three dead change nothing: there is no majority", "abcdef", func(w *world) {
			w.run(time.Minute)
			w.down(2)
			w.down(3)
			w.run(time.Hour)
		}, "1 2 3"},
		{"two of five dead are replaced one after the other", "abcabcabc", func(w *world) {
			w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
			w.run(time.Minute)
			w.down(2)
			w.down(3)
			w.run(2 * time.Minute)
		}, "1 4 5 6 8"},
		{"two of five dead and one replacement: it is used", "abcabc", func(w *world) {
			w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
			w.run(time.Minute)
			w.down(2)
			w.down(3)
			w.run(2 * time.Minute)
		}, "1 2 4 5 6"},
		{"five by setting, and one of four hosts beside the leader is lost: three vote", "abcab", func(w *world) {
			w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
			w.lose(5)
			w.run(time.Minute)
		}, "1 2 3"},
		{"five by setting, one host is lost before it votes and a voter dies later: who learns replaces it", "abcab",
			func(w *world) {
				w.lose(5)
				w.run(time.Minute)
				w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
				w.run(time.Minute)
				w.lose(2)
				w.run(time.Minute)
			}, "1 3 4"},
		{"five by setting, and three of five hosts are lost: silence leaves no even number and shrinks nothing", "abcab",
			func(w *world) {
				w.lose(4)
				w.lose(5)
				w.run(time.Minute)
				w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: 5})
				w.lose(2)
				w.run(time.Hour)
			}, "1 2 3"},
		{"a voter the fleet still hears of is replaced after two minutes", "abcd", func(w *world) {
			w.run(time.Minute)
			w.hosts[id(2)].mute = true
			w.run(100 * time.Second)
			if w.voters() != "1 2 3" {
				w.t.Errorf("voters %q after 100 s", w.voters())
			}
			w.run(time.Minute)
		}, "1 3 4"},
		{"a dead voter of three that is forgotten leaves, and a host in its place makes three again", "abc", func(w *world) {
			w.run(time.Minute)
			w.down(3)
			w.do(fleet.ForgetHost{Host: id(3)})
			w.run(30 * time.Second)
			if got := w.rows(); strings.Contains(got, "3.1") {
				w.t.Errorf("rows: %s", got)
			}
			w.join(4, "c")
			w.run(time.Minute)
		}, "1 2 4"},
		{"a dead voter that is forgotten stays while no majority of the others answers", "abc", func(w *world) {
			w.run(time.Minute)
			w.down(3)
			w.do(fleet.ForgetHost{Host: id(3)})
			w.hosts[id(2)].mute = true
			w.run(time.Minute)
			if got := w.rows(); !strings.Contains(got, "3.1 retiring") {
				w.t.Errorf("rows: %s", got)
			}
			w.hosts[id(2)].mute = false
			w.run(time.Minute)
		}, "1"},
		{"a draining voter is replaced, then leaves", "abcd", func(w *world) {
			w.run(time.Minute)
			w.drain(2)
			w.run(time.Minute)
		}, "1 3 4"},
		{"a draining leader hands over, is replaced, then leaves", "abcd", func(w *world) {
			w.run(time.Minute)
			w.drain(1)
			w.run(time.Minute)
		}, "2 3 4"},
		{"a lone leader that drains makes another voter and hands over", "ab", func(w *world) {
			w.run(time.Minute)
			w.drain(1)
			w.run(time.Minute)
		}, "2"},
		{"of three hosts one drains: one voter is left", "abc", func(w *world) {
			w.run(time.Minute)
			w.drain(2)
			w.run(time.Minute)
		}, "1"},
		{"a wiped voter is retired and comes back under a new number", "abc", func(w *world) {
			w.run(time.Minute)
			w.hosts[id(2)].holds = ""
			w.run(2 * time.Minute)
			if got := w.rows(); !strings.Contains(got, "2.2 voting") {
				w.t.Errorf("rows: %s", got)
			}
		}, "1 2 3"},
		{"a host that loses its log while it learns is left alone, and another takes its place", "abbc", func(w *world) {
			w.hosts[id(2)].forgets = true
			w.run(3 * time.Minute)
		}, "1 3 4"},
		{"a voter that holds another log is retired too", "abc", func(w *world) {
			w.run(time.Minute)
			w.hosts[id(2)].holds = fleet.MakeRaftID(id(2), 9)
			w.run(2 * time.Minute)
		}, "1 2 3"},
		{"a voter that says so for a moment is not", "abc", func(w *world) {
			w.run(time.Minute)
			held := w.hosts[id(2)].holds
			w.hosts[id(2)].holds = ""
			w.run(20 * time.Second)
			w.hosts[id(2)].holds = held
			w.run(time.Minute)
			if got := w.rows(); !strings.Contains(got, "2.1 voting") {
				w.t.Errorf("rows: %s", got)
			}
		}, "1 2 3"},
		{"a wiped voter waits while another is dead: no majority would be left", "abc", func(w *world) {
			w.run(time.Minute)
			w.down(3)
			w.hosts[id(2)].holds = ""
			w.run(time.Hour)
		}, "1 2 3"},
		{"a follower that is sent snapshot after snapshot begins anew", "abc", func(w *world) {
			w.run(time.Minute)
			w.installs[fleet.MakeRaftID(id(2), 1)] = keeper.MaxInstalls
			w.run(time.Minute)
			if got := w.rows(); !strings.Contains(got, "2.2 voting") {
				w.t.Errorf("rows: %s", got)
			}
		}, "1 2 3"},
		{"a learner far behind is not promoted, and nobody alone", "abc", func(w *world) {
			w.hosts[id(2)].lag = 1 << 19
			w.run(time.Hour)
		}, "1"},
		{"a host that takes no keys is given up for another", "abcd", func(w *world) {
			w.hosts[id(2)].deaf = true
			w.run(5 * time.Minute)
		}, "1 3 4"},
		{"a learner that dies is given up for another", "abcd", func(w *world) {
			w.hosts[id(2)].lag = 1 << 19
			w.run(10 * time.Second)
			w.down(2)
			w.run(2 * time.Minute)
		}, "1 3 4"},
		{"a leader that stops hands over", "abc", func(w *world) {
			w.run(time.Minute)
			w.leaving = true
			w.step()
			if w.leader == id(1) {
				w.t.Error("it leads still")
			}
		}, "1 2 3"},
		{"a voter that an operator retires goes, and is not replaced by itself at once", "abcd", func(w *world) {
			w.run(time.Minute)
			w.do(fleet.CordonHost{Host: id(2)})
			w.do(fleet.SetVoter{ID: fleet.MakeRaftID(id(2), 1), Phase: fleet.VoterRetiring})
			w.run(time.Minute)
		}, "1 3 4"},
		{"a lost voter that an operator retires can be forgotten", "abc", func(w *world) {
			w.run(time.Minute)
			w.lose(2)
			w.do(fleet.SetVoter{ID: fleet.MakeRaftID(id(2), 1), Phase: fleet.VoterRetiring})
			w.run(10 * time.Second)
			w.do(fleet.ForgetHost{Host: id(2)})
			w.run(time.Minute)
		}, "1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, strings.Split(tc.zones, "")...)
			tc.play(w)
			if got := w.voters(); got != tc.voters {
				t.Errorf("voters %q, want %q (%s; waiting for %q)\n%s", got, tc.voters, w.rows(), w.plan.Why,
					strings.Join(w.trace, "\n"))
			}
		})
	}
}

// drain sets what a later feature will set by a command.
func (w *world) drain(n int) {
	b := fleet.NewBuilder()
	for table, row := range w.state.Rows() {
		if h, ok := row.(*fleet.Host); ok && h.ID == id(n) {
			draining := *h
			draining.Drain = &fleet.Drain{Cause: fleet.CauseOperator, Since: 1}
			row = &draining
		}
		if err := b.Add(table, row); err != nil {
			w.t.Fatal(err)
		}
	}
	state, err := b.State()
	if err != nil {
		w.t.Fatal(err)
	}
	w.state = state
}

func TestThreeHostsAreBothLearnedAndThenBothAdded(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	w.run(20 * time.Second)
	want := []string{
		"preparing h2.1", "preparing h3.1",
		"learning h2.1", "AddNonvoter {h2.1}", "learning h3.1", "AddNonvoter {h3.1}",
		"voting h2.1", "AddVoter {h2.1}", "voting h3.1", "AddVoter {h3.1}",
	}
	got := slices.Clone(w.trace)
	slices.Sort(got)
	sorted := slices.Clone(want)
	slices.Sort(sorted)
	if !slices.Equal(got, sorted) {
		t.Fatalf("got\n%s", strings.Join(w.trace, "\n"))
	}
	at := func(line string) int { return slices.Index(w.trace, line) }
	for _, order := range [][2]string{
		{"AddNonvoter {h2.1}", "voting h2.1"}, {"AddNonvoter {h3.1}", "voting h2.1"},
		{"learning h2.1", "AddNonvoter {h2.1}"}, {"voting h2.1", "AddVoter {h2.1}"}, {"AddVoter {h2.1}", "voting h3.1"},
	} {
		if at(order[0]) > at(order[1]) {
			t.Errorf("%q came after %q", order[0], order[1])
		}
	}
}

func TestADeadVoterGoesOnlyAfterItsReplacementVotes(t *testing.T) {
	w := newWorld(t, "a", "b", "c", "d")
	w.run(time.Minute)
	w.trace = nil
	w.down(2)
	w.run(time.Minute)
	want := []string{
		"preparing h4.1", "learning h4.1", "AddNonvoter {h4.1}", "voting h4.1", "AddVoter {h4.1}",
		"retiring h2.1", "RemoveServer {h2.1}", "removed h2.1",
	}
	if !slices.Equal(w.trace, want) {
		t.Errorf("got\n%s", strings.Join(w.trace, "\n"))
	}
}

func TestALearnerIsPromotedAfterItWasCloseForTwoSeconds(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	for w.rows() != "1.1 voting, 2.1 learning, 3.1 learning" || len(w.config) != 3 {
		w.step()
		if w.now > 1_700_000_060_000 {
			t.Fatalf("rows %s", w.rows())
		}
	}
	w.hosts[id(2)].lag = keeper.CaughtUp + 1
	w.run(10 * time.Second)
	if strings.Count(w.rows(), "voting") != 1 {
		t.Fatalf("one learner is too far behind: %s", w.rows())
	}
	w.hosts[id(2)].lag = keeper.CaughtUp
	w.run(1500 * time.Millisecond)
	w.hosts[id(2)].lag = keeper.CaughtUp + 1 // a break begins it anew
	w.step()
	w.hosts[id(2)].lag = 0
	w.run(2 * time.Second)
	if strings.Count(w.rows(), "voting") != 1 {
		t.Fatalf("promoted after less than two seconds: %s", w.rows())
	}
	w.run(5 * time.Second)
	if got := w.voters(); got != "1 2 3" {
		t.Errorf("voters %q", got)
	}
}

func TestWhatIsWaitedForIsSaid(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	w.run(time.Minute)
	if w.plan.Why != "" {
		t.Errorf("nothing is waited for, but %q is said", w.plan.Why)
	}
	w.lose(2)
	w.run(time.Minute)
	if want := "h2 waits for a replacement"; w.plan.Why != want {
		t.Errorf("got %q, want %q", w.plan.Why, want)
	}
}

func TestNothingIsDoneBeforeThereIsAFleet(t *testing.T) {
	plan, _ := keeper.Step(1, keeper.Input{State: fleet.New(), Self: "h-1.1"}, keeper.Memory{})
	if len(plan.Items)+len(plan.Effects) != 0 {
		t.Errorf("got %+v", plan)
	}
}

// TestRandomFleetsSettle plays with hosts at random while leaders and the
// keeper's memory come and go. The world checks at each change that a majority
// of the configuration it leads to answers, that there is one change at a time,
// and that no RaftID is used twice; here, that nobody is removed for silence
// alone, and that once all is well the fleet settles and stays quiet.
func TestRandomFleetsSettle(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SKEIN_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("SKEIN_TEST_SEED=%d", seed)
	rounds := 40
	if testing.Short() {
		rounds = 20
	}
	for round := range rounds {
		random := rand.New(rand.NewPCG(seed, uint64(round)))
		w := newWorld(t, zones(1+random.IntN(8))...)
		w.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: int64(3 + 2*random.IntN(3))})
		for range 40 {
			w.disturb(random)
			w.memoryLost(random)
			w.run(time.Duration(random.IntN(90)) * time.Second)
		}
		gone := w.heal(random)
		w.run(15 * time.Minute)
		settled := len(w.trace)
		w.run(10 * time.Minute)
		if len(w.trace) != settled {
			t.Fatalf("round %d: not quiet:\n%s", round, strings.Join(w.trace[settled:], "\n"))
		}
		if got, want := w.livingVoters(), w.wantedVoters(gone); got < want || len(gone) == 0 && got > want {
			t.Fatalf("round %d: %d voters live, want %d (%s; %q); lost for good: %v\n%s", round, got, want, w.rows(),
				w.plan.Why, gone, strings.Join(w.trace, "\n"))
		}
	}
}

// disturb makes one host die, return, lose its disk, lag, starve or drain.
func (w *world) disturb(random *rand.Rand) {
	n := 1 + random.IntN(len(w.hosts))
	m, h := w.hosts[id(n)], w.state.Host(id(n))
	switch random.IntN(8) {
	case 0, 1:
		if m.up && id(n) != w.leader {
			w.down(n)
		}
	case 2, 3:
		if !m.up {
			w.back(n, random.IntN(3) == 0 && w.spare(n))
		}
	case 4:
		if id(n) != w.leader && m.up && w.spare(n) {
			m.holds = ""
		}
	case 5:
		m.lag = uint64(random.IntN(2)) << 19
	case 6:
		w.starved[id(n)], m.deaf, m.mute = random.IntN(2) == 0, random.IntN(4) == 0, random.IntN(4) == 0 && id(n) != w.leader
	case 7:
		if !h.Draining() && random.IntN(3) == 0 {
			w.drain(n)
		}
	}
}

// spare reports whether the log of a host can be lost: a majority that has lost
// its logs needs a person.
func (w *world) spare(n int) bool {
	voters, holding := 0, 0
	for rid, voting := range w.config {
		if voting {
			voters++
			if rid.Host() != id(n) && w.hosts[rid.Host()].holds == rid {
				holding++
			}
		}
	}
	return holding > voters/2
}

// memoryLost is another leader, where there is a majority for one, or the same
// one anew.
func (w *world) memoryLost(random *rand.Rand) {
	w.memory = keeper.Memory{}
	var able []fleet.HostID
	alive, voters := 0, 0
	for rid, voting := range w.config {
		if voting {
			voters++
			if w.alive(rid) {
				alive++
				able = append(able, rid.Host())
			}
		}
	}
	slices.Sort(able)
	if alive > voters/2 && random.IntN(3) == 0 {
		w.leader = able[random.IntN(len(able))]
	}
}

// heal ends what ails hosts. Up to two are lost for good, as far as a majority of the voters lives without them.
func (w *world) heal(random *rand.Rand) (gone []int) {
	for n := 1; n <= len(w.hosts); n++ {
		m := w.hosts[id(n)]
		m.lag, m.deaf, m.mute, w.starved[id(n)] = 0, false, false, false
		if !m.up {
			w.back(n, false)
		}
	}
	for range random.IntN(3) {
		n := 1 + random.IntN(len(w.hosts))
		if m := w.hosts[id(n)]; m.up && id(n) != w.leader && w.spare(n) {
			w.lose(n)
			m.holds = ""
			gone = append(gone, n)
		}
	}
	return gone
}

// livingVoters counts the members that vote and answer.
func (w *world) livingVoters() (n int) {
	for rid, voting := range w.config {
		if voting && w.alive(rid) {
			n++
		}
	}
	return n
}

// wantedVoters is the target, as far as hosts live that may vote: an odd number.
func (w *world) wantedVoters(gone []int) int {
	living := 0
	for h := range w.state.Hosts() {
		if !h.Draining() {
			living++
		}
	}
	for _, n := range gone {
		if !w.state.Host(id(n)).Draining() {
			living--
		}
	}
	want := keeper.Target(w.state)
	for want > living && want > 1 {
		want -= 2
	}
	return want
}

// news are the events of who leads, in their order.
func (w *world) news() (list []string) {
	for e := range w.state.EventsAfter(0) {
		if e.Code == "leader-changed" || e.Code == "quorum-back" {
			list = append(list, e.Code+": "+e.Message)
		}
	}
	return list
}

func TestWhoLeadsIsNotedOnceATerm(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	w.run(time.Minute)
	for _, term := range []struct {
		leader int
		alone  time.Duration
	}{
		{1, time.Second}, // again: no news
		{2, 1500 * time.Millisecond},
		{2, 40 * time.Second},
	} {
		w.leader, w.alone, w.memory = id(term.leader), term.alone, keeper.Memory{}
		w.run(2 * time.Minute)
	}
	want := []string{
		"leader-changed: h2 leads, after h1",
		"quorum-back: h2 leads; for 40s no leader was elected, and nothing that needs one was done",
	}
	if got := w.news(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
