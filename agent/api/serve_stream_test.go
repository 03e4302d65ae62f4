package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock/clocktest"
)

// event is one server-sent event.
type event struct{ name, id, data string }

// watch opens a stream and returns a function that gives the next event of a
// kind, and one that ends it.
func watch(t *testing.T, url string, header ...string) (next func(name string) event, stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); answer.Body.Close() })
	if answer.StatusCode != 200 || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("status %d, %s", answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(answer.Body)
	return func(name string) event {
		t.Helper()
		var e event
		var passed []string
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), ": ")
			switch key {
			case "event":
				e.name = value
			case "id":
				e.id = value
			case "data":
				e.data = value
			case "":
				if e.name == name {
					return e
				}
				passed, e = append(passed, e.name), event{}
			}
		}
		t.Fatalf("the stream ended without a %s: %v, passed %v", name, lines.Err(), passed)
		return event{}
	}, cancel
}

func TestEventsArriveAsTheyHappenAndAreResumed(t *testing.T) {
	x := newTestAPI(t, func(c *Config) { c.Now = time.Now })
	root := webFleet(t, x)
	server := httptest.NewServer(x.Handler(TrustNone))
	defer server.Close()
	defer server.CloseClientConnections()

	next, stop := watch(t, server.URL+"/v1/events/stream")
	if e := next("state"); !strings.Contains(e.data, fmt.Sprintf(`"index":%d`, x.voter.State().Index())) {
		t.Errorf("first the index: %+v", e)
	}
	last := x.voter.State().LastEvent()
	want(t, 200, root, "POST", "/v1/services/web/scale", `{"desiredCount": 7}`)
	e := next("event")
	if e.id != fmt.Sprint(last+1) || !strings.Contains(e.data, "desired 6 -\\u003e 7") {
		t.Errorf("got %+v", e)
	}
	stop()

	want(t, 200, root, "POST", "/v1/services/web/scale", `{"desiredCount": 8}`)
	want(t, 200, root, "POST", "/v1/services/web/scale", `{"desiredCount": 9}`)
	next, _ = watch(t, server.URL+"/v1/events/stream", "Last-Event-ID", e.id)
	for i := range 2 {
		if got := next("event"); got.id != fmt.Sprint(last+2+uint64(i)) {
			t.Errorf("resumed with %+v", got)
		}
	}
	next, _ = watch(t, server.URL+"/v1/events/stream?after=0")
	if got := next("event"); got.id != "1" {
		t.Errorf("from the oldest: %+v", got)
	}
	want(t, 400, x.Handler(TrustNone), "GET", "/v1/events/stream?after=x", "")
}

func TestAWatcherThatMissedTooMuchIsToldWhat(t *testing.T) {
	x := newTestAPI(t, func(c *Config) { c.Now = time.Now })
	webFleet(t, x)
	for i := range fleet.MaxEvents + 10 {
		x.voter.must(t, fleet.ScaleService{Name: "web", Desired: 10 + i%2})
	}
	server := httptest.NewServer(x.Handler(TrustNone))
	defer server.Close()
	defer server.CloseClientConnections()
	next, _ := watch(t, server.URL+"/v1/events/stream?after=3")
	if e := next("gap"); !strings.HasPrefix(e.data, `{"from":4,"to":`) {
		t.Errorf("got %+v", e)
	}
	next("event")
	got := want(t, 200, x.Handler(TrustNone), "GET", "/v1/events?after=3", "")
	if got["missed"] != true {
		t.Errorf("the list must say so too: %v", got["missed"])
	}
}

// sluggish takes its time for every write, and cannot be hurried.
type sluggish struct {
	mu     sync.Mutex
	header http.Header
	pause  time.Duration
	body   strings.Builder
}

func (s *sluggish) Header() http.Header { return s.header }
func (s *sluggish) WriteHeader(int)     {}
func (s *sluggish) Flush()              {}

func (s *sluggish) Write(b []byte) (int, error) {
	clocktest.Elapse(s.pause)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body.Write(b)
}

// shortly is a request that ends by itself within the hour of a bubble's time.
func shortly(t *testing.T, target string) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	t.Cleanup(cancel)
	r := httptest.NewRequestWithContext(ctx, "GET", target, nil)
	r.Host = "localhost"
	return r
}

func TestASlowWatcherIsCutWithTheNumberToResumeFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTestAPI(t, func(c *Config) { c.Now = time.Now })
		webFleet(t, x)
		for i := range 2 * eventBatch {
			x.voter.must(t, fleet.ScaleService{Name: "web", Desired: 10 + i%2})
		}
		w := &sluggish{header: http.Header{}, pause: 20 * time.Millisecond}
		r := shortly(t, "/v1/events/stream?after=0")
		begin := time.Now()
		x.Handler(TrustNone).ServeHTTP(w, r) // ends by itself
		text := w.body.String()
		if !strings.Contains(text, fmt.Sprintf("event: resume\nid: %d\ndata: {\"resumeFrom\":%d}", eventBatch, eventBatch)) {
			t.Errorf("ends with %q", text[max(0, len(text)-200):])
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("held for %v", took)
		}
		if n := len(x.voter.watchers); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
	})
}

func TestAStreamEndsWhenItsHostIsNoVoterAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x *testAPI
		var worker atomic.Bool
		x = newTestAPI(t, func(c *Config) {
			c.Now = time.Now
			c.Voter = func() Voter {
				if worker.Load() {
					return nil
				}
				return x.voter
			}
		})
		fleetOf(t, x.voter, 1)
		go func() {
			time.Sleep(time.Minute)
			worker.Store(true)
		}()
		w := &sluggish{header: http.Header{}}
		r := shortly(t, "/v1/events/stream")
		begin := time.Now()
		x.Handler(TrustNone).ServeHTTP(w, r)
		if took := time.Since(begin); took < time.Minute || took > time.Minute+2*heartbeatEvery {
			t.Errorf("ended after %v", took)
		}
		if !strings.Contains(w.body.String(), ": still here") {
			t.Error("no heartbeat")
		}
	})
}

func TestAWorkerPassesAVotersStreamOn(t *testing.T) {
	voter := newTestAPI(t, func(c *Config) { c.Now = time.Now })
	root := webFleet(t, voter)
	forward := &forwardTo{handler: voter.Handler(TrustToken)}
	worker := newTestAPI(t, func(c *Config) { c.Now, c.Voter, c.Forward = time.Now, nil, forward })
	server := httptest.NewServer(worker.Handler(TrustNone))
	defer server.Close()
	defer server.CloseClientConnections()
	next, stop := watch(t, server.URL+"/v1/events/stream")
	next("state")
	want(t, 200, root, "POST", "/v1/services/web/scale", `{"desiredCount": 7}`)
	if e := next("event"); !strings.Contains(e.data, "service-scaled") {
		t.Errorf("got %+v", e)
	}
	stop()
	forward.mu.Lock()
	forward.err = errors.New("no route to host")
	forward.mu.Unlock()
	next, _ = watch(t, server.URL+"/v1/events/stream")
	next("cut-off")
}
