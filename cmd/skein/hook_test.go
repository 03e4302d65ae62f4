package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"skein/agent/api/types"
)

func TestTheDigestHookComparesWhatTheNewVersionRuns(t *testing.T) {
	const good, bad = "sha256:aa", "sha256:bb"
	one := types.Service{Revision: "web/7", Images: []types.Image{{Container: "app", Image: "web:2", Digest: good}},
		Tags: map[string]string{"digest": good}}
	two := one
	two.Images = append(two.Images, types.Image{Container: "side", Image: "side:1"})
	for _, c := range []struct {
		name    string
		service types.Service
		args    []string
		refused string
	}{
		{"the digest given", one, []string{"--expect", good}, ""},
		{"the digest of a tag", one, []string{"--expect-tag", "digest"}, ""},
		{"another digest", one, []string{"--expect", bad}, "web/7 runs sha256:aa, expected is sha256:bb"},
		{"no such tag", one, []string{"--expect-tag", "none"}, "has no tag none"},
		{"nothing to compare with", one, nil, "--expect or --expect-tag"},
		{"one of two containers", two, []string{"--expect", good, "--container", "app"}, ""},
		{"any of two containers", two, []string{"--expect", good}, "say which with --container"},
		{"an image that is not pinned", two, []string{"--expect", good, "--container", "side"}, "not pinned"},
		{"no such container", two, []string{"--expect", good, "--container", "none"}, "no container none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/services/web" {
					w.WriteHeader(http.StatusNotFound)
				}
				json.NewEncoder(w).Encode(c.service)
			}))
			defer server.Close()
			err := run(t.Context(), append([]string{"hook", "digest", "--service", "web", "--address", server.URL}, c.args...))
			refusedWith(t, err, c.refused)
		})
	}
}

func refusedWith(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestTheSmokeHookAsksByTheTestRule(t *testing.T) {
	for _, c := range []struct {
		name    string
		serve   func(n int32, w http.ResponseWriter)
		args    []string
		refused string
		asked   int32
	}{
		{"all are well", func(_ int32, w http.ResponseWriter) { io.WriteString(w, "is ok") },
			[]string{"--contains", "ok"}, "", 3},
		{"the second is not", func(n int32, w http.ResponseWriter) {
			if n == 2 {
				w.WriteHeader(http.StatusBadGateway)
			}
		}, nil, "request 2 of 3", 2},
		{"another status than the one asked for", func(int32, http.ResponseWriter) {}, []string{"--status", "204"},
			"status 200, 204 is needed", 1},
		{"another text", func(_ int32, w http.ResponseWriter) { io.WriteString(w, "fine") }, []string{"--contains", "ok"},
			`does not contain "ok"`, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Test") != "green" || r.Host != "shop.example" {
					t.Errorf("asked %s with %v", r.Host, r.Header)
				}
				c.serve(asked.Add(1), w)
			}))
			defer server.Close()
			err := run(t.Context(), append([]string{"hook", "smoke", server.URL + "/health", "--count", "3", "--header",
				"x-test=green", "--host", "shop.example"}, c.args...))
			refusedWith(t, err, c.refused)
			if asked.Load() != c.asked {
				t.Errorf("%d requests", asked.Load())
			}
		})
	}
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	refusedWith(t, run(t.Context(), []string{"hook", "smoke", silent.URL, "--within", "50ms"}), "no answer within 50ms")
}
