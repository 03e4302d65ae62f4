package api

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"skein/agent/api/cutoff"
	"skein/agent/api/endpoint"
	"skein/agent/api/view"
	"skein/agent/api/write"
	"skein/raftfsm/fleet"
)

// Config is what an API is made from. Host, Log and Local are needed; the rest
// has a use only where it is given.
type Config struct {
	Host    fleet.HostID
	Name    string
	Zone    string
	Version string
	Log     *slog.Logger

	// Voter returns this host's log, or nil (the interface itself) while it is a
	// worker. It is asked for every request, since hosts change roles; the same
	// log is the same comparable value.
	Voter   func() Voter
	Forward Forwarder    // nil: there is no other host
	Members view.Members // nil: no gossip
	Local   Local
	Images  write.Images // nil: images are not pinned, with a warning
	Tokens  write.Tokens // nil: no tokens can be made or used

	ReservedPorts []int            // host ports of the agent itself, refused to tasks
	AllowedHosts  []string         // names that browsers may use for this host, beside localhost and addresses
	Now           func() time.Time // wall clock; nil: time.Now
	Random        io.Reader        // ids and receipts; nil: crypto/rand
}

// API answers requests. Make one with New, then take a Handler for each
// listener.
type API struct {
	Config
	metrics *metrics
	gates   *gates
	memory  *cutoff.Memory
	totals  *view.Totals
	routes  []route
	openapi []byte
	by      map[Trust]http.Handler
}

// New returns an API. It starts nothing.
func New(cfg Config) *API {
	if cfg.Voter == nil {
		cfg.Voter = func() Voter { return nil }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	a := &API{
		Config: cfg,
		gates:  newGates(),
		memory: cutoff.NewMemory(),
		totals: view.NewTotals(cfg.Now),
	}
	a.metrics = newMetrics(a)
	a.routes = a.table()
	a.openapi = a.document()
	a.by = map[Trust]http.Handler{}
	for trust := TrustNone; trust <= TrustRoot; trust++ {
		a.by[trust] = a.handler(trust)
	}
	return a
}

// Registry is the agent's registry of metrics, served at /metrics; others may
// add theirs.
func (a *API) Registry() *prometheus.Registry { return a.metrics.registry }

// Trust is what a listener knows of its callers before it reads a request.
type Trust uint8

// The trusts.
const (
	// TrustNone may read what holds no secrets: the plain HTTP listener.
	TrustNone Trust = iota + 1
	// TrustToken may read the same; writes need an operator token that State
	// knows. For requests forwarded by workers, and for TLS clients.
	TrustToken
	// TrustVoter is a voter that has checked its caller already.
	TrustVoter
	// TrustRoot is the unix socket: a voter obeys it; a worker, whose word counts
	// for nothing at the voters, needs an operator token.
	TrustRoot
)

// Handler returns the handler of a listener; it may be asked for often.
func (a *API) Handler(trust Trust) http.Handler { return a.by[trust] }

func (a *API) handler(trust Trust) http.Handler {
	mux := http.NewServeMux()
	for _, r := range a.routes {
		if trust == TrustNone && r.Kind == endpoint.Write {
			continue
		}
		if r.Private && trust == TrustNone {
			continue
		}
		mux.Handle(r.Method+" "+r.Pattern, a.serve(r, trust))
	}
	mux.Handle("/", a.unknown(trust))
	return a.guard(trust, mux)
}
