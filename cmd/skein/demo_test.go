package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"skein/cmd/skein/client"
)

func TestTwoDemosAtOnceMakeOneService(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		answer string
		want   string
	}{
		"the first makes it":  {http.StatusCreated, `{}`, ""},
		"the second finds it": {http.StatusConflict, `{"error":{"code":"exists","message":"it is ACTIVE"}}`, ""},
		"what is refused for another reason is said": {http.StatusConflict,
			`{"error":{"code":"limit","message":"too many services"}}`, "too many services"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/taskdefs" {
					_, _ = w.Write([]byte(`{"taskDefinition": {"taskDefinition": "web:1"}}`))
					return
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.answer))
			}))
			defer server.Close()
			err := createDemo(t.Context(), client.New(client.Endpoint{URL: server.URL}, ""), "registry/web:1")
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
