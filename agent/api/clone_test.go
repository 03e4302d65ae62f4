package api

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func TestAClonedHostIsAnAlarmOfHostAndStatus(t *testing.T) {
	x := newTestAPI(t, nil)
	fleetOf(t, x.voter, 6)
	root := x.Handler(TrustRoot)
	clone := func(i int) {
		a := admission(i)
		x.voter.must(t,
			fleet.OpenSession{Host: a.ID, Boot: "other", Nonce: 9,
				Addr: netip.MustParseAddrPort(fmt.Sprintf("10.9.0.%d:7700", i)),
				Zone: a.Zone, Capacity: fleet.Resources{CPU: 1, Memory: 1}, Contested: true})
	}
	if got := fmt.Sprint(want(t, 200, root, "GET", "/v1/status", "")["notes"]); strings.Contains(got, "cloned") {
		t.Fatalf("before: %s", got)
	}
	clone(4)
	both := []string{"h4", admission(4).Addr.String(), "10.9.0.4:7700"}
	notes := fmt.Sprint(want(t, 200, root, "GET", "/v1/status", "")["notes"])
	for _, part := range both {
		if !strings.Contains(notes, part) {
			t.Errorf("status notes %s, want %s in it", notes, part)
		}
	}
	if got := at(t, want(t, 200, root, "GET", "/v1/hosts/h4", ""), "clone", "addr"); got != "10.9.0.4:7700" {
		t.Errorf("the host's clone is at %v", got)
	}
	for i := 1; i <= 6; i++ {
		clone(i)
	}
	notes = fmt.Sprint(want(t, 200, root, "GET", "/v1/status", "")["notes"])
	if got := strings.Count(notes, "cloned disk?"); got != 3 || !strings.Contains(notes, "3 more hosts") {
		t.Errorf("%d alarms: %s", got, notes)
	}
	// Nothing is committed meanwhile: State's own time stands still.
	x.API.Now = func() time.Time { return testNow.Add(2 * fleet.CloneStands) }
	notes = fmt.Sprint(want(t, 200, root, "GET", "/v1/status", "")["notes"])
	if host := want(t, 200, root, "GET", "/v1/hosts/h4", ""); strings.Contains(notes, "cloned") || host["clone"] != nil {
		t.Errorf("long after the clones are gone: %s; %v", notes, host["clone"])
	}
}

func TestAnAgentThatIsTooOldIsAnAlarmOfHostAndStatus(t *testing.T) {
	x := newTestAPI(t, nil)
	fleetOf(t, x.voter, 3)
	root := x.Handler(TrustRoot)
	open := func(i, nonce, format int, tooOld bool) {
		a := admission(i)
		x.voter.must(t, fleet.OpenSession{Host: a.ID, Boot: "b", Nonce: uint64(nonce), Addr: a.Addr, Zone: a.Zone,
			Capacity: fleet.Resources{CPU: 1, Memory: 1}, Version: fmt.Sprint("v", format), Format: format, TooOld: tooOld})
	}
	const is, next = fleet.FormatVersion, fleet.FormatVersion + 1
	for i := 1; i <= 3; i++ {
		open(i, 10, next, false)
	}
	x.voter.must(t, fleet.RaiseFormat{Format: next})
	open(3, 11, is, true)

	alarm := fmt.Sprintf("the agent of h3 (v%d) reads format %d, the fleet is at %d", is, is, next)
	differ := fmt.Sprintf("agents differ: 2 of v%d (reads format %d), 1 of v%d (reads format %d)", next, next, is, is)
	status := want(t, 200, root, "GET", "/v1/status", "")
	for _, note := range []string{alarm, differ} {
		if notes := fmt.Sprint(status["notes"]); !strings.Contains(notes, note) {
			t.Errorf("status notes %s, want %q in it", notes, note)
		}
	}
	host := want(t, 200, root, "GET", "/v1/hosts/h3", "")
	if host["version"] != fmt.Sprint("v", is) || at(t, host, "agentTooOld", "readsFormat") != float64(is) {
		t.Errorf("host %v", host)
	}
	open(3, 12, next, false)
	if host = want(t, 200, root, "GET", "/v1/hosts/h3", ""); host["version"] != fmt.Sprint("v", next) ||
		host["agentTooOld"] != nil {
		t.Errorf("after its upgrade: %v", host)
	}
}
