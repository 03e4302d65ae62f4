package ingress_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
	"skein/runtime/ingress/route"
)

// counted is what the fleet is told of blue, and of requests for which blue had no target.
func (r *rig) counted() (blue, unserved fleet.TrafficCounts) {
	groups := r.engine.Traffic([]fleet.TargetGroupName{"blue"})
	for _, revision := range groups[0].Revisions {
		if revision.Revision == "" {
			unserved = revision.Counts
		} else {
			blue.Add(revision.Counts)
		}
	}
	return blue, unserved
}

func TestWhatIsCountedAsAFailure(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	hangUp := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		_ = conn.Close()
	}
	slurp := func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	get := "GET / HTTP/1.1\nHost: x\n\n"
	tests := map[string]struct {
		targets          []string
		send             string
		goes             bool // the client goes away instead of waiting for an answer
		requests, errors uint64
		unserved         uint64
	}{
		"an answer":              {targets: []string{backend(t, "a", nil)}, send: get, requests: 1},
		"a client's own mistake": {targets: []string{backend(t, "a", status(404))}, send: get, requests: 1},
		"a failure":              {targets: []string{backend(t, "a", status(500))}, send: get, requests: 1, errors: 1},
		"a target that hangs up": {targets: []string{backend(t, "a", hangUp)},
			send: "POST / HTTP/1.1\nHost: x\nContent-Length: 1\n\nx", requests: 1, errors: 1},
		"nobody there": {targets: []string{dead.Listener.Addr().String()}, send: get, requests: 1, errors: 1, unserved: 1},
		"no target":    {send: get, unserved: 1},
		"a client that goes away": {targets: []string{backend(t, "a", slurp)},
			send: "POST / HTTP/1.1\nHost: x\nContent-Length: 1000\n\nx", goes: true, requests: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := simple(t, tt.targets...)
			c := r.dial(80)
			c.send(tt.send)
			if tt.goes {
				_ = c.Close()
			} else {
				_ = read(t, c.receive("GET"))
			}
			want := [3]uint64{tt.requests, tt.errors, tt.unserved}
			var got [3]uint64
			until(t, "the request is counted", func() bool {
				blue, unserved := r.counted()
				got = [3]uint64{blue.Requests, blue.Errors, unserved.Requests}
				return got == want
			})
		})
	}
}

func TestARequestThatAnotherTargetTookCountsWithBoth(t *testing.T) {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("blue"))
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}, dead.Listener.Addr().String(),
		backend(t, "a", nil))
	r.routes.Groups[0].Targets[1].Revision = "other"
	r.apply()
	c := r.dial(80)
	for range 20 {
		c.send("GET / HTTP/1.1\nHost: x\n\n")
		if got := c.receive("GET"); got.StatusCode != 200 {
			t.Fatalf("status %d", got.StatusCode)
		} else {
			_ = read(t, got)
		}
	}
	counts := map[fleet.RevisionID]fleet.TrafficCounts{}
	for _, revision := range r.engine.Traffic([]fleet.TargetGroupName{"blue"})[0].Revisions {
		counts[revision.Revision] = revision.Counts
	}
	if got := counts["blue"]; got.Requests == 0 || got.Errors != got.Requests {
		t.Errorf("of the dead target: %+v", got)
	}
	if got := counts["other"]; got.Requests != 20 || got.Errors != 0 {
		t.Errorf("of the other: %+v", got)
	}
}

func TestACallOfGRPCIsCountedByItsStatus(t *testing.T) {
	say := func(status string, late bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			if !late {
				w.Header().Set("Grpc-Status", status)
				return
			}
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write([]byte("12345"))
			w.Header().Set("Grpc-Status", status)
		}
	}
	tests := map[string]struct {
		handler http.HandlerFunc
		errors  uint64
	}{
		"well":                             {say("0", true), 0},
		"not found":                        {say("5", true), 0},
		"internal, after messages":         {say("13", true), 1},
		"unavailable, at once":             {say("14", false), 1},
		"without a status":                 {func(http.ResponseWriter, *http.Request) {}, 1},
		"not of gRPC at all, and it fails": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, ingress.Config{})
			r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("blue"))
			r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupGRPC}, backend2(t, tt.handler))
			r.apply()
			response, err := h2c(t).Post("http://"+r.address(80)+"/a.B/C", "application/grpc", strings.NewReader(""))
			if err != nil {
				t.Fatal(err)
			}
			_ = read(t, response)
			until(t, "the call is counted", func() bool { blue, _ := r.counted(); return blue.Requests == 1 })
			if blue, _ := r.counted(); blue.Errors != tt.errors {
				t.Errorf("counted %+v", blue)
			}
		})
	}
}

func TestOfManyRevisionsTheBusiestAreTold(t *testing.T) {
	memory := route.NewMemory("a", func() uint64 { return 0 }, nil)
	g := fleet.GroupTargets{TargetGroup: fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}}
	for i := range 2 * fleet.MaxTrafficRevisions {
		g.Targets = append(g.Targets, fleet.Target{
			Task: fleet.TaskID(string(rune('A' + i))), Revision: fleet.RevisionID(string(rune('A' + i))),
			State: fleet.TargetHealthy,
		})
	}
	table, err := memory.Compile(fleet.Routes{Groups: []fleet.GroupTargets{g}}, 1, time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range table.Groups["blue"].Members {
		for range i {
			m.Series.Observe(200, time.Millisecond)
		}
	}
	told := memory.Traffic([]fleet.TargetGroupName{"none", "blue"})
	if len(told) != 2 || told[0].Group != "none" || len(told[0].Revisions) != 0 {
		t.Errorf("a group that is not known is told as %+v", told[0])
	}
	if got := told[1].Revisions; len(got) != fleet.MaxTrafficRevisions ||
		got[0].Counts.Requests != fleet.MaxTrafficRevisions {
		t.Errorf("%d revisions, the first %+v", len(got), got[0])
	}
}
