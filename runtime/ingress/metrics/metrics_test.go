package metrics_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
	"skein/runtime/ingress/metrics"
	"skein/runtime/ingress/route"
)

// counted is an ingress that has counted.
type counted ingress.Status

func (c counted) Status() ingress.Status { return ingress.Status(c) }

// scrape is what Prometheus is answered.
func scrape(t *testing.T, c metrics.Collector) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if answer.Code != 200 {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func series(group fleet.TargetGroupName, revision fleet.RevisionID, observe func(*route.Series)) ingress.SeriesStatus {
	var s route.Series
	observe(&s)
	return ingress.SeriesStatus{Group: group, Revision: revision, Totals: s.Totals()}
}

func TestWhatIsCountedOfARevisionInAGroup(t *testing.T) {
	blue := series("blue", "web/1", func(s *route.Series) {
		s.Observe(200, 3*time.Millisecond)
		s.Observe(204, 30*time.Millisecond)
		s.Observe(route.StatusClientGone, time.Second)
		s.Observe(502, 2*time.Minute)
		s.Observe(0, 0)
		s.Retries.Add(2)
		s.Ejections.Add(1)
	})
	blue.Open = 7
	unserved := series("blue", "", func(s *route.Series) { s.Observe(503, -1) })
	quiet := series("green", "web/2", func(*route.Series) {})
	text := scrape(t, metrics.Collector{
		Source: counted{
			Index: 99, Connections: 5, Refused: 3, Series: []ingress.SeriesStatus{unserved, blue, quiet},
			Listeners: []ingress.ListenerStatus{{Name: "web", Bound: true}, {Name: "shop"}},
			Groups: []ingress.GroupStatus{{Name: "blue", Targets: []ingress.TargetStatus{{Task: "a"},
				{Task: "b", Ejected: time.Unix(1, 0)}}}},
		},
		Dropped: func() uint64 { return 4 },
	})
	for _, line := range []string{
		`skein_ingress_requests_total{code="2xx",revision="web/1",target_group="blue"} 2`,
		`skein_ingress_requests_total{code="4xx",revision="web/1",target_group="blue"} 1`,
		`skein_ingress_requests_total{code="5xx",revision="web/1",target_group="blue"} 1`,
		`skein_ingress_requests_total{code="none",revision="web/1",target_group="blue"} 1`,
		`skein_ingress_requests_total{code="5xx",revision="",target_group="blue"} 1`,
		`skein_ingress_all_requests_total{code="5xx"} 2`,
		`skein_ingress_request_seconds_bucket{revision="web/1",target_group="blue",le="0.002"} 0`,
		`skein_ingress_request_seconds_bucket{revision="web/1",target_group="blue",le="0.005"} 1`,
		`skein_ingress_request_seconds_bucket{revision="web/1",target_group="blue",le="60"} 2`,
		`skein_ingress_request_seconds_bucket{revision="web/1",target_group="blue",le="+Inf"} 3`,
		`skein_ingress_request_seconds_sum{revision="web/1",target_group="blue"} 120.033`,
		`skein_ingress_retries_total{revision="web/1",target_group="blue"} 2`,
		`skein_ingress_ejections_total{revision="web/1",target_group="blue"} 1`,
		`skein_ingress_open{revision="web/1",target_group="blue"} 7`,
		`skein_ingress_left_out 0`, `skein_ingress_ejected 1`, `skein_ingress_clients 5`, `skein_ingress_refused_total 3`,
		`skein_ingress_listeners_unbound 1`, `skein_ingress_routes_index 99`, `skein_access_log_dropped_total 4`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	if strings.Contains(text, "green") {
		t.Error("a group without requests has series")
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestAnAnswerIsBoundedAndKeepsTheBusiest(t *testing.T) {
	var all []ingress.SeriesStatus
	for i := range 3000 {
		all = append(all, series(fleet.TargetGroupName(fmt.Sprintf("g%04d", i)), "web/1", func(s *route.Series) {
			for range i%5 + 1 {
				s.Observe(200, time.Millisecond)
			}
		}))
	}
	text := scrape(t, metrics.Collector{Source: counted{Series: all}})
	if n := strings.Count(text, "skein_ingress_requests_total{"); n != metrics.MaxPairs {
		t.Errorf("%d pairs have series", n)
	}
	for _, line := range []string{
		"skein_ingress_left_out 2000\n", "skein_ingress_all_requests_total{code=\"2xx\"} 9000\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is missing", line)
		}
	}
	if n := strings.Count(text, "\"} 5\n"); n < 600 {
		t.Errorf("only %d lines are of the busiest 600", n)
	}
	if lines := strings.Count(text, "\n"); lines > metrics.MaxPairs*28+100 {
		t.Errorf("the answer has %d lines", lines)
	}
}
