package ingress_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// traffic asks without a pause until it is stopped, and says what failed.
type traffic struct {
	stop   context.CancelFunc
	done   sync.WaitGroup
	sent   atomic.Int64
	failed chan string
	by     sync.Map // how many answers each backend gave
}

func (r *rig) traffic(port, clients int) *traffic {
	ctx, cancel := context.WithCancel(context.Background())
	f := &traffic{stop: cancel, failed: make(chan string, 1000)}
	for i := range clients {
		f.done.Go(func() {
			transport := &http.Transport{DisableKeepAlives: i%4 == 3}
			defer transport.CloseIdleConnections()
			for n := 0; ctx.Err() == nil; n++ {
				f.ask(transport, "http://"+r.address(port)+"/", n)
			}
		})
	}
	return f
}

func (f *traffic) ask(transport *http.Transport, url string, n int) {
	method, body := http.MethodGet, ""
	if n%3 == 2 {
		method, body = http.MethodPost, strings.Repeat("b", n%5_000)
	}
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	request.GetBody = nil // nothing is sent twice by the client: what is lost is seen
	f.sent.Add(1)
	response, err := transport.RoundTrip(request)
	if err != nil {
		f.fail(err.Error())
		return
	}
	got, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK || string(got) != body {
		f.fail(fmt.Sprintf("%s: status %d, %d bytes of %d, %v", method, response.StatusCode, len(got), len(body), err))
		return
	}
	count, _ := f.by.LoadOrStore(response.Header.Get("Backend"), &atomic.Int64{})
	count.(*atomic.Int64).Add(1)
}

func (f *traffic) fail(why string) {
	select {
	case f.failed <- why:
	default:
	}
}

func (f *traffic) end(t *testing.T) {
	t.Helper()
	f.stop()
	f.done.Wait()
	if n := len(f.failed); n > 0 {
		t.Errorf("%d of %d requests were lost, the first: %s", n, f.sent.Load(), <-f.failed)
	}
	t.Logf("%d requests", f.sent.Load())
}

func TestNoRequestIsLostWhileWeightsChangeAndTargetsAreReplaced(t *testing.T) {
	r := newRig(t, ingress.Config{})
	forward := to(fleet.GroupWeight{Group: "blue", Weight: 10_000}, fleet.GroupWeight{Group: "green"})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, forward)
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1})
	r.group(fleet.TargetGroup{Name: "green", Protocol: fleet.GroupHTTP1})
	servers := map[fleet.TaskID]*httptest.Server{}
	started := 0
	start := func(group int) {
		started++
		name := fleet.TaskID(fmt.Sprintf("%s-%d", r.routes.Groups[group].TargetGroup.Name, started))
		servers[name] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Backend", string(name))
			echo(w, r)
		}))
		r.routes.Groups[group].Targets = append(r.routes.Groups[group].Targets, fleet.Target{
			Task: name, Addr: netip.MustParseAddrPort(servers[name].Listener.Addr().String()), Zone: "a",
			State: fleet.TargetHealthy, Revision: fleet.RevisionID(r.routes.Groups[group].TargetGroup.Name),
		})
	}
	defer func() {
		for _, s := range servers {
			s.Close()
		}
	}()
	for range 3 {
		start(0)
		start(1)
	}
	r.apply()
	load := r.traffic(80, 8)
	for step := range 40 {
		weight := []int{0, 1000, 5000, 10_000, 2500}[step%5]
		r.routes.Rules[0].Action = to(fleet.GroupWeight{Group: "blue", Weight: 10_000 - weight},
			fleet.GroupWeight{Group: "green", Weight: weight})
		r.apply()
		// One task of each group is replaced: the new one comes first, the old one drains, and
		// is ended only when nothing of it is open.
		group := step % 2
		start(group)
		r.apply()
		leaves := &r.routes.Groups[group].Targets[0]
		leaves.State = fleet.TargetDraining
		task := leaves.Task
		r.apply()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := r.engine.AwaitDrained(ctx, task); err != nil {
			t.Fatalf("%s is not drained: %v", task, err)
		}
		cancel()
		servers[task].CloseClientConnections()
		servers[task].Close()
		delete(servers, task)
		r.routes.Groups[group].Targets = append([]fleet.Target(nil), r.routes.Groups[group].Targets[1:]...)
		r.apply()
	}
	load.end(t)
}

func TestATargetThatDiesLosesOnlyWhatItHad(t *testing.T) {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("blue"))
	dies := httptest.NewServer(http.HandlerFunc(echo))
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}, backend(t, "a", echo), backend(t, "b", echo),
		dies.Listener.Addr().String())
	r.apply()
	c := r.dial(80)
	ask := func(method string) int {
		c.send(method + " / HTTP/1.1\nHost: x\n\n")
		response := c.receive(method)
		_ = read(t, response)
		return response.StatusCode
	}
	for range 20 {
		ask("GET")
	}
	dies.CloseClientConnections()
	dies.Close()
	for i := range 60 {
		if got := ask([]string{"GET", "POST"}[i%2]); got != 200 {
			t.Fatalf("request %d: status %d", i, got)
		}
	}
	until(t, "the dead target is ejected", func() bool { return !r.engine.Status().Groups[0].Targets[2].Ejected.IsZero() })
	for _, s := range r.engine.Status().Series {
		if s.Revision != "" && (s.Ejections != 1 || s.Codes[2] != 80 || s.Requests != 80) {
			t.Errorf("counted %+v", s.Totals)
		}
	}
}

func TestWhatIsNotSafeIsSentOnce(t *testing.T) {
	var asked atomic.Int64
	hangUp := func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	r := simple(t, backend(t, "a", hangUp), backend(t, "b", hangUp))
	for method, want := range map[string]int64{"POST": 1, "PATCH": 1, "GET": 2, "PUT": 2} {
		asked.Store(0)
		c := r.dial(80)
		c.send(method + " / HTTP/1.1\nHost: x\nContent-Length: 0\n\n")
		if response := c.receive(method); response.StatusCode < 502 || response.StatusCode > 503 {
			t.Errorf("%s: status %d", method, response.StatusCode)
		}
		if got := asked.Load(); got != want {
			t.Errorf("%s was sent %d times, want %d", method, got, want)
		}
	}
}

func TestATargetThatIsSilentIsGivenUpInTime(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("blue"))
	r.routes.Rules[0].TimeoutS = 1
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1},
		backend(t, "a", func(http.ResponseWriter, *http.Request) { <-release }))
	r.apply()
	c := r.dial(80)
	c.send("GET / HTTP/1.1\nHost: x\n\n")
	if response := c.receive("GET"); response.StatusCode != 504 {
		t.Errorf("status %d", response.StatusCode)
	}
	close(release)
}

func TestAPortThatIsInUseIsNamedAndTriedAgainWhileOthersServe(t *testing.T) {
	var mu sync.Mutex
	taken := true
	r := &rig{}
	r = newRig(t, ingress.Config{Listen: func(address string) (net.Listener, error) {
		mu.Lock()
		defer mu.Unlock()
		if address == ":81" && taken {
			return nil, errors.New("address already in use")
		}
		return r.listen(address)
	}})
	fixed := fleet.Action{Fixed: &fleet.FixedResponse{Status: 200}}
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, fixed)
	r.listener(fleet.Listener{Name: "other", Port: 81, Protocol: fleet.ListenHTTP}, fixed)
	err := r.engine.Apply(r.routes, 1)
	if err == nil || !strings.Contains(err.Error(), "other") || !strings.Contains(err.Error(), "81") {
		t.Errorf("error %v does not name the listener", err)
	}
	ask := func(port int) {
		c := r.dial(port)
		c.send("GET / HTTP/1.1\nHost: x\n\n")
		if response := c.receive("GET"); response.StatusCode != 200 {
			t.Errorf("status %d", response.StatusCode)
		}
	}
	ask(80)
	if s := r.engine.Status().Listeners[0]; s.Name != "other" || s.Bound || s.Failed == "" {
		t.Errorf("status %+v", s)
	}
	mu.Lock()
	taken = false
	mu.Unlock()
	until(t, "the port is open", func() bool { return r.engine.Status().Listeners[0].Bound })
	ask(81)
}

func TestAListenerThatEndsLetsRequestsEnd(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	r := simple(t, backend(t, "a", func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-release
		}
	}))
	idle, busy := r.dial(80), r.dial(80)
	idle.send("GET / HTTP/1.1\nHost: x\n\n")
	_ = read(t, idle.receive("GET"))
	busy.send("GET /slow HTTP/1.1\nHost: x\n\n")
	<-entered
	r.routes.Listeners, r.routes.Rules = nil, nil
	r.apply()
	if conn, err := net.Dial("tcp", r.address(80)); err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
	}
	close(release)
	if response := busy.receive("GET"); response.StatusCode != 200 || !response.Close {
		t.Errorf("status %d, closes %t", response.StatusCode, response.Close)
	}
	if _, err := idle.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("an idle connection ends with %v", err)
	}
}

func TestWhatDoesNotEndIsCutOffWhenCloseMayWaitNoLonger(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	entered := make(chan struct{})
	r := simple(t, backend(t, "a", func(http.ResponseWriter, *http.Request) { close(entered); <-release }))
	c := r.dial(80)
	c.send("GET / HTTP/1.1\nHost: x\n\n")
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	closed := make(chan error, 1)
	go func() { closed <- r.engine.Close(ctx) }()
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("an answer")
	}
	release <- struct{}{}
	if err := <-closed; !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
}

func TestAHeadThatComesTooSlowlyIsRefused(t *testing.T) {
	r := newRig(t, ingress.Config{Limits: ingress.Limits{Head: 300 * time.Millisecond}})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("none"))
	r.apply()
	c := r.dial(80)
	c.send("GET / HTTP/1.1\n")
	done := make(chan struct{})
	defer close(done)
	go func() { // a byte now and then moves no deadline
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				_, _ = c.Write([]byte("A"))
			}
		}
	}()
	if response := c.receive("GET"); response.StatusCode != 408 {
		t.Errorf("status %d", response.StatusCode)
	}
	if _, err := r.dial(80).r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("a connection on which nothing is said ends with %v", err)
	}
}

func TestTheAccessLogHasFailuresAndASampleAndIsBounded(t *testing.T) {
	log := ingress.NewAccessWriter(10)
	r := newRig(t, ingress.Config{Access: log})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("blue"))
	r.rule("web", 1, all("none"), fleet.RuleCondition{Field: fleet.FieldPath, Values: []string{"/none"}})
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}, backend(t, "a", echo))
	r.group(fleet.TargetGroup{Name: "none", Protocol: fleet.GroupHTTP1})
	r.apply()
	c := r.dial(80)
	for range 100 {
		c.send("GET /some?secret=1 HTTP/1.1\nHost: x\n\n")
		_ = read(t, c.receive("GET"))
	}
	c.send("GET /none HTTP/1.1\nHost: x\n\n")
	_ = read(t, c.receive("GET"))
	for range 5000 {
		log.Write(ingress.Access{})
	}
	if log.Dropped() == 0 {
		t.Error("the queue has no end")
	}
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	log.Run(ctx, &out, slog.New(slog.DiscardHandler))
	ok, failed := 0, 0
	for decoder := json.NewDecoder(&out); ; {
		var a ingress.Access
		if err := decoder.Decode(&a); err != nil {
			break
		}
		switch {
		case a.Status == 200 && a.Task == "blue-0" && a.Path == "/some" && a.Rule == "web/0" && a.Client == "127.0.0.1":
			ok++
		case a.Status == 503 && a.Rule == "web/1":
			failed++
		}
	}
	if ok != 10 || failed != 1 {
		t.Errorf("%d of 100 requests and %d of 1 failure are written", ok, failed)
	}
}

func TestARequestThatIsNotSafeIsNotSentIntoAConnectionThatItsTargetHasClosed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(server.Close)
	r := simple(t, server.Listener.Addr().String())
	c := r.dial(80)
	for range 20 {
		c.send("GET / HTTP/1.1\nHost: x\n\n")
		_ = read(t, c.receive("GET"))
		server.CloseClientConnections()
		c.send("POST / HTTP/1.1\nHost: x\nContent-Length: 1\n\na")
		if response := c.receive("POST"); response.StatusCode != 200 {
			t.Fatalf("status %d", response.StatusCode)
		} else if got := read(t, response); got != "a" {
			t.Fatalf("%q came back", got)
		}
	}
}
