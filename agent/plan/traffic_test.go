package plan_test

import (
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// history is a group that is watched from 100 s on: each second blue answers ten requests,
// one of them badly, and green five; from 106 s on two more a second find no target.
func history() plan.GroupTraffic {
	g := plan.GroupTraffic{Watched: 10 * time.Second}
	for i := range uint64(11) {
		p := plan.TrafficPoint{At: time.Duration(100+i) * time.Second, Hosts: 3}
		p.Revisions = map[fleet.RevisionID]fleet.TrafficCounts{
			"web/1": {Requests: 1000 + 10*i, Errors: 7 + i, Latency: [fleet.LatencyBuckets]uint64{3: 900 + 9*i, 6: 100 + i}},
		}
		if i >= 2 {
			p.Revisions["web/2"] = fleet.TrafficCounts{Requests: 5 * (i - 2)}
		}
		if i > 6 {
			p.Revisions[""] = fleet.TrafficCounts{Requests: 2 * (i - 6), Errors: 2 * (i - 6)}
		}
		if i == 5 {
			p.Hosts = 2
		}
		g.Points = append(g.Points, p)
	}
	return g
}

func TestTrafficOverAWindow(t *testing.T) {
	traffic := plan.Traffic{
		Groups: map[fleet.TargetGroupName]plan.GroupTraffic{
			"web": history(), "new": {Points: history().Points[:1]}, "quiet": {Watched: time.Minute},
		},
		At: 111 * time.Second, Taken: 500 * time.Millisecond,
	}
	type window struct {
		requests, errors uint64
		over             time.Duration
		hosts            int
	}
	tests := map[string]struct {
		group    fleet.TargetGroupName
		revision fleet.RevisionID
		d        time.Duration
		want     window
	}{
		"the last seconds of a revision":            {"web", "web/1", 3 * time.Second, window{30, 3, 3 * time.Second, 3}},
		"a span between points is the longer":       {"web", "web/1", 5 * time.Second / 2, window{30, 3, 3 * time.Second, 3}},
		"no longer than it was watched":             {"web", "web/1", time.Minute, window{100, 10, 10 * time.Second, 2}},
		"the fewest hosts count":                    {"web", "web/1", 5 * time.Second, window{50, 5, 5 * time.Second, 2}},
		"a revision that came later":                {"web", "web/2", time.Minute, window{40, 0, 10 * time.Second, 2}},
		"a revision that nobody knows had nothing":  {"web", "web/9", 3 * time.Second, window{0, 0, 3 * time.Second, 3}},
		"a group with those that found no target":   {"web", "", 3 * time.Second, window{51, 9, 3 * time.Second, 3}},
		"a group that has just begun is not known":  {"new", "web/1", time.Minute, window{0, 0, 0, 3}},
		"a group of which nobody told is not known": {"quiet", "web/1", time.Minute, window{}},
		"a group that is not watched is not known":  {"other", "", time.Minute, window{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := traffic.Over(tt.group, tt.revision, tt.d)
			if got := (window{w.Requests, w.Errors, w.Over, w.Hosts}); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	if w := traffic.Unserved("web", 3*time.Second); w.Requests != 6 || w.Errors != 6 || w.Over != 3*time.Second {
		t.Errorf("unserved are %+v", w)
	}
	w := traffic.Over("web", "web/1", 3*time.Second)
	if w.Age != 1500*time.Millisecond || w.Watched != 10*time.Second {
		t.Errorf("it ended %s ago and is watched for %s", w.Age, w.Watched)
	}
	if p50, ok := w.Quantile(0.5); !ok || p50 <= 5*time.Millisecond || p50 > 10*time.Millisecond {
		t.Errorf("the median is %s, %v", p50, ok)
	}
}

func TestTrafficOfAVoterThatBeganAnewIsNotNegative(t *testing.T) {
	points := history().Points[:2]
	points[1].Revisions["web/1"] = fleet.TrafficCounts{Requests: 4}
	traffic := plan.Traffic{Groups: map[fleet.TargetGroupName]plan.GroupTraffic{"web": {Points: points}}}
	if w := traffic.Over("web", "web/1", time.Minute); w.Requests != 4 || w.Errors != 0 {
		t.Errorf("got %+v", w)
	}
}

func TestRequestsWithoutATargetOverAWindow(t *testing.T) {
	traffic := plan.Traffic{Groups: map[fleet.TargetGroupName]plan.GroupTraffic{"web": history()}, At: 110 * time.Second}
	if w := traffic.Unserved("web", 3*time.Second); w.Requests != 6 || w.Errors != 6 || w.Over != 3*time.Second {
		t.Errorf("%+v in the last 3 s", w)
	}
	if w := traffic.Unserved("shop", 3*time.Second); w.Over != 0 || w.Requests != 0 {
		t.Errorf("%+v of a group that nobody watches", w)
	}
}
