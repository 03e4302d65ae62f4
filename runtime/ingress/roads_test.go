package ingress_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// sized hides the length of a body, so that it is sent in pieces.
type sized struct{ io.Reader }

// TestTheVersionOfAClientChangesNoAnswerAndNoCount sends the same by the relay of HTTP/1.1 and by
// the standard library, which serves HTTP/2: what is refused, answered and counted is alike.
func TestTheVersionOfAClientChangesNoAnswerAndNoCount(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/fails":
			w.WriteHeader(http.StatusInternalServerError)
		case "/slow":
			<-r.Context().Done()
		case "/cut":
			panic(http.ErrAbortHandler)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		default:
			_, _ = io.Copy(w, r.Body)
		}
	}
	open := func() *rig {
		r := newRig(t, ingress.Config{})
		r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP, BodyLimit: 100}, all("blue"))
		at := func(priority int, path string, action fleet.Action) {
			r.rule("web", priority, action, fleet.RuleCondition{Field: fleet.FieldPath, Values: []string{path}})
		}
		at(1, "/empty", all("empty"))
		at(2, "/refused", all("refused"))
		at(3, "/fixed", fleet.Action{Fixed: &fleet.FixedResponse{Status: 418, ContentType: "text/plain", Body: "tea"}})
		at(4, "/moved", fleet.Action{Redirect: &fleet.Redirect{Status: 301, Path: "/there"}})
		at(5, "/slow", all("blue"))
		r.routes.Rules[len(r.routes.Rules)-1].TimeoutS = 1
		r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}, backend(t, "blue", handler))
		r.group(fleet.TargetGroup{Name: "empty", Protocol: fleet.GroupHTTP1})
		r.group(fleet.TargetGroup{Name: "refused", Protocol: fleet.GroupHTTP1}, nobody)
		r.apply()
		return r
	}
	clients := map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: stay},
		"HTTP/2":   h2c(t),
	}
	clients["HTTP/2"].CheckRedirect = stay
	for _, tt := range []struct {
		name, method, path string
		body               io.Reader
		status             int
	}{
		{"an answer", "GET", "/", nil, 200},
		{"an answer without a body", "GET", "/none", nil, 204},
		{"the head of an answer", "HEAD", "/", nil, 200},
		{"a body within the limit", "POST", "/", strings.NewReader(strings.Repeat("b", 100)), 200},
		{"a body that is said to be too long", "POST", "/", strings.NewReader(strings.Repeat("b", 101)), 413},
		{"a body that turns out to be too long", "POST", "/", sized{strings.NewReader(strings.Repeat("b", 101))}, 413},
		{"a failure of the target", "GET", "/fails", nil, 500},
		{"an answer that does not come in time", "POST", "/slow", nil, 504},
		{"a target that hangs up", "POST", "/cut", nil, 502},
		{"a target that nobody answers at", "POST", "/refused", nil, 503},
		{"a group without a target", "GET", "/empty", nil, 503},
		{"a fixed answer", "GET", "/fixed", nil, 418},
		{"a redirect", "GET", "/moved", nil, 301},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := ""
			if tt.body != nil {
				all, _ := io.ReadAll(tt.body)
				text = string(all)
			}
			_, inPieces := tt.body.(sized)
			said := map[string]string{}
			for version, client := range clients {
				r := open()
				var body io.Reader
				if tt.body != nil {
					body = strings.NewReader(text)
				}
				if inPieces {
					body = sized{body}
				}
				request, err := http.NewRequest(tt.method, "http://"+r.address(80)+tt.path, body)
				if err != nil {
					t.Fatal(err)
				}
				response, err := client.Do(request)
				if err != nil {
					t.Fatalf("%s: %v", version, err)
				}
				got, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				client.CloseIdleConnections()
				if err != nil || response.StatusCode != tt.status {
					t.Errorf("%s: %d, %v, want %d", version, response.StatusCode, err, tt.status)
				}
				header := response.Header
				location := strings.ReplaceAll(header.Get("Location"), r.address(80), "HOST")
				said[version] = fmt.Sprintf("%q, %q, %q, to %q", header.Get("Content-Type"), header.Get("Content-Length"), got,
					location)
				if !inPieces { // a target may have been asked before the body was seen to be too long
					said[version] += "; " + countsOf(t, r)
				}
			}
			if said["HTTP/1.1"] != said["HTTP/2"] {
				t.Errorf("by HTTP/1.1: %s\nby HTTP/2:   %s", said["HTTP/1.1"], said["HTTP/2"])
			}
		})
	}
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// countsOf is what was counted of requests, once it has been.
func countsOf(t *testing.T, r *rig) string {
	counts := map[string]string{}
	until(t, "all requests have ended", func() bool {
		clear(counts)
		for _, s := range r.engine.Status().Series {
			if s.Open > 0 {
				return false
			}
			counts[string(s.Group)+" "+string(s.Revision)] = fmt.Sprint(s.Requests, s.Codes, s.Retries, s.Ejections)
		}
		return true
	})
	return fmt.Sprint(counts)
}
