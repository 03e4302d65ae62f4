package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"skein/agent/api/endpoint"
	"skein/agent/api/write"
)

func TestThePlainListenerOnlyShowsAndHidesSecrets(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	h := x.Handler(TrustNone)
	for _, rt := range write.Endpoints() {
		target := strings.NewReplacer("{name}", "web", "{id}", "h5").Replace(rt.Pattern)
		if code, got, _ := do(t, h, rt.Method, target, `{}`); code != 405 || at(t, got, "error", "code") != "read-only" {
			t.Errorf("%s %s: status %d, %v", rt.Method, target, code, got)
		}
	}
	want(t, 405, h, "GET", "/v1/tokens", "")
	value := func(h http.Handler, header ...string) any {
		return at(t, want(t, 200, h, "GET", "/v1/taskdefs/web", "", header...), "containerDefinitions", 0, "environment", 0,
			"value")
	}
	if got := value(h); got != "" {
		t.Errorf("the plain listener shows %v", got)
	}
	if got := value(x.Handler(TrustToken)); got != "" {
		t.Errorf("a stranger is shown %v", got)
	}
	if got := value(root); got != "hunter2" {
		t.Errorf("root is shown %v", got)
	}
	token := want(t, 201, root, "POST", "/v1/tokens", `{"kind": "operator"}`)["token"].(string)
	if got := value(x.Handler(TrustToken), "Authorization", "Bearer "+token); got != "hunter2" {
		t.Errorf("an operator is shown %v", got)
	}
	want(t, 403, x.Handler(TrustToken), "GET", "/v1/taskdefs/web", "", "Authorization", "Bearer wrong")
	want(t, 401, x.Handler(TrustToken), "GET", "/v1/tokens", "")
	for _, target := range []string{"https://hooks.example/secret-path", "https://prometheus.example"} {
		want(t, 201, root, "POST", "/v1/hook-targets", `{"target": "`+target+`"}`)
	}
	want(t, 200, root, "PUT", "/v1/alarms/errors",
		`{"url": "https://prometheus.example/?key=secret-key", "query": "up", "comparison": "above", "threshold": 1}`)
	alarms := want(t, 200, root, "GET", "/v1/alarms", "")
	if got := at(t, alarms, "alarms", 0, "url"); !strings.Contains(got.(string), "secret-key") {
		t.Errorf("root is shown %v", got)
	}
	for _, path := range []string{"/v1/taskdefs", "/v1/events", "/v1/status", "/v1/hosts", "/metrics", "/v1/alarms",
		"/v1/hook-targets"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "http://127.0.0.1"+path, nil)
		if h.ServeHTTP(w, r); strings.Contains(w.Body.String(), "hunter2") || strings.Contains(w.Body.String(), "secret-") {
			t.Errorf("%s shows a secret", path)
		}
	}
}

func TestBrowsersAreKeptFromHarm(t *testing.T) {
	x := newTestAPI(t, func(c *Config) { c.AllowedHosts = []string{"status.example.org"} })
	webFleet(t, x)
	host := func(name string) int {
		r := httptest.NewRequest("GET", "/v1/status", nil)
		r.Host = name
		w := httptest.NewRecorder()
		x.Handler(TrustNone).ServeHTTP(w, r)
		return w.Code
	}
	for name, status := range map[string]int{
		"127.0.0.1:7780": 200, "[::1]:7780": 200, "10.0.0.1": 200, "localhost:7780": 200, "h1:7780": 200, "H1": 200,
		"Status.Example.org": 200,
		"evil.example":       421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "": 421,
	} {
		if got := host(name); got != status {
			t.Errorf("Host %q: status %d, want %d", name, got, status)
		}
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		for _, trust := range []Trust{TrustToken, TrustRoot} {
			code, got, _ := do(t, x.Handler(trust), "POST", "/v1/services/web/scale", `{"desiredCount": 0}`, header...)
			if code != 403 || at(t, got, "error", "code") != "cross-origin" {
				t.Errorf("%v: status %d, %v", header, code, got)
			}
		}
	}
	if x.voter.State().Service("web").Desired != 6 {
		t.Error("a page of another site changed the fleet")
	}
	for _, path := range []string{"/", "/v1/status", "/openapi.json", "/nothing"} {
		_, _, h := do(t, x.Handler(TrustNone), "GET", path, "")
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'self'") ||
			!strings.Contains(csp, "frame-ancestors 'none'") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, h)
		}
		if h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s invites other sites", path)
		}
	}
}

func TestThePageIsWholeAndBringsNothingFromElsewhere(t *testing.T) {
	h := newTestAPI(t, nil).Handler(TrustNone)
	for path, kind := range map[string]string{"/": "text/html", "/app.css": "text/css", "/app.js": "text/javascript"} {
		r := httptest.NewRequest("GET", "http://localhost"+path, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body := w.Body.String()
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || len(body) < 1000 {
			t.Errorf("%s: status %d, %s, %d bytes", path, w.Code, w.Header().Get("Content-Type"), len(body))
		}
		for _, forbidden := range []string{"https://", "//cdn", "innerHTML", "outerHTML", "document.write", " style=\"",
			"onclick=\"", "eval("} {
			if strings.Contains(body, forbidden) {
				t.Errorf("%s holds %q", path, forbidden)
			}
		}
	}
}

func TestTooManyAtOnceAreRefusedNotQueued(t *testing.T) {
	x := newTestAPI(t, nil)
	webFleet(t, x)
	h := x.Handler(TrustNone)
	ask := func(target, from string) int {
		r := httptest.NewRequest("GET", target, nil)
		r.Host, r.RemoteAddr = "localhost", from+":1234"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 429 && w.Header().Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		return w.Code
	}
	var leave []func()
	fill := func(g *gate, from string, n int) {
		for range n {
			out, full := g.enter(from)
			if full != "" {
				t.Fatalf("%s: full of %s with %d inside", from, full, g.count())
			}
			leave = append(leave, out)
		}
	}
	fill(x.gates.openRequests, "10.0.0.1", maxPerCaller)
	if code := ask("/v1/status", "10.0.0.1"); code != 429 {
		t.Errorf("one caller's %d-th: status %d", maxPerCaller+1, code)
	}
	if code := ask("/v1/status", "10.0.0.2"); code != 200 {
		t.Errorf("another caller: status %d", code)
	}
	fill(x.gates.openRequests, "", maxOpenInFlight-maxPerCaller)
	if code := ask("/v1/status", "10.0.0.2"); code != 429 {
		t.Errorf("one more than all: status %d", code)
	}
	fill(x.gates.openWatchers, "10.0.0.1", maxWatchersPerCaller)
	if code := ask("/v1/events/stream", "10.0.0.1"); code != 429 {
		t.Errorf("one watcher too many: status %d", code)
	}
	for _, out := range leave {
		out()
	}
	open, watchers := x.gates.openRequests, x.gates.openWatchers
	if code := ask("/v1/status", "10.0.0.1"); code != 200 || open.count() != 0 || len(open.by)+len(watchers.by) != 0 {
		t.Errorf("afterwards: status %d, %d in flight, %v", code, open.count(), open.by)
	}
}

func TestStrangersLeaveRoomForOperatorsAndAgents(t *testing.T) {
	x := newTestAPI(t, nil)
	webFleet(t, x)
	for _, kind := range []endpoint.Kind{endpoint.Read, endpoint.Stream} {
		for i := 0; ; i++ {
			if _, full := x.gates.of(TrustNone, kind).enter(fmt.Sprint("stranger ", i)); full != "" {
				break
			}
		}
	}
	want(t, 429, x.Handler(TrustNone), "GET", "/v1/status", "")
	for _, trust := range []Trust{TrustToken, TrustVoter, TrustRoot} {
		want(t, 200, x.Handler(trust), "GET", "/v1/status", "")
		leave, full := x.gates.of(trust, endpoint.Stream).enter("operator")
		if full != "" {
			t.Fatalf("trust %d: a watcher is refused: full of %s", trust, full)
		}
		leave()
	}
}

func TestOneMachineIsOneCallerWhateverItsAddresses(t *testing.T) {
	for _, c := range []struct{ a, b, why string }{
		{"10.0.0.1:1", "10.0.0.1:2", "another port"},
		{"[2001:db8::1]:1", "[2001:db8::ffff:2]:2", "another address of the same /64"},
		{"10.0.0.1:1", "[::ffff:10.0.0.1]:1", "an IPv4 address written as IPv6"},
	} {
		from := func(addr string) string { return caller(&http.Request{RemoteAddr: addr}, TrustNone) }
		if from(c.a) != from(c.b) {
			t.Errorf("%s: %s and %s are two callers", c.why, from(c.a), from(c.b))
		}
	}
	a := caller(&http.Request{RemoteAddr: "10.0.0.1:1"}, TrustNone)
	if b := caller(&http.Request{RemoteAddr: "10.0.0.2:1"}, TrustNone); a == b {
		t.Errorf("two machines are one caller: %s", a)
	}
}
