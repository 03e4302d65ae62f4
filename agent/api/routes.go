package api

import (
	"net/http"

	"skein/agent/api/endpoint"
	"skein/agent/api/page"
	"skein/agent/api/view"
	"skein/agent/api/write"
)

// route is one row of the table of routes: the mux, the OpenAPI document and the tests
// are made from it. One of its functions serves it; a stream needs none.
type route struct {
	endpoint.Spec
	cached   bool // a worker remembers its last good answer
	ofLeader bool // the leader alone answers
	read     func(*view.View) (any, error)
	write    func(*write.Call) (*write.Order, error)
	plain    http.HandlerFunc
}

// table is every route there is: reads, writes, the stream, and what is about this
// agent alone.
func (a *API) table() []route {
	var routes []route
	for _, e := range view.Endpoints() {
		routes = append(routes, route{Spec: e.Spec, cached: e.Cached, ofLeader: e.OfLeader, read: e.Read})
	}
	for _, e := range write.Endpoints() {
		routes = append(routes, route{Spec: e.Spec, write: e.Write})
	}
	routes = append(routes, route{Spec: endpoint.Spec{
		Method: http.MethodGet, Pattern: "/v1/events/stream", Kind: endpoint.Stream, Media: "text/event-stream",
		Summary: "Events as they happen, as server-sent events (event, state, gap, resume, cut-off); resumed with " +
			"Last-Event-ID",
		Query: []endpoint.Param{endpoint.After, endpoint.Service},
	}})
	return append(routes, a.plains()...)
}

func (a *API) plains() []route {
	get := func(pattern, media, summary string, f http.HandlerFunc) route {
		return route{Spec: endpoint.Spec{Method: http.MethodGet, Pattern: pattern, Kind: endpoint.Plain, Media: media,
			Summary: summary}, plain: f}
	}
	return []route{
		get("/healthz", "text/plain", "200 while this agent answers", a.healthz),
		get("/readyz", "text/plain", "200 while this host does its work and hears the fleet", a.readyz),
		get("/readyz/traffic", "text/plain",
			"200 while this host takes new requests to its listeners: for a load balancer of one's own", a.readyzTraffic),
		get("/metrics", "text/plain", "Metrics in Prometheus' words; those of the fleet on voters only", a.metrics.handler()),
		get("/openapi.json", "application/json", "This document", a.serveOpenAPI),
		get("/{$}", "text/html", "The status page", page.File("index.html")),
		get("/app.css", "text/css", "Its style", page.File("app.css")),
		get("/app.js", "text/javascript", "Its script", page.File("app.js")),
	}
}

// document is the OpenAPI document of all routes.
func (a *API) document() []byte {
	specs := make([]endpoint.Spec, len(a.routes))
	for i, rt := range a.routes {
		specs[i] = rt.Spec
	}
	return endpoint.Document(specs, a.Version)
}

func (a *API) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(a.openapi)
}
