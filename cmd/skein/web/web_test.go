package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var somebody = Identity{
	Task: "0123456789abcdef0123456789abcdef", Service: "web", Revision: "web/3", Host: "h2", Zone: "b",
	Started: time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC),
}

func ask(t *testing.T, id Identity, method, path, accept string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	Handler(id, Faults{}).ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestThePageNamesTaskHostZoneAndRevision(t *testing.T) {
	answer := ask(t, somebody, http.MethodGet, "/", "text/html")
	if answer.StatusCode != http.StatusOK || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") {
		t.Errorf("got %d %s", answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	text := body(t, answer)
	for _, want := range []string{"<h1>web</h1>", "01234567", "web/3", "h2", "zone b", "2026-11-23 18:00:00 UTC"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestWhatTheEnvironmentHoldsIsEscaped(t *testing.T) {
	text := body(t, ask(t, Identity{Service: "<script>alert(1)</script>", Task: `" onload="x`}, http.MethodGet, "/",
		"*/*"))
	if strings.Contains(text, "<script>") || strings.Contains(text, `" onload`) {
		t.Errorf("markup came through:\n%s", text)
	}
}

func TestProgramsGetJSON(t *testing.T) {
	answer := ask(t, somebody, http.MethodGet, "/", "application/json")
	var got Identity
	if err := json.Unmarshal([]byte(body(t, answer)), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(somebody, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if answer.Header.Get("Cache-Control") != "no-store" {
		t.Error("the answer of one task could be kept for another's")
	}
}

func TestEachAnswerSaysOfWhatTypeItIs(t *testing.T) {
	for _, c := range []struct{ path, accept, want string }{
		{"/healthz", "*/*", "text/plain; charset=utf-8"},
		{"/", "application/json", "application/json"},
		{"/", "text/html", "text/html; charset=utf-8"},
	} {
		if got := ask(t, somebody, http.MethodGet, c.path, c.accept).Header["Content-Type"]; len(got) != 1 ||
			got[0] != c.want {
			t.Errorf("%s for %s: %q, want %q", c.path, c.accept, got, c.want)
		}
	}
}

func TestOtherPathsAndMethodsAreRefused(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/healthz", http.StatusOK}, {http.MethodHead, "/", http.StatusOK},
		{http.MethodGet, "/else", http.StatusNotFound}, {http.MethodPost, "/", http.StatusMethodNotAllowed},
	} {
		if got := ask(t, somebody, c.method, c.path, "*/*").StatusCode; got != c.want {
			t.Errorf("%s %s: got %d, want %d", c.method, c.path, got, c.want)
		}
	}
}

func TestTheEnvironmentIsRead(t *testing.T) {
	for name, value := range map[string]string{
		"SKEIN_TASK_ID": somebody.Task, "SKEIN_SERVICE": "web", "SKEIN_REVISION": "web/3", "SKEIN_HOST": "h2",
		"SKEIN_ZONE": "b",
	} {
		t.Setenv(name, value)
	}
	if diff := cmp.Diff(somebody, FromEnvironment(somebody.Started)); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

func TestServingEndsWhenItIsToldTo(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener, Handler(somebody, Faults{})) }()
	answer, err := http.Get("http://" + listener.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * stopTimeout):
		t.Fatal("it went on")
	}
	if _, err := net.DialTimeout("tcp", listener.Addr().String(), time.Second); err == nil {
		t.Error("the port still answers")
	}
}

func TestALatePageIsLateAndHealthIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Handler(somebody, Faults{Delay: time.Second})
		took := func(ctx context.Context, path string) (time.Duration, int) {
			began, w := time.Now(), httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil).WithContext(ctx))
			return time.Since(began), w.Body.Len()
		}
		if d, n := took(t.Context(), "/"); d != time.Second || n == 0 {
			t.Errorf("the page took %s, %d bytes", d, n)
		}
		if d, _ := took(t.Context(), "/healthz"); d != 0 {
			t.Errorf("health took %s", d)
		}
		gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if d, n := took(gone, "/"); d != time.Millisecond || n != 0 {
			t.Errorf("a client that is gone was waited for %s, %d bytes", d, n)
		}
	})
}

func TestFaultsAreSpreadEvenly(t *testing.T) {
	h := Handler(somebody, Faults{Percent: 25, Unhealthy: true})
	codes := map[string]int{}
	for range 8 {
		for _, path := range []string{"/", "/healthz"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			codes[fmt.Sprint(path, " ", w.Code)]++
		}
	}
	want := map[string]int{"/ 500": 2, "/ 200": 6, "/healthz 503": 8}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Error(diff)
	}
}
