// Package metrics gives the counts of an ingress to Prometheus: of each target group and revision
// requests by class of status, latency, ejections and what is open.
//
// It counts nothing itself, and bounds how much one answer holds: series are of those pairs of
// group and revision that had requests on this host, the busiest first. Sums are of all.
package metrics

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// MaxPairs bounds the pairs of target group and revision of one answer. Each has up to 28
// lines.
const MaxPairs = 1000

// Source is an ingress.
type Source interface{ Status() ingress.Status }

// Collector reads an ingress during a scrape.
type Collector struct {
	Source Source
	// Dropped is how many lines of the access log were lost; nil: there is none.
	Dropped func() uint64
}

var (
	pair         = []string{"target_group", "revision"}
	descRequests = prometheus.NewDesc("skein_ingress_requests_total",
		"Requests that ended, by class of status (none: no answer). An empty revision: the group had no target.",
		append(slices.Clone(pair), "code"), nil)
	descSeconds = prometheus.NewDesc("skein_ingress_request_seconds", "Time until an answer began.", pair, nil)
	descRetries = prometheus.NewDesc("skein_ingress_retries_total",
		"Requests that a target did not take and another was asked for.", pair, nil)
	descEjections = prometheus.NewDesc("skein_ingress_ejections_total",
		"How often this host took a target out because it could not connect to it.", pair, nil)
	descOpen = prometheus.NewDesc("skein_ingress_open", "Requests and connections at targets now.", pair, nil)
	descAll  = prometheus.NewDesc("skein_ingress_all_requests_total",
		"Requests of all target groups, by class of status.", []string{"code"}, nil)
	descLeftOut = prometheus.NewDesc("skein_ingress_left_out",
		"Pairs of target group and revision that have requests and no series, since there are too many.", nil, nil)
	descEjected = prometheus.NewDesc("skein_ingress_ejected", "Targets that this host cannot connect to now.", nil, nil)
	descClients = prometheus.NewDesc("skein_ingress_clients", "Connections of clients that are open.", nil, nil)
	descRefused = prometheus.NewDesc("skein_ingress_refused_total", "Connections of clients above a limit.", nil, nil)
	descUnbound = prometheus.NewDesc("skein_ingress_listeners_unbound", "Listeners whose port cannot be opened.", nil,
		nil)
	descIndex   = prometheus.NewDesc("skein_ingress_routes_index", "Log index of the routes that are served.", nil, nil)
	descDropped = prometheus.NewDesc("skein_access_log_dropped_total", "Lines of the access log that were lost.", nil,
		nil)
)

// Describe is empty: which series there are depends on what was asked for.
func (Collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends what is counted now.
func (c Collector) Collect(out chan<- prometheus.Metric) {
	s := c.Source.Status()
	all := sending{out}
	all.gauge(descClients, float64(s.Connections))
	all.counter(descRefused, s.Refused)
	all.gauge(descIndex, float64(s.Index))
	unbound, ejected := 0, 0
	for _, l := range s.Listeners {
		if !l.Bound {
			unbound++
		}
	}
	for _, g := range s.Groups {
		for _, t := range g.Targets {
			if !t.Ejected.IsZero() {
				ejected++
			}
		}
	}
	all.gauge(descUnbound, float64(unbound))
	all.gauge(descEjected, float64(ejected))
	if c.Dropped != nil {
		all.counter(descDropped, c.Dropped())
	}
	all.pairs(s.Series)
}

// sending sends metrics.
type sending struct{ out chan<- prometheus.Metric }

func (s sending) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (s sending) counter(d *prometheus.Desc, value uint64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

// pairs sends the series of the busiest, and the sums of all.
func (s sending) pairs(series []ingress.SeriesStatus) {
	used := slices.DeleteFunc(slices.Clone(series), func(one ingress.SeriesStatus) bool {
		return one.Requests == 0 && one.Retries == 0 && one.Ejections == 0 && one.Open == 0
	})
	slices.SortFunc(used, func(a, b ingress.SeriesStatus) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Revision, b.Revision))
	})
	var codes [6]uint64
	for i := range used {
		for code, n := range used[i].Codes {
			codes[code] += n
		}
		if i < MaxPairs {
			s.pair(&used[i])
		}
	}
	for code, n := range codes {
		s.counter(descAll, n, class(code))
	}
	s.gauge(descLeftOut, float64(max(len(used)-MaxPairs, 0)))
}

func (s sending) pair(one *ingress.SeriesStatus) {
	group, revision := string(one.Group), string(one.Revision)
	for code, n := range one.Codes {
		if n > 0 {
			s.counter(descRequests, n, group, revision, class(code))
		}
	}
	if one.Revision == "" {
		return // no target: nothing else is counted
	}
	s.counter(descRetries, one.Retries, group, revision)
	s.counter(descEjections, one.Ejections, group, revision)
	s.gauge(descOpen, float64(one.Open), group, revision)
	buckets, count := make(map[float64]uint64, fleet.LatencyBuckets-1), uint64(0)
	for i, n := range one.Latency {
		count += n
		if bound := fleet.LatencyBound(i); bound >= 0 {
			buckets[bound.Seconds()] = count
		}
	}
	s.out <- prometheus.MustNewConstHistogram(descSeconds, count, float64(one.Took)/float64(time.Second), buckets, group,
		revision)
}

// class names a status by its first digit.
func class(digit int) string {
	if digit == 0 {
		return "none"
	}
	return strconv.Itoa(digit) + "xx"
}
