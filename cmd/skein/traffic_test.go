package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
)

// routed is a rule that leads to blue and green.
func routed() ([]types.Listener, []types.TargetGroup) {
	forward := &types.Forward{Groups: []types.GroupWeight{{Group: "blue", Weight: 9000}, {Group: "green", Weight: 1000}}}
	return []types.Listener{{Name: "web", Port: 80, Protocol: "HTTP", Rules: []types.Rule{
			{ID: "web/default", Listener: "web", Action: types.Action{Forward: forward}},
		}}}, []types.TargetGroup{{Name: "blue", Service: "shop", Counts: types.TargetCount{Healthy: 2}},
			{Name: "green", Service: "shop", Counts: types.TargetCount{Healthy: 1}}}
}

func TestRoutesSayWhatEachRevisionIsAskedForNow(t *testing.T) {
	listeners, groups := routed()
	var out bytes.Buffer
	err := printRoutes(&out, listeners, groups, []types.GroupRates{
		{TargetGroup: "green", Known: true, Rate: types.Rate{RequestsPerS: 5, ErrorShare: 0.5, P99Ms: 42}, NoTarget: 1,
			Revisions: []types.RevisionRates{{Revision: "shop/2", Rate: types.Rate{RequestsPerS: 4, ErrorShare: 0.375}}}},
		{TargetGroup: "blue"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		rows = append(rows, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"PORT RULE TAKES GOES TO SHARE NOW ERRORS P99 HEALTHY SERVICE",
		"80/HTTP web/default all else blue 90 % - - - 2/2 shop",
		"green 10 % 5.0/s 50.0 % 42 ms 1/1 shop",
		"shop/2 4.0/s 37.5 % -",
		"no task 1.0/s 100 %",
	}
	if got := strings.Join(rows, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// Hosts tell of a group only once somebody has asked.
func TestRatesAreWaitedForUntilHostsHaveTold(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_ = json.NewEncoder(w).Encode(types.Rates{Groups: []types.GroupRates{{TargetGroup: "blue", Known: asked > 2}}})
	}))
	defer server.Close()
	rates := awaitRates(t.Context(), client.New(client.Endpoint{URL: server.URL}, ""))
	if asked != 3 || len(rates) != 1 || !rates[0].Known {
		t.Errorf("asked %d times: %+v", asked, rates)
	}
}

func TestWhichHostsDoNotServeAListenerIsSaid(t *testing.T) {
	listeners, groups := routed()
	listeners[0].FailingCount = 5
	for _, name := range []string{"h2", "h3", "h\x1b[2J4", "h5"} {
		listeners[0].Failing = append(listeners[0].Failing,
			types.ListenerFailure{Host: types.HostRef{Name: name}, Reason: "address already in use; nginx (process 7) has it"})
	}
	const note = "note: listener web (port 80) is not served by h2: address already in use; nginx (process 7) has it; " +
		"nor by 4 more"
	var routes, list bytes.Buffer
	if err := errors.Join(printRoutes(&routes, listeners, groups, nil), printListenersTo(&list, listeners)); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{routes.String(), list.String()} {
		if !strings.Contains(out, note) || strings.Contains(out, "\x1b") {
			t.Errorf("got\n%swant\n%s", out, note)
		}
	}
	if !strings.Contains(list.String(), "h2, h3, h") || !strings.Contains(list.String(), ", 2 more") {
		t.Errorf("the list is\n%s", list.String())
	}
}

func TestEntryAddressesSayHowTheyStand(t *testing.T) {
	var out bytes.Buffer
	err := printEntriesTo(&out, []types.EntryAddress{{Address: "10.0.0.1", Subnet: "10.0.0.0/24", State: "failed",
		Holder: &types.HostRef{
			Name: "h2",
		}, Conditions: []types.Condition{{Message: "h2 cannot hold it: it is the gateway"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"STATE", "failed", "h2 cannot hold it: it is the gateway"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
