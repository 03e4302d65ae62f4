package api

import (
	"errors"
	"slices"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// tenSeconds is what was counted of a group in the last ten seconds.
func tenSeconds(revisions map[fleet.RevisionID]fleet.TrafficCounts) plan.GroupTraffic {
	return plan.GroupTraffic{Watched: 10 * time.Second, Points: []plan.TrafficPoint{
		{At: 90 * time.Second, Hosts: 3}, {At: 100 * time.Second, Hosts: 3, Revisions: revisions},
	}}
}

func TestRatesAreOfEachRevisionAndOfRequestsWithoutATask(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	trafficOf(t, root)
	want(t, 201, root, "POST", "/v1/target-groups", `{"name": "idle", "protocolVersion": "HTTP1"}`)

	got := want(t, 200, root, "GET", "/v1/traffic", "")
	if at(t, got, "targetGroups", 0, "targetGroup") != "web" || at(t, got, "targetGroups", 0, "known") != false {
		t.Errorf("nothing was told yet, and the answer is %v", got)
	}
	if !slices.Equal(x.voter.shown, []fleet.TargetGroupName{"web"}) {
		t.Errorf("asked for %v: a group that no rule leads to has no traffic", x.voter.shown)
	}
	counts := func(requests, failed uint64) fleet.TrafficCounts {
		return fleet.TrafficCounts{Requests: requests, Errors: failed, Latency: [fleet.LatencyBuckets]uint64{3: requests}}
	}
	x.voter.set(func(f *fakeVoter) {
		f.traffic = plan.Traffic{At: 100 * time.Second, Groups: map[fleet.TargetGroupName]plan.GroupTraffic{
			"web": tenSeconds(map[fleet.RevisionID]fleet.TrafficCounts{
				"web/1": counts(900, 9), "web/2": counts(80, 40), "web/0": {}, "": {Requests: 20, Errors: 20},
			}),
		}}
	})
	group := at(t, want(t, 200, root, "GET", "/v1/traffic", ""), "targetGroups", 0)
	for _, row := range []struct {
		want any
		path []any
	}{
		{true, []any{"known"}}, {10.0, []any{"overSeconds"}}, {3.0, []any{"hosts"}}, {100.0, []any{"requestsPerSecond"}},
		{0.069, []any{"errorShare"}}, {2.0, []any{"noTargetPerSecond"}},
		{"web/1", []any{"revisions", 0, "revision"}}, {90.0, []any{"revisions", 0, "requestsPerSecond"}},
		{"web/2", []any{"revisions", 1, "revision"}}, {0.5, []any{"revisions", 1, "errorShare"}},
	} {
		if got := at(t, group, row.path...); got != row.want {
			t.Errorf("%v is %v, want %v", row.path, got, row.want)
		}
	}
	x.voter.set(func(f *fakeVoter) { f.traffic.Taken = time.Minute })
	if group := at(t, want(t, 200, root, "GET", "/v1/traffic", ""), "targetGroups", 0); at(t, group, "known") != false {
		t.Errorf("what is a minute old is taken for now: %v", group)
	}
}

func TestTheLeaderAloneSaysWhatIsAskedForNow(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	trafficOf(t, root)
	x.voter.set(func(f *fakeVoter) { f.verify = errors.New("others lead") })
	want(t, 503, root, "GET", "/v1/traffic", "")
}
