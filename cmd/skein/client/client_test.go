package client

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"skein/agent/api/types"
)

// serve answers every request with one status and body and returns the headers
// it saw, in order.
func serve(t *testing.T, status int, body string) (*Client, *[]http.Header) {
	t.Helper()
	var seen []http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header)
		if status == 0 {
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return New(Endpoint{URL: server.URL}, "operator"), &seen
}

func TestOnlyWritesCarryTheClientToken(t *testing.T) {
	plain, seen := serve(t, http.StatusOK, `{}`)
	c := plain.Once("token-1")
	if _, err := c.Get(t.Context(), "/v1/status", nil); err != nil {
		t.Fatal(err)
	}
	for _, by := range []*Client{c, plain} {
		if err := by.Send(t.Context(), http.MethodPost, "/v1/tasks", map[string]any{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"", "token-1", ""} {
		if got := (*seen)[i]; got.Get(types.HeaderToken) != want || got.Get("Authorization") != "Bearer operator" {
			t.Errorf("request %d: %v, want client token %q", i, got, want)
		}
	}
}

func TestErrorsSayWhatThePersonAtThePromptCanDo(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		once   string
		want   []string
		not    string
	}{
		"a refusal reads as the agent wrote it": {409,
			`{"error":{"code":"exists","message":"it is there","hint":"choose another name"}}`, "t-1",
			[]string{"it is there\nchoose another name"}, "t-1"},
		"a refusal names its field": {400, `{"error":{"message":"is 4: 3, 5 and 7 are allowed","field":"voters"}}`, "",
			[]string{"voters: is 4"}, ""},
		"a write that a server in trouble may have made names its token": {503,
			`{"error":{"message":"no leader","hint":"wait"}}`, "t-1",
			[]string{"no leader\nwait\n", "--client-token t-1"}, ""},
		"a read of the same server does not": {503, `{"error":{"message":"no leader"}}`, "", []string{"no leader"},
			"client-token"},
		"what is no answer of an agent": {502, `<html>`, "", []string{"502 Bad Gateway"}, "html"},
		"a write without an answer":     {0, "", "t-1", []string{"unknown", "--client-token t-1"}, ""},
		"a read without an answer":      {0, "", "", []string{"ask http://"}, "client-token"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, tt.status, tt.body)
			err := c.Once(tt.once).Send(t.Context(), http.MethodPost, "/v1/tasks", nil, nil)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if tt.not != "" && strings.Contains(err.Error(), tt.not) {
				t.Errorf("%q says %q", err, tt.not)
			}
		})
	}
}

func TestAnAgentThatIsNotThereIsSaid(t *testing.T) {
	c := New(Endpoint{Socket: filepath.Join(t.TempDir(), "agent.sock")}, "")
	if _, err := c.Get(t.Context(), "/v1/status", nil); err == nil ||
		!strings.Contains(err.Error(), "is it running here") {
		t.Errorf("got %v", err)
	}
}

// What cannot be sent as it is meant is not sent, and says nothing of an unknown outcome.
func TestWhatCannotBeSentAsMeantIsNotSent(t *testing.T) {
	plain, seen := serve(t, http.StatusOK, `{}`)
	for name, c := range map[string]struct {
		client *Client
		path   string
	}{
		"an empty name":                  {plain.Once("t"), "/v1/services/"},
		"an empty name and verb":         {plain.Once("t"), "/v1/hosts//forget"},
		"the folder itself":              {plain.Once("t"), "/v1/services/.?expect=1"},
		"the folder above":               {plain.Once("t"), "/v1/services/../hosts"},
		"a client token of two lines":    {plain.Once("a\nb"), "/v1/services/web"},
		"a client token outside ASCII":   {plain.Once("tök"), "/v1/services/web"},
		"an operator token of two words": {New(plain.endpoint, "a b").Once("t"), "/v1/services/web"},
	} {
		err := c.client.Send(t.Context(), http.MethodDelete, c.path, nil, nil)
		if err == nil || !strings.Contains(err.Error(), "is refused") || strings.Contains(err.Error(), "unknown") {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := plain.Send(t.Context(), http.MethodDelete, "/v1/services/a..b?next=", nil, nil)
	if err != nil || len(*seen) != 1 {
		t.Errorf("a name with dots in it: %v, %d requests", err, len(*seen))
	}
}

func TestAWriteThatNeverLeftIsNotOfUnknownOutcome(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1:99999", "http://127.0.0.1:1"} {
		err := New(Endpoint{URL: url}, "").Once("t-1").Send(t.Context(), http.MethodDelete, "/v1/services/web", nil, nil)
		if err == nil || strings.Contains(err.Error(), "unknown") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestARefusalIsNoSuccessWhateverItsStatus(t *testing.T) {
	c, _ := serve(t, http.StatusOK, `{"error": {"code": "conflict", "message": "web.6 is at CLEAN_UP"}}`)
	err := c.Send(t.Context(), http.MethodPost, "/v1/deployments/web.6/orders", map[string]any{}, nil)
	if err == nil || !strings.Contains(err.Error(), "web.6 is at CLEAN_UP") {
		t.Errorf("got %v", err)
	}
}
