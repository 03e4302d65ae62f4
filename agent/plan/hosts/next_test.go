package hosts_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/plan/hosts"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

func TestNext(t *testing.T) {
	const ten = "h1:; h2:; h3:; h4:; h5:; h6:; h7:; h8:; "
	tests := map[string]struct{ given, want string }{
		"hosts seen alive are left alone": {
			given: "h1:; h2:; h3:",
			want:  "nothing",
		},
		"a host that is unknown is never acted on": {
			given: "h1:; h2:; h3 seen=unknown:",
			want:  "nothing",
		},
		"a suspect is asked for, not acted on": {
			given: "h1:; h2 seen=suspect:; h3:",
			want:  "probe h2",
		},
		"a silent host of three is silenced at once": {
			given: "h1:; h2 seen=silent/800ms:; h3:",
			want:  "silence h2",
		},
		"a host that has just come back is not silenced for the silence before": {
			given: "h1:; h2 silent=10s rebooted seen=silent/10s:; h3:",
			want:  "nothing",
		},
		"a host that came back and fell silent since is silenced": {
			given: "h1:; h2 silent=10s rebooted seen=silent/700ms:; h3:",
			want:  "silence h2 flaps 1",
		},
		"a silent host of two is silenced at once": {
			given: "h1:; h2 seen=silent:",
			want:  "silence h2",
		},
		"two silent hosts of three: the leader may be the one cut off": {
			given: "h1:; h2 seen=silent:; h3 seen=silent:",
			want: "wait fleet leader-cut-off: 2 of 3 hosts are silent: the leader assumes that it is the one cut off; " +
				"no host is silenced or lost until half are heard (forget those that are gone for good)",
		},
		"suspects count as unheard, so that the first of many is not acted on": {
			given: "h1:; h2 seen=silent:; h3 seen=suspect:",
			want: "wait fleet leader-cut-off: 2 of 3 hosts are silent: the leader assumes that it is the one cut off; " +
				"no host is silenced or lost until half are heard (forget those that are gone for good); probe h3",
		},
		"lost hosts do not count against the leader's view": {
			given: "h1:; h2:; h3 lost:; h4 lost:; h5 lost:; h6 seen=silent:",
			want:  "silence h6",
		},
		"a refused agent is given time": {
			given: "h1:; h2 seen=refused/9m59s:; h3:",
			want: "wait host:h2 agent-down: the agent of h2 refuses connections and its machine answers: " +
				"its tasks run on, and are replaced after 10m0s of this",
		},
		"one that just restarts is no news": {
			given: "h1:; h2 seen=refused/9s:; h3:",
			want:  "nothing",
		},
		"a refused agent counts as silent after agentDownAfter": {
			given: "h1:; h2 seen=refused/10m:; h3:",
			want:  "silence h2",
		},
		"agentDownAfter is a setting": {
			given: "leader agentDownAfterMs=60000; h1:; h2 seen=refused/1m:; h3:",
			want:  "silence h2",
		},
		"a silent host heard again is back": {
			given: "h1:; h2 silent=1m seen=alive:; h3:",
			want:  "return h2",
		},
		"a silent host that only a witness reached is not back: which agent is there?": {
			given: "h1:; h2 silent=1m seen=alive session=0:; h3:",
			want:  "nothing",
		},
		"a silent host heard in a session that State does not know yet is not back": {
			given: "h1:; h2 silent=1m seen=alive session=2:; h3:",
			want:  "nothing",
		},
		"a silent host that is alive is not lost, in whatever session": {
			given: "h1:; h2 silent=6m seen=alive session=0:; h3:",
			want:  "nothing",
		},
		"a silent host stays silent before lostAfter": {
			given: "h1:; h2 silent=4m59s:; h3:",
			want:  "nothing",
		},
		"a silent host is lost after lostAfter, and its tasks expire": {
			given: "web desired=1; h1:; h2 silent=5m: web/1; h3:",
			want:  "lose h2; expire h2",
		},
		"a lost host without tasks has nothing to expire": {
			given: "h1:; h2 silent=5m:; h3:",
			want:  "lose h2",
		},
		"a silent host that is unknown now is asked for before it is lost": {
			given: "h1:; h2 silent=6m seen=unknown:; h3:",
			want:  "probe h2",
		},
		"a silent host whose machine answers is lost too: its tasks were replaced": {
			given: "h1:; h2 silent=6m seen=refused/6m:; h3:",
			want:  "lose h2",
		},
		"tasks of a lost host expire": {
			given: "web desired=1; h1:; h2 lost: web/1; h3:",
			want:  "expire h2",
		},
		"a lost host comes back by a new session only": {
			given: "h1:; h2 lost seen=alive:; h3:",
			want:  "nothing",
		},
		"a joining host is no host to lose": {
			given: "h1:; h2 joining seen=silent:; h3:",
			want:  "nothing",
		},
		"three hosts at once are silenced at full speed": {
			given: ten + "h9 seen=silent:; ha seen=silent:; hb seen=silent:",
			want:  "silence h9; silence ha; silence hb",
		},
		"a fourth within ten minutes waits, and it says so": {
			given: ten + "h9 silent=5s:; ha silent=4s:; hb silent=3s:; hc seen=silent:",
			want: "wait fleet mass-silence: mass silence, slowed: 4 of 12 hosts are silent; " +
				"beyond 3 in 10m0s one is replaced every 10s",
		},
		"one more every ten seconds": {
			given: ten + "h9 silent=30s:; ha silent=20s:; hb silent=10s:; hc seen=silent:; hd seen=silent:",
			want: "silence hc; wait fleet mass-silence: mass silence, slowed: 5 of 13 hosts are silent; " +
				"beyond 3 in 10m0s one is replaced every 10s",
		},
		"lost hosts that fell silent lately count for the pace": {
			given: ten + "h9 lost:; ha lost:; hb lost:; hc seen=silent:",
			want:  "silence hc",
		},
		"after a power return a new leader watches before it replaces": {
			given: "leader age=10s; h1 rebooted=20s:; h2 rebooted:; h3 seen=silent:",
			want: "wait fleet power-returned: most hosts have just booted: hosts not heard yet are given time before they " +
				"are replaced",
		},
		"a leader of thirty seconds has watched enough": {
			given: "leader age=30s; h1 rebooted=20s:; h2 rebooted:; h3 seen=silent:",
			want:  "silence h3",
		},
		"some had fallen silent before the power went for all": {
			given: "leader age=10s; h1 silent=3m rebooted=20s seen=alive:; h2 silent=2m rebooted=10s seen=alive:; h3 " +
				"seen=silent:",
			want: "wait fleet power-returned: most hosts have just booted: hosts not heard yet are given time before they are " +
				"replaced",
		},
		"hosts that rebooted one after the other had no outage in common": {
			given: "leader age=10s; h1 silent=50s rebooted=40s seen=alive:; h2 silent=30s rebooted=20s seen=alive:; h3 " +
				"seen=silent:",
			want: "silence h3",
		},
		"one reboot that was seen as silence, and one that nobody noticed later": {
			given: "leader age=10s; h1 silent=50s rebooted=40s seen=alive:; h2 rebooted=20s:; h3 seen=silent:",
			want: "wait fleet power-returned: most hosts have just booted: hosts not heard yet are given time before they " +
				"are replaced",
		},
		"hosts that run and are not heard in a session yet may have booted": {
			given: "leader age=4s; h1 rebooted=1s:; h2 session=0:; h3 seen=suspect:; h4 rebooted=1s:; h5 seen=silent:",
			want:  "probe h3",
		},
		"a leader whose own session is not open yet waits for it": {
			given: "leader age=4s; h1 session=0:; h2 rebooted=1s:; h3 seen=silent:",
			want:  "nothing",
		},
		"what has no session by then is not waited for": {
			given: "leader age=6s; h1 session=0:; h2 rebooted=1s:; h3 seen=silent:",
			want:  "silence h3",
		},
		"a host without a stream is no power return while others are heard in the sessions of before": {
			given: "leader age=4s; h1:; h2 session=0:; h3 seen=silent:",
			want:  "silence h3",
		},
		"an agent that is down is not about to open a session": {
			given: "leader age=4s; h1 seen=refused/1s:; h2 rebooted=1s:; h3 seen=silent:",
			want:  "silence h3",
		},
		"boots of more than a minute ago are no power return": {
			given: "leader age=10s; h1 rebooted=61s:; h2 rebooted=70s:; h3 seen=silent:",
			want:  "silence h3",
		},
		"a new leader acts at once where power did not return": {
			given: "leader age=1s; h1:; h2:; h3 seen=silent:",
			want:  "silence h3",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := plantest.Text(hosts.Next(plantest.Parse(t, tt.given).Input())); got != tt.want {
				t.Errorf("given %s\n got: %s\nwant: %s", tt.given, got, tt.want)
			}
		})
	}
}

func TestALargeFleetSilencesFivePercentAtOnce(t *testing.T) {
	var text strings.Builder
	for i := range 200 {
		seen := "alive"
		if i < 15 {
			seen = "silent"
		}
		fmt.Fprintf(&text, "h%03d seen=%s:\n", i, seen)
	}
	w := plantest.Parse(t, text.String())
	silenced := 0
	for pass := range 20 {
		for _, item := range hosts.Next(w.Input()).Items {
			if c, ok := item.Command.(fleet.SilenceHost); ok {
				w.Do(c)
				silenced++
			}
		}
		if want := min(15, 10+pass); silenced != want {
			t.Fatalf("%d hosts silenced after %d s, want %d", silenced, 10*pass, want)
		}
		w.Wait(hosts.SlowEvery)
	}
}

// The brake reads rows, so no number of other decisions hides the boots.
func TestAPowerReturnOfALargeFleetIsSeen(t *testing.T) {
	const hostCount = 9_000
	var text strings.Builder
	text.WriteString("leader age=10s\n")
	for i := range hostCount {
		fmt.Fprintf(&text, "h%05d rebooted=20s:\n", i)
	}
	text.WriteString("z seen=silent:\n")
	w := plantest.Parse(t, text.String())
	if got, want := plantest.Text(hosts.Next(w.Input())), "wait fleet power-returned"; !strings.HasPrefix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestReasonsAndWakes(t *testing.T) {
	w := plantest.Parse(t, "h1:; h2 seen=silent/812ms:; h3 seen=refused/9m:; h4 seen=suspect:")
	p := hosts.Next(w.Input())
	if got, want := p.Items[len(p.Items)-1].Reason,
		"h2 went silent: no byte for 812ms, and no witness reached it"; got != want {
		t.Errorf("reason is %q, want %q", got, want)
	}
	wakes := map[string]time.Duration{}
	for _, wake := range p.Wakes {
		wakes[wake.Subject.String()] = wake.At.Sub(w.Now)
	}
	if wakes["host:h3"] != time.Minute || wakes["host:h4"] != hosts.AskAgain {
		t.Errorf("wakes are %v, want host:h3 in 1m and host:h4 in %v", wakes, hosts.AskAgain)
	}
}

// An agent that is down for good and back is two events, and one that comes and goes
// within AgentNews is none.
func TestAnAgentThatIsDownIsSaidOnceAndItsReturnToo(t *testing.T) {
	w := plantest.Parse(t, "h1:; h2:; h3:")
	see := func(liveness plan.Liveness, held time.Duration) {
		t.Helper()
		w.Wait(held)
		w.Liveness.Hosts["h2"] = plan.HostLiveness{Liveness: liveness, For: held, Session: w.State.Host("h2").Session.N}
		w.Apply(hosts.Next(w.Input()).Items...)
	}
	down := func() bool { return w.State.Condition(fleet.HostSubject("h2"), hosts.By) != nil }
	for range 5 {
		see(plan.LivenessRefused, 8*time.Second)
		see(plan.LivenessAlive, 5*time.Second)
	}
	if down() {
		t.Error("an agent that comes and goes stands as down")
	}
	for range 3 { // down for good, with a try in between that does not last
		see(plan.LivenessRefused, 30*time.Second)
		see(plan.LivenessAlive, 5*time.Second)
	}
	if !down() {
		t.Error("an agent that answered for 5 s stands as back")
	}
	see(plan.LivenessAlive, 20*time.Second)
	see(plan.LivenessAlive, 30*time.Second)
	if down() {
		t.Error("an agent that answers stands as down")
	}
	var codes []string
	for e := range w.State.EventsAfter(0) {
		if e.Subject == fleet.HostSubject("h2") && strings.HasPrefix(e.Code, "agent-") {
			codes = append(codes, e.Code)
		}
	}
	if want := []string{plan.CodeAgentDown, plan.CodeAgentBack}; !slices.Equal(codes, want) {
		t.Errorf("events %v, want %v", codes, want)
	}
}
