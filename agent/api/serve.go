package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// kind is how a route is served.
type kind uint8

const (
	kindRead   kind = iota + 1 // answered from State, here or at a voter
	kindWrite                  // brought to the leader
	kindStream                 // held open
	kindPlain                  // about this agent alone
)

// route is one row of the table of routes: the mux, the OpenAPI document and
// the tests are made from it.
type route struct {
	method  string
	pattern string
	kind    kind
	summary string
	private bool // not on the plain listener
	query   []param
	body    any // an example value of the body's type, nil for none
	status  int // of the answer; 0: 200
	answer  any // an example value of the answer's type, nil for plain text
	media   string

	read  func(*view) (any, error)
	write func(*call) (*order, error)
	plain http.HandlerFunc
	// cached marks the main lists: a worker remembers its last good answer.
	cached bool
}

// serve wraps a route with admission, counting and a deadline.
func (a *API) serve(rt route, trust Trust) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := a.gate
		if rt.kind == kindStream {
			g = a.stream
		}
		leave, full := g.enter(caller(r, trust))
		if leave == nil {
			a.metrics.refused.Inc()
			a.writeError(w, r, refuse(http.StatusTooManyRequests, "busy", "too many requests of "+full+" are in flight",
				"wait and repeat").after(time.Second))
			return
		}
		defer leave()
		counted := &statusWriter{ResponseWriter: w}
		begin := a.Now()
		defer func() { a.metrics.served(rt, counted.status, a.Now().Sub(begin)) }()
		if err := rt.checkQuery(r); err != nil {
			a.writeError(counted, r, err)
			return
		}
		if rt.kind != kindStream {
			ctx, cancel := context.WithTimeout(r.Context(), requestTime)
			defer cancel()
			r = r.WithContext(ctx)
		}
		a.dispatch(rt, trust, counted, r)
	})
}

func (a *API) dispatch(rt route, trust Trust, w http.ResponseWriter, r *http.Request) {
	switch rt.kind {
	case kindRead:
		a.serveRead(rt, trust, w, r)
	case kindWrite:
		a.serveWrite(rt, trust, w, r)
	case kindStream:
		a.serveEvents(trust, w, r)
	default:
		rt.plain(w, r)
	}
}

// checkQuery refuses parameters that nobody reads and values that nobody can: a
// misspelt filter must not be an answer about everything.
func (rt route) checkQuery(r *http.Request) error {
	if len(r.URL.RawQuery) > maxQuery {
		return refuse(http.StatusRequestURITooLong, "too-large",
			fmt.Sprintf("the query has %d bytes, at most %d", len(r.URL.RawQuery), maxQuery), "")
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(http.StatusBadRequest, "query", "the query cannot be read: "+err.Error(), "")
	}
	for name, given := range values {
		at := slices.IndexFunc(rt.query, func(p param) bool { return p.name == name })
		if at < 0 {
			return refuse(http.StatusBadRequest, "query", fmt.Sprintf("unknown parameter %q", clean(name)), rt.knownQuery())
		}
		if len(given) > 1 {
			return refuse(http.StatusBadRequest, "query", fmt.Sprintf("parameter %q is given %d times", name, len(given)),
				"give it once")
		}
		if err := rt.query[at].refuse(given[0]); err != nil {
			return err
		}
	}
	return nil
}

func (rt route) knownQuery() string {
	if len(rt.query) == 0 {
		return "this address takes no parameters"
	}
	names := make([]string, len(rt.query))
	for i, p := range rt.query {
		names[i] = p.name
	}
	return "known are " + strings.Join(names, ", ")
}

// unknown answers for addresses and methods that no route has.
func (a *API) unknown(trust Trust) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		readOnly := false
		for _, rt := range a.routes {
			if !rt.matches(r.URL.Path) {
				continue
			}
			if trust == TrustNone && (rt.kind == kindWrite || rt.private) {
				readOnly = true
				continue
			}
			allowed = append(allowed, rt.method)
		}
		switch {
		case readOnly:
			w.Header().Set("Allow", strings.Join(append(allowed, http.MethodHead), ", "))
			a.writeError(w, r, refuse(http.StatusMethodNotAllowed, "read-only", "this listener only shows",
				"write over the unix socket (the skein command does) or over TLS"))
		case len(allowed) > 0:
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			a.writeError(w, r, refuse(http.StatusMethodNotAllowed, "method", r.Method+" is not known here",
				"allowed are "+strings.Join(allowed, ", ")))
		default:
			a.writeError(w, r, refuse(http.StatusNotFound, "no-such-address", "nothing is at "+clean(r.URL.Path),
				"see /openapi.json for all addresses"))
		}
	})
}

// matches compares a path with the route's pattern, segment by segment.
func (rt route) matches(path string) bool {
	pattern := strings.Split(strings.TrimSuffix(rt.pattern, "{$}"), "/")
	given := strings.Split(path, "/")
	if len(pattern) != len(given) {
		return false
	}
	for i, p := range pattern {
		if p != given[i] && !(strings.HasPrefix(p, "{") && given[i] != "") {
			return false
		}
	}
	return true
}

// statusWriter remembers the status for the metrics.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach flushing and deadlines.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
