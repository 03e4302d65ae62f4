package fleet

import (
	"testing"
	"time"
)

func TestLatencyBucketsHoldWhatTheirBoundsSay(t *testing.T) {
	for i := range LatencyBuckets {
		bound := LatencyBound(i)
		if i == LatencyBuckets-1 {
			if bound >= 0 || LatencyBucket(time.Hour) != i {
				t.Errorf("the last bucket has bound %s, an hour is in %d", bound, LatencyBucket(time.Hour))
			}
			continue
		}
		if got := LatencyBucket(bound); got != i {
			t.Errorf("%s is in bucket %d, want %d", bound, got, i)
		}
		if got := LatencyBucket(bound + 1); got != i+1 {
			t.Errorf("just over %s is in bucket %d, want %d", bound, got, i+1)
		}
	}
}

func TestQuantiles(t *testing.T) {
	ms := time.Millisecond
	tests := map[string]struct {
		latency map[int]uint64
		q       float64
		want    time.Duration
		known   bool
	}{
		"of nothing there is none":                   {nil, 0.99, 0, false},
		"the middle of a bucket":                     {map[int]uint64{5: 10}, 0.5, 35 * ms, true}, // 20 to 50 ms
		"the end of a bucket":                        {map[int]uint64{5: 99, 9: 1}, 0.99, 50 * ms, true},
		"a bucket beyond":                            {map[int]uint64{5: 98, 9: 2}, 0.99, 750 * ms, true},
		"the first bucket begins at nothing":         {map[int]uint64{0: 4}, 0.25, ms / 4, true},
		"the last bucket gives its lower bound":      {map[int]uint64{0: 1, 15: 99}, 0.99, time.Minute, true},
		"more than all is all":                       {map[int]uint64{5: 10}, 7, 50 * ms, true},
		"less than nothing is where the first begin": {map[int]uint64{5: 10}, -1, 20 * ms, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var c TrafficCounts
			for bucket, n := range tt.latency {
				c.Latency[bucket] = n
			}
			got, known := c.Quantile(tt.q)
			if got != tt.want || known != tt.known {
				t.Errorf("got %s, %v; want %s, %v", got, known, tt.want, tt.known)
			}
		})
	}
}

func TestCountsSinceThatBeganAnewAreAllOfThem(t *testing.T) {
	before := TrafficCounts{Requests: 10, Errors: 2, Latency: [LatencyBuckets]uint64{1: 5, 3: 5}}
	tests := map[string]struct{ now, want TrafficCounts }{
		"nothing came": {before, TrafficCounts{}},
		"some came": {
			TrafficCounts{Requests: 13, Errors: 3, Latency: [LatencyBuckets]uint64{1: 7, 3: 6}},
			TrafficCounts{Requests: 3, Errors: 1, Latency: [LatencyBuckets]uint64{1: 2, 3: 1}},
		},
		"fewer requests":        {TrafficCounts{Requests: 9, Errors: 2}, TrafficCounts{Requests: 9, Errors: 2}},
		"fewer errors":          {TrafficCounts{Requests: 11, Errors: 1}, TrafficCounts{Requests: 11, Errors: 1}},
		"fewer in some bucket":  {TrafficCounts{Requests: 11, Errors: 2}, TrafficCounts{Requests: 11, Errors: 2}},
		"other counts from now": {TrafficCounts{}, TrafficCounts{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.now.Since(before); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
