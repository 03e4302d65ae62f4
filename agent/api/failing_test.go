package api

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// failsAt has hosts say of a listener what they cannot do; nothing ends it.
func failsAt(t *testing.T, v *fakeVoter, host int, listener fleet.ListenerName, why string) {
	t.Helper()
	checks := []fleet.Check{{Name: "disk", OK: true, Required: true}}
	if why != "" {
		checks = append(checks, fleet.Check{Name: "listener at port 80", Listener: listener, Detail: why})
	}
	h := v.State().Host(hostID(host))
	v.must(t, fleet.Report{Host: h.ID, Session: h.Session.N, Seq: h.ReportSeq + 1, SelfCheck: checks})
}

func TestAListenerThatAHostCannotOpenIsShown(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	trafficOf(t, root)
	const why = "address already in use; nginx (process 7) has it"
	failsAt(t, x.voter, 2, "web", why)
	got := want(t, 200, root, "GET", "/v1/listeners", "")
	if at(t, got, "listeners", 0, "failingHostsCount") != 1.0 ||
		at(t, got, "listeners", 0, "failingHosts", 0, "host", "name") != "h2" ||
		at(t, got, "listeners", 0, "failingHosts", 0, "reason") != why {
		t.Errorf("the listeners are %v", got)
	}
	const note = "listener web (port 80) is not served by h2: " + why
	if notes := fmt.Sprint(at(t, want(t, 200, root, "GET", "/v1/status", ""), "notes")); !strings.Contains(notes, note) {
		t.Errorf("the notes are %s, want %q", notes, note)
	}
	if got = want(t, 200, root, "GET", "/v1/hosts/h2", ""); at(t, got, "selfCheck", 1, "listener") != "web" {
		t.Errorf("the host is %v", got)
	}
	failsAt(t, x.voter, 2, "web", "")
	if got = want(t, 200, root, "GET", "/v1/listeners/web", ""); got["failingHosts"] != nil {
		t.Errorf("once it is open, the listener is %v", got)
	}
}

func TestWhatHostsSayOfAListenerIsBounded(t *testing.T) {
	x := newTestAPI(t, nil)
	const hosts = 40
	fleetOf(t, x.voter, hosts)
	root := x.Handler(TrustRoot)
	want(t, 201, root, "POST", "/v1/target-groups", webGroup)
	want(t, 201, root, "POST", "/v1/listeners", webListener)
	for i := 1; i <= hosts; i++ {
		failsAt(t, x.voter, i, "web", "in use")
	}
	x.voter.must(t, fleet.SilenceHost{Host: hostID(hosts), Session: 1})
	got := want(t, 200, root, "GET", "/v1/listeners/web", "")
	if all, _ := got["failingHosts"].([]any); len(all) != 16 || got["failingHostsCount"] != hosts-1.0 {
		t.Errorf("%d hosts are named of %v", len(all), got["failingHostsCount"])
	}
}

func TestWhyAnEntryAddressIsNotHeldIsShown(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	got := want(t, 201, root, "POST", "/v1/entry-addresses", `{"address": "10.0.0.100/24"}`)
	if at(t, got, "entryAddress", "state") != "unassigned" {
		t.Errorf("added: %v", got)
	}
	addr := netip.MustParseAddr("10.0.0.100")
	x.voter.must(t, fleet.AssignEntryAddress{Addr: addr, Holder: hostID(2)})
	for _, tt := range []struct{ code, state string }{
		{"", "assigned"}, {plan.CodeEntryFailed, "failed"}, {plan.CodeEntryConflict, "conflict"},
	} {
		message := ""
		if tt.code != "" {
			message = "h2 cannot hold it: it is the gateway"
		}
		x.voter.must(t, fleet.PutCondition{Subject: fleet.EntryAddressSubject("10.0.0.100"), Code: tt.code, Message: message})
		got = want(t, 200, root, "GET", "/v1/entry-addresses/10.0.0.100", "")
		if at(t, got, "state") != tt.state || at(t, got, "holder", "name") != "h2" {
			t.Errorf("with %q it is %v", tt.code, got)
		}
		notes := fmt.Sprint(at(t, want(t, 200, root, "GET", "/v1/status", ""), "notes"))
		if strings.Contains(notes, "entry address 10.0.0.100: "+message) != (message != "") {
			t.Errorf("with %q the notes are %s", tt.code, notes)
		}
	}
}
