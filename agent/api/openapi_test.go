package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"skein/agent/api/endpoint"
	"skein/agent/api/write"
)

// served loads the document from where clients find it. For the tests, answers
// may hold no field that it does not name.
func served(t *testing.T, h http.Handler) *openapi3.T {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/openapi.json", nil))
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	closed := false
	for name, schema := range doc.Components.Schemas {
		if !strings.HasPrefix(name, "ECS_") && schema.Value.Properties != nil {
			schema.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &closed}
		}
	}
	return doc
}

func TestTheDocumentAndTheHandlersAreTheSame(t *testing.T) {
	x := newTestAPI(t, nil)
	root := x.Handler(TrustRoot)
	doc := served(t, root)

	named := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			named[method+" "+path] = true
			target := strings.NewReplacer("{name}", "web", "{listener}", "web", "{id}", "h1").Replace(path)
			if path == "/v1/events/stream" {
				continue // does not end; see event_stream_test.go
			}
			code, got, _ := do(t, root, method, target, "")
			if e, _ := got["error"].(map[string]any); code == 405 || e != nil && e["code"] == "no-such-address" {
				t.Errorf("%s %s is in the document, but answers %d %v", method, path, code, got)
			}
		}
	}
	for _, rt := range x.routes {
		if key := rt.Method + " " + strings.TrimSuffix(rt.Pattern, "{$}"); !named[key] {
			t.Errorf("%s is served, but not in the document", key)
		}
	}
	if len(named) != len(x.routes) {
		t.Errorf("%d operations for %d routes", len(named), len(x.routes))
	}
}

func TestAnswersAreWhatTheDocumentSays(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	fullFleet(t, x, root)
	doc := served(t, root)
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	task := at(t, want(t, 200, root, "GET", "/v1/tasks?limit=1", ""), "tasks", 0, "taskId").(string)
	fill := strings.NewReplacer("{name}", "web", "{listener}", "web", "{id}", "h1")
	for _, rt := range x.routes {
		if rt.Kind != endpoint.Read {
			continue
		}
		target := fill.Replace(rt.Pattern)
		switch rt.Pattern {
		case "/v1/tasks/{id}":
			target = "/v1/tasks/" + task
		case "/v1/taskdefs/{id}":
			target = "/v1/taskdefs/web"
		case "/v1/entry-addresses/{name}":
			want(t, 201, root, "POST", "/v1/entry-addresses", `{"address": "10.0.0.99/24"}`)
			target = "/v1/entry-addresses/10.0.0.99"
		case "/v1/deployments/{id}":
			target = "/v1/deployments/web"
		}
		check(t, router, root, "GET", target, "", 200)
		check(t, router, root, "GET", target+"?nonsense=1", "", 400)
	}
	check(t, router, root, "GET", "/healthz", "", 200)
	check(t, router, root, "GET", "/readyz", "", 200)
	check(t, router, root, "GET", "/metrics", "", 200)
	check(t, router, root, "GET", "/v1/services/nope", "", 404)
	writes := []struct {
		method, target, body string
		status               int
	}{
		{"POST", "/v1/taskdefs", webDef, 201},
		{"POST", "/v1/services", `{"serviceName": "api", "taskDefinition": "web", "desiredCount": 1, "clientToken": "x"}`,
			201},
		{"PATCH", "/v1/services/api", `{"desiredCount": 2}`, 200},
		{"POST", "/v1/services/api/scale", `{"desiredCount": 3}`, 200},
		{"POST", "/v1/tasks", `{"taskDefinition": "web"}`, 201},
		{"DELETE", "/v1/tasks/" + task, `{"reason": "x"}`, 200},
		{"POST", "/v1/hosts/h2/cordon", `{"why": "x"}`, 200},
		{"POST", "/v1/hosts/h2/uncordon", `{}`, 200},
		{"POST", "/v1/hosts/h6/forget", `{"force": true}`, 200},
		{"POST", "/v1/tokens", `{"kind": "join", "uses": 2}`, 201},
		{"DELETE", "/v1/tokens/t1", `{}`, 200},
		{"PUT", "/v1/settings/voters", `{"value": 3}`, 200},
		{"POST", "/v1/fleet/finalize", `{}`, 409},
		{"POST", "/v1/target-groups", strings.Replace(webGroup, `"web"`, `"new"`, 1), 201},
		{"PATCH", "/v1/target-groups/new", `{"slowStartSeconds": 30}`, 200},
		{"POST", "/v1/listeners", strings.NewReplacer(`"name": "web"`, `"name": "new"`, "80", "81").Replace(webListener), 201},
		{"PATCH", "/v1/listeners/new", `{"port": 82}`, 200},
		{"POST", "/v1/listeners/new/rules", webRule, 201},
		{"PATCH", "/v1/listeners/new/rules/web", `{"timeoutSeconds": 9}`, 200},
		{"POST", "/v1/listeners/new/rules/default/weights", `{"targetGroups": [{"targetGroup": "new", "weight": 10000}]}`,
			200},
		{"DELETE", "/v1/listeners/new/rules/web", `{}`, 200},
		{"DELETE", "/v1/listeners/new", `{}`, 200},
		{"DELETE", "/v1/target-groups/new", `{}`, 200},
		{"POST", "/v1/entry-addresses", `{"address": "10.0.0.100/24"}`, 201},
		{"POST", "/v1/entry-addresses/10.0.0.100/move", `{"host": "h1"}`, 200},
		{"DELETE", "/v1/entry-addresses/10.0.0.100", `{}`, 200},
		{"POST", "/v1/deployments/web/orders", `{"order": "pause"}`, 200},
		{"POST", "/v1/hook-targets", `{"target": "http://prometheus.example:9090"}`, 201},
		{"PUT", "/v1/alarms/errors", `{"url": "http://prometheus.example:9090", "query": "up", "comparison": "below",
			"threshold": 0.5}`, 200},
		{"DELETE", "/v1/alarms/errors", `{}`, 200},
		{"DELETE", "/v1/hook-targets", `{"target": "http://prometheus.example:9090"}`, 200},
		{"POST", "/v1/taskdefs/web/revisions", `{"image": "registry:5000/web:2"}`, 201},
		{"DELETE", "/v1/services/api", `{"force": true}`, 200},
		{"DELETE", "/v1/services/web", `{}`, 409},
	}
	for _, tt := range writes {
		check(t, router, root, tt.method, tt.target, tt.body, tt.status)
	}
	if len(writes) < len(write.Endpoints()) {
		t.Error("a write has no check")
	}
}

// fullFleet makes answers hold as many of their fields as can be.
func fullFleet(t *testing.T, x *testAPI, root http.Handler) {
	t.Helper()
	want(t, 200, root, "POST", "/v1/hosts/h1/cordon", `{"why": "x"}`)
	want(t, 201, root, "POST", "/v1/tasks", `{"taskDefinition": "web", "startedBy": "me"}`)
	trafficOf(t, root)
	x.members.reports = nil
	for i := 1; i <= 6; i++ {
		x.members.reports = append(x.members.reports, capacityReport(i))
	}
}

// check sends a request and holds it and its answer against the document.
func check(t *testing.T, router routers.Router, h http.Handler, method, target, body string, status int) {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost"+target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	found, params, err := router.FindRoute(r)
	if err != nil {
		t.Errorf("%s %s: %v", method, target, err)
		return
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: found,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
			IncludeResponseStatus: true}}
	if status < 300 && body != "" {
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			t.Errorf("%s %s: the request: %v", method, target, err)
		}
		r.Body = io.NopCloser(strings.NewReader(body))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != status {
		t.Errorf("%s %s: status %d, want %d: %s", method, target, w.Code, status, w.Body)
	}
	if status < 300 {
		headersAreDocumented(t, found, w)
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: w.Code, Header: w.Header(),
		Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())), Options: in.Options}
	if err := openapi3filter.ValidateResponse(context.Background(), answer); err != nil {
		t.Errorf("%s %s: the answer: %v", method, target, err)
	}
}

// headersAreDocumented holds the headers of Skein's own that an answer has against the document: a client cannot guess
// them.
func headersAreDocumented(t *testing.T, route *routers.Route, w *httptest.ResponseRecorder) {
	t.Helper()
	documented := route.Operation.Responses.Status(w.Code)
	for header := range w.Header() {
		if strings.HasPrefix(header, "X-Skein-") && (documented == nil || documented.Value.Headers[header] == nil) {
			t.Errorf("%s %s: the answer's header %s is not in the document", route.Method, route.Path, header)
		}
	}
}
