// Package web serves the page of the demo's tasks: which task answered, on which
// host, in which zone, of which revision. It reads the environment that the
// agent gives every container and owns nothing else. Paths: / (a page, or JSON
// for Accept: application/json) and /healthz.
package web

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Identity is what a task knows of itself. Parts may be empty outside of Skein.
type Identity struct {
	Task     string    `json:"task"`
	Service  string    `json:"service"`
	Revision string    `json:"revision"`
	Host     string    `json:"host"`
	Zone     string    `json:"zone"`
	Started  time.Time `json:"started"`
}

// FromEnvironment reads the variables the agent sets.
func FromEnvironment(started time.Time) Identity {
	return Identity{
		Task: os.Getenv("SKEIN_TASK_ID"), Service: os.Getenv("SKEIN_SERVICE"), Revision: os.Getenv("SKEIN_REVISION"),
		Host: os.Getenv("SKEIN_HOST"), Zone: os.Getenv("SKEIN_ZONE"), Started: started.UTC(),
	}
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"orDash": orDash, "short": short}).Parse(pageText))

// Faults are what a task does wrong on purpose, so that a deployment of it can be seen to
// fail.
type Faults struct {
	Percent   int           // of requests to the page that are answered with 500, evenly spread
	Unhealthy bool          // health checks are answered with 503
	Delay     time.Duration // before the page is answered
}

// Handler answers for one task.
func Handler(id Identity, faults Faults) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if faults.Unhealthy {
			http.Error(w, "unhealthy on purpose", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	var asked atomic.Int64
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if !waited(r.Context(), faults.Delay) {
			return
		}
		if n := asked.Add(1); n*int64(faults.Percent)/100 > (n-1)*int64(faults.Percent)/100 {
			http.Error(w, "failed on purpose", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Cache-Control", "no-store") // each answer may come from another task
		w.Header().Set("Vary", "Accept")
		if strings.Contains(r.Header.Get("Accept"), "application/json") {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(id) // the client has gone
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, id) // the client has gone
	})
	mux.HandleFunc("GET /ticks", ticks)
	mux.HandleFunc("GET /echo", echo)
	return mux
}

// waited reports whether the client stayed for so long.
func waited(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// stopTimeout is below the 10 s of grace a demo task has.
const stopTimeout = 3 * time.Second

// Run serves at listen ("[address]:port") until ctx ends, then lets requests
// under way finish.
func Run(ctx context.Context, listen string, faults Faults) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("serve page: %w", err)
	}
	id := FromEnvironment(time.Now())
	fmt.Printf("task %s of %s on %s in zone %s serves at %s\n", orDash(id.Task), orDash(id.Revision), orDash(id.Host),
		orDash(id.Zone), listener.Addr())
	return serve(ctx, listener, Handler(id, faults))
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve page: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop page: %w", err)
	}
	return nil
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// short is what people need of a task id to tell it from others.
func short(id string) string {
	const enough = 8
	return id[:min(len(id), enough)]
}
