package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// An agent that knows the service idle, which has no tasks and no events.
func idleFleet(t *testing.T) (address string, asked *[]string) {
	t.Helper()
	var uris []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uris = append(uris, r.URL.RequestURI())
		name, aboutService := strings.CutPrefix(r.URL.Path, "/v1/services/")
		if aboutService && name != "idle" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error": {"message": "service \"` + name + `\": not found"}}`))
			return
		}
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	return server.URL, &uris
}

func TestAListAboutAServiceThatIsNotThereIsNoEmptyList(t *testing.T) {
	address, _ := idleFleet(t)
	for line, want := range map[string]string{
		"tasks idel": "not found", "tasks idel --json": "not found", "events --service idel": "not found",
		"tasks idle": "", "events --service idle": "", "tasks": "", "events": "",
	} {
		err := run(t.Context(), append(strings.Fields(line), "--address", address))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("skein %s: %v, want %q", line, err, want)
		}
	}
}

func TestEventsAfterZeroAreTheOldest(t *testing.T) {
	for line, want := range map[string]string{"events": "/v1/events?limit=50",
		"events --after 0": "/v1/events?limit=50&after=0", "events --after 7": "/v1/events?limit=50&after=7"} {
		address, asked := idleFleet(t)
		if err := run(t.Context(), append(strings.Fields(line), "--address", address)); err != nil {
			t.Errorf("skein %s: %v", line, err)
		} else if (*asked)[0] != want {
			t.Errorf("skein %s asked for %s, want %s", line, (*asked)[0], want)
		}
	}
}
