package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"skein/agent/api/endpoint"
	"skein/agent/api/refusal"
	"skein/agent/api/types"
)

// serve wraps a route with admission, counting and a deadline.
func (a *API) serve(rt route, trust Trust) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, full := a.gates.of(trust, rt.Kind).enter(caller(r, trust))
		if leave == nil {
			a.metrics.refused.Inc()
			a.writeError(w, r, refusal.New(http.StatusTooManyRequests, "busy", "too many requests of "+full+" are in flight",
				"wait and repeat").After(time.Second))
			return
		}
		defer leave()
		counted := &statusWriter{ResponseWriter: w}
		begin := a.Now()
		defer func() { a.metrics.served(rt, counted.status, a.Now().Sub(begin)) }()
		if err := rt.CheckQuery(r); err != nil {
			a.writeError(counted, r, err)
			return
		}
		if rt.Kind != endpoint.Stream {
			ctx, cancel := context.WithTimeout(r.Context(), requestTime)
			defer cancel()
			r = r.WithContext(ctx)
		}
		a.dispatch(rt, trust, counted, r)
	})
}

func (a *API) dispatch(rt route, trust Trust, w http.ResponseWriter, r *http.Request) {
	switch rt.Kind {
	case endpoint.Read:
		a.serveRead(rt, trust, w, r)
	case endpoint.Write:
		a.serveWrite(rt, trust, w, r)
	case endpoint.Stream:
		a.serveEvents(trust, w, r)
	default:
		rt.plain(w, r)
	}
}

// unknown answers for addresses and methods that no route has.
func (a *API) unknown(trust Trust) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		readOnly := false
		for _, rt := range a.routes {
			if !rt.Matches(r.URL.Path) {
				continue
			}
			if trust == TrustNone && (rt.Kind == endpoint.Write || rt.Private) {
				readOnly = true
				continue
			}
			allowed = append(allowed, rt.Method)
		}
		switch {
		case readOnly:
			w.Header().Set("Allow", strings.Join(append(allowed, http.MethodHead), ", "))
			a.writeError(w, r, refusal.New(http.StatusMethodNotAllowed, "read-only", "this listener only shows",
				"write over the unix socket (the skein command does) or over TLS"))
		case len(allowed) > 0:
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			a.writeError(w, r, refusal.New(http.StatusMethodNotAllowed, "method", r.Method+" is not known here",
				"allowed are "+strings.Join(allowed, ", ")))
		default:
			a.writeError(w, r, refusal.New(http.StatusNotFound, "no-such-address", "nothing is at "+types.Clean(r.URL.Path),
				"see /openapi.json for all addresses"))
		}
	})
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
