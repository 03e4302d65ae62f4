package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/raftfsm/fleet"
)

// metrics are this agent's own. Those of the fleet are read from State when a
// scrape asks, on voters only, so that no two hosts' answers are added up.
type metrics struct {
	registry    *prometheus.Registry
	requests    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	refused     prometheus.Counter
	handedOn    *prometheus.CounterVec
	cutOffReads prometheus.Counter
	behind      prometheus.Counter
	watchers    prometheus.Gauge
	watchersCut prometheus.Counter
}

func newMetrics(a *API) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "skein_http_requests_total",
			Help: "Requests answered, by route and status."}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "skein_http_request_seconds",
			Help: "Time to answer, by route; streams left out.", Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10}},
			[]string{"route"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "skein_http_refused_total",
			Help: "Requests refused because too many were in flight."}),
		handedOn: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "skein_http_forwarded_total",
			Help: "Requests handed to another host, by outcome."}, []string{"outcome"}),
		cutOffReads: prometheus.NewCounter(prometheus.CounterOpts{Name: "skein_http_cut_off_reads_total",
			Help: "Reads answered from memory because no voter or leader was heard."}),
		behind: prometheus.NewCounter(prometheus.CounterOpts{Name: "skein_http_behind_total",
			Help: "Reads answered without the index that was asked for."}),
		watchers: prometheus.NewGauge(prometheus.GaugeOpts{Name: "skein_watchers",
			Help: "Open event streams answered here."}),
		watchersCut: prometheus.NewCounter(prometheus.CounterOpts{Name: "skein_watchers_cut_total",
			Help: "Event streams ended because the watcher was too slow."}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.refused, m.handedOn, m.cutOffReads, m.behind, m.watchers,
		m.watchersCut,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), fleetMetrics{a})
	return m
}

func (m *metrics) served(rt route, status int, took time.Duration) {
	name := rt.Method + " " + rt.Pattern
	m.requests.WithLabelValues(name, strconv.Itoa(status)).Inc()
	if rt.Kind != endpoint.Stream {
		m.seconds.WithLabelValues(name).Observe(took.Seconds())
	}
}

func (m *metrics) forwarded(outcome string) { m.handedOn.WithLabelValues(outcome).Inc() }

func (m *metrics) handler() http.HandlerFunc {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: requestTime}).ServeHTTP
}

// fleetMetrics reads State during a scrape.
type fleetMetrics struct{ api *API }

var (
	descIndex = prometheus.NewDesc("skein_state_index", "Log index applied on this host.", nil, nil)
	descAge   = prometheus.NewDesc("skein_state_age_seconds", "How long ago this State was known to be the newest.",
		nil, nil)
	descLeads  = prometheus.NewDesc("skein_leader", "1 while this host leads the fleet.", nil, nil)
	descHosts  = prometheus.NewDesc("skein_hosts", "Hosts by life.", []string{"state"}, nil)
	descVoters = prometheus.NewDesc("skein_voters", "Holders of the log by phase.", []string{"phase"}, nil)
	descAlive  = prometheus.NewDesc("skein_voters_alive",
		"Voting holders of the log that this host believes to be alive.", nil, nil)
	descNeeded = prometheus.NewDesc("skein_voters_needed", "How many of them must be alive for anything to be changed.",
		nil, nil)
	descNoQuorum = prometheus.NewDesc("skein_quorum_lost", "1 while fewer are alive than are needed.", nil, nil)
	descServices = prometheus.NewDesc("skein_service_tasks",
		"Tasks of a service: desired, running, pending, stopping, unreachable.", []string{"service", "is"}, nil)
	descTasks = prometheus.NewDesc("skein_tasks",
		"Tasks of all services: desired, running, pending, stopping, unreachable.", []string{"is"}, nil)
	descEvents = prometheus.NewDesc("skein_events_total", "Events ever recorded in this fleet.", nil, nil)
	descLocal  = prometheus.NewDesc("skein_host_tasks", "Tasks this host holds, by status.", []string{"status"}, nil)
	descAlone  = prometheus.NewDesc("skein_alone_seconds", "How long no voter has been heard; 0 while one is.", nil, nil)
)

// Describe is empty: what is there depends on the host's role.
func (fleetMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect sends the gauges of State, on a voter, and of this host.
func (f fleetMetrics) Collect(out chan<- prometheus.Metric) {
	f.local(out)
	v := f.api.Voter()
	if v == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	r, _ := http.NewRequest(http.MethodGet, "/metrics", nil)
	now := f.api.view(r, v, false)
	gauge(descIndex, float64(now.State.Index()))
	gauge(descAge, v.Age().Seconds())
	gauge(descLeads, oneIf(v.IsLeader()))
	out <- prometheus.MustNewConstMetric(descEvents, prometheus.CounterValue, float64(now.State.LastEvent()))
	hosts := now.HostCounts()
	gauge(descHosts, float64(hosts.Ready), "ready")
	gauge(descHosts, float64(hosts.Joining), "joining")
	gauge(descHosts, float64(hosts.Silent), "silent")
	gauge(descHosts, float64(hosts.Lost), "lost")
	phases := map[string]int{}
	for row := range now.State.Voters() {
		phases[row.Phase.String()]++
	}
	for phase, n := range phases {
		gauge(descVoters, float64(n), phase)
	}
	voters := now.VoterCounts(hosts)
	gauge(descAlive, float64(voters.Alive))
	gauge(descNeeded, float64(voters.Needed))
	gauge(descNoQuorum, oneIf(voters.QuorumLost))
	serviceMetrics(now.State, gauge)
}

// serviceMetrics sends one series a service up to a bound, and the sums always.
func serviceMetrics(st *fleet.State, gauge func(*prometheus.Desc, float64, ...string)) {
	var sum types.TaskCounts
	n := 0
	for s := range st.Services() {
		c := st.Counts(s.Name, "")
		sum.Desired += s.Desired
		view.AddCounts(&sum, c)
		if n++; n > maxServiceSeries {
			continue
		}
		one := types.TaskCounts{Desired: s.Desired}
		view.AddCounts(&one, c)
		eachCount(one, func(is string, n int) { gauge(descServices, float64(n), s.Name, is) })
	}
	eachCount(sum, func(is string, n int) { gauge(descTasks, float64(n), is) })
}

func eachCount(c types.TaskCounts, f func(is string, n int)) {
	f("desired", c.Desired)
	f("running", c.Running)
	f("pending", c.Pending)
	f("stopping", c.Stopping)
	f("unreachable", c.Unreachable)
}

func (f fleetMetrics) local(out chan<- prometheus.Metric) {
	if f.api.Local == nil {
		return
	}
	byStatus := map[string]int{}
	for _, t := range f.api.Local.Tasks() {
		byStatus[t.Last.String()]++
	}
	for status, n := range byStatus {
		out <- prometheus.MustNewConstMetric(descLocal, prometheus.GaugeValue, float64(n), status)
	}
	alone := 0.0
	if since := f.api.Local.AloneSince(); !since.IsZero() {
		alone = f.api.Now().Sub(since).Seconds()
	}
	out <- prometheus.MustNewConstMetric(descAlone, prometheus.GaugeValue, alone)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
