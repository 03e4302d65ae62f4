package main

import (
	"bytes"
	"encoding/json"
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
