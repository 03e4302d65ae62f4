package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

func TestTheFleetIsToldOfListenersThatFail(t *testing.T) {
	taken := ingress.ListenerStatus{Name: "web", Port: 80, Failed: "listen tcp :80: bind: address already in use"}
	uncertified := ingress.ListenerStatus{Name: "shop", Port: 443, Bound: true, Certificates: []string{"no such file"}}
	const web = "web: listen tcp :80: bind: address already in use; nginx (process 7) has it"
	looked := 0
	w := listenerWatch{holder: func(int) string { looked++; return "nginx (process 7)" }}
	for _, step := range []struct {
		at      time.Duration
		why     string
		failing []ingress.ListenerStatus
		tells   string
	}{
		{0, "all is well", nil, "-"},
		{time.Second, "it has just failed", []ingress.ListenerStatus{taken}, "-"},
		{4 * time.Second, "it fails still", []ingress.ListenerStatus{taken}, web},
		{5 * time.Second, "nothing is new", []ingress.ListenerStatus{taken}, "-"},
		{6 * time.Second, "another fails", []ingress.ListenerStatus{taken, uncertified}, "-"},
		{10 * time.Second, "something was told a moment ago", []ingress.ListenerStatus{taken, uncertified}, "-"},
		{14 * time.Second, "both fail", []ingress.ListenerStatus{taken, uncertified},
			web + ", shop: certificates: no such file"},
		{24 * time.Second, "the port is free", []ingress.ListenerStatus{uncertified}, "shop: certificates: no such file"},
		{34 * time.Second, "all is well again", nil, ""},
		{44 * time.Second, "it has just failed again", []ingress.ListenerStatus{taken}, "-"},
	} {
		checks, changed := w.look(step.at, step.failing)
		var says []string
		for _, c := range checks {
			if c.OK || c.Required {
				t.Errorf("%s: %+v is no failure, or keeps the host from work", step.why, c)
			}
			says = append(says, fmt.Sprintf("%s: %s", c.Listener, c.Detail))
		}
		got := strings.Join(says, ", ")
		if !changed {
			got = "-"
		}
		if got != step.tells {
			t.Errorf("%s: it tells %q, want %q", step.why, got, step.tells)
		}
	}
	if looked != 1 {
		t.Errorf("the holder of the port was looked for %d times in half a minute", looked)
	}
}

func TestWhatIsToldOfListenersIsBounded(t *testing.T) {
	var failing []ingress.ListenerStatus
	for i := range 1_000 {
		failing = append(failing, ingress.ListenerStatus{Port: i, Failed: strings.Repeat("é", 10_000),
			Name: fleet.ListenerName(fmt.Sprintf("l%04d", i))})
	}
	w := listenerWatch{holder: func(int) string { return "" }}
	w.look(0, failing)
	checks, _ := w.look(failingFor, failing)
	if len(checks) != maxFailing || len(checks[0].Detail) > maxWhy+3 {
		t.Errorf("%d listeners are told of, the first with %d bytes", len(checks), len(checks[0].Detail))
	}
	var c hostChecks
	all := c.set(func(c *hostChecks) { c.self, c.listeners = make([]fleet.Check, fleet.MaxSelfChecks), checks })
	if len(all) != fleet.MaxSelfChecks || all[len(all)-1].Listener == "" {
		t.Errorf("%d lines are told of, the last of listener %q", len(all), all[len(all)-1].Listener)
	}
}

func TestListenersAreToldOfWithTheSelfCheck(t *testing.T) {
	var c hostChecks
	port := []fleet.Check{{Name: "port"}}
	disk := []fleet.Check{{Name: "disk", OK: true}}
	if all := c.set(func(c *hostChecks) { c.listeners = port }); all != nil {
		t.Errorf("before the first self-check %v is told", all)
	}
	if all := c.set(func(c *hostChecks) { c.self = disk }); len(all) != 2 {
		t.Errorf("with the self-check %v is told", all)
	}
	if all := c.set(func(c *hostChecks) { c.self = disk }); all != nil {
		t.Errorf("the same is told again: %v", all)
	}
	if all := c.set(func(c *hostChecks) { c.listeners = nil }); len(all) != 1 {
		t.Errorf("once the port is open %v is told", all)
	}
}

func TestAHostSaysThatItsTasksHaveNoDNS(t *testing.T) {
	const why = "listen udp 198.19.0.1:53: bind: address already in use"
	web := ingress.ListenerStatus{Name: "web", Port: 80, Failed: "taken"}
	w := listenerWatch{holder: func(port int) string { return fmt.Sprintf("the program of port %d", port) }}
	w.look(0, unanswered(why, []ingress.ListenerStatus{web}))
	checks, _ := w.look(failingFor, unanswered(why, []ingress.ListenerStatus{web}))
	if len(checks) != 2 || checks[1].Listener != "web" {
		t.Fatalf("it tells %+v, want of DNS and of web", checks)
	}
	want := fleet.Check{Name: "dns-of-tasks",
		Detail: "tasks of this host find no service by name: " + why + "; the program of port 53 has it"}
	if checks[0] != want {
		t.Errorf("it tells %+v, want %+v", checks[0], want)
	}
	if got := unanswered("", nil); len(got) > 0 {
		t.Errorf("while DNS is answered %+v is told", got)
	}
}
