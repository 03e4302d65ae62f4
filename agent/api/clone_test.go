package api

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

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
	if got := strings.Count(notes, "cloned disk?"); got != 4 || !strings.Contains(notes, "3 more hosts") {
		t.Errorf("%d alarms: %s", got, notes)
	}
}
