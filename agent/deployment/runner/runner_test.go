package runner

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"skein/agent/deployment"
	"skein/agent/effects"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

var now = time.Unix(1_800_000_000, 0)

// rig is the runners of a host whose fleet allows all but what refuse names.
type rig struct {
	t      *testing.T
	config Config
	refuse error
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t}
	r.config = Config{
		Allowed: func(string) error { return r.refuse },
		Now:     func() time.Time { return now },
		LogFile: func(task fleet.TaskID, container string) (string, error) {
			return "", fmt.Errorf("no log of %s %s: %w", task, container, os.ErrInvalid)
		},
		ReadFile: func(name string, most int64) ([]byte, error) {
			if name != "/secret" || most < 6 {
				return nil, os.ErrNotExist
			}
			return []byte(" secret\n"), nil
		},
	}
	return r
}

// run carries out one attempt with a deadline.
func (r *rig) run(kind string, input any, within time.Duration) effects.Answer {
	r.t.Helper()
	data, err := wire.Marshal(input)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), within)
	defer stop()
	answer := r.config.ByKind()[kind](ctx, effects.Job{ID: "e1", Attempt: 1, Input: data, Token: "web.4-1"})
	if bounded := answer.Bounded(); bounded.Verdict != answer.Verdict {
		r.t.Fatalf("State does not take the answer: %s", bounded.Why)
	}
	return answer
}

const (
	enough = 10 * time.Second
	short  = 200 * time.Millisecond
)

// raw serves connections by hand, for what no sane server answers.
func raw(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					serve(conn)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// hang waits until the client has gone, which is seen once its body was read.
func hang(r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestAWebhookIsCalled(t *testing.T) {
	body := []byte(`{"executionId":"web.4-1"}`)
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		got, err := io.ReadAll(r.Body)
		if err != nil || string(got) != string(body) || r.Method != http.MethodPost || r.URL.RequestURI() != "/hook?a=1" ||
			r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Idempotency-Key") != "web.4-1" {
			t.Errorf("%s %s with %v and %q: %v", r.Method, r.URL, r.Header, got, err)
		}
		err = deployment.Verify([]byte("secret"), r.Header.Get(deployment.HeaderTimestamp),
			r.Header.Get(deployment.HeaderSignature), got, now, time.Second)
		if err != nil {
			t.Error(err)
		}
		io.WriteString(w, `{"hookStatus":"SUCCEEDED","hookDetails":{"run":7}}`)
	}))
	defer server.Close()
	answer := newRig(t).run(deployment.KindWebhook,
		deployment.Webhook{URL: server.URL + "/hook?a=1", SecretFile: "/secret", Body: body}, enough)
	v := deployment.ReadVerdict(answer.Outcome)
	if answer.Verdict != fleet.VerdictDone || v.Status != fleet.HookSucceeded || string(v.Details) != `{"run":7}` {
		t.Errorf("%s %s: %+v", answer.Verdict, answer.Why, v)
	}
	if calls.Load() != 1 {
		t.Errorf("it was called %d times", calls.Load())
	}
}

func TestHostileWebhooks(t *testing.T) {
	answers := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	defer elsewhere.Close()
	const ok = `{"hookStatus":"SUCCEEDED"}`
	for _, c := range []struct {
		name    string
		serve   http.HandlerFunc
		raw     func(net.Conn)
		verdict fleet.EffectVerdict
		status  fleet.HookStatus
		why     string
	}{
		{name: "it goes on for ever", serve: answers(200, `{"hookStatus":"IN_PROGRESS","callBackDelay":1}`),
			verdict: fleet.VerdictDone, status: fleet.HookInProgress},
		{name: "no JSON", serve: answers(200, "ok"), verdict: fleet.VerdictDone, status: fleet.HookFailed,
			why: "no JSON object"},
		{name: "nothing", serve: answers(204, ""), verdict: fleet.VerdictDone, status: fleet.HookFailed, why: "status 204"},
		{name: "an error", serve: answers(500, ok), verdict: fleet.VerdictDone, status: fleet.HookFailed, why: "status 500"},
		{name: "it is not there", serve: answers(404, ok), verdict: fleet.VerdictDone, status: fleet.HookFailed,
			why: "status 404"},
		{name: "too many calls", serve: answers(429, ok), verdict: fleet.VerdictRetry, why: "Too Many"},
		{name: "not now", serve: answers(503, ok), verdict: fleet.VerdictRetry, why: "Unavailable"},
		{name: "two documents", serve: answers(200, ok+ok), verdict: fleet.VerdictDone, status: fleet.HookFailed,
			why: "no JSON object"},
		{name: "a body without end", serve: func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
					return
				}
			}
		}, verdict: fleet.VerdictDone, status: fleet.HookFailed, why: "more than"},
		{name: "packed answers are not unpacked", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00"))
		}, verdict: fleet.VerdictDone, status: fleet.HookFailed, why: "no JSON object"},
		{name: "it redirects", serve: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/x", http.StatusTemporaryRedirect)
		}, verdict: fleet.VerdictDone, status: fleet.HookFailed, why: "which is not followed"},
		{name: "it does not answer", serve: func(_ http.ResponseWriter, r *http.Request) { hang(r) },
			verdict: fleet.VerdictRetry, why: "no answer within the time"},
		{name: "it begins to answer and stops", serve: func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"hookStatus":`)
			w.(http.Flusher).Flush()
			hang(r)
		}, verdict: fleet.VerdictRetry, why: "no answer within the time"},
		{name: "it breaks off", raw: func(conn net.Conn) {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n%s", ok)
		}, verdict: fleet.VerdictRetry, why: "unexpected EOF"},
		{name: "it answers twice", raw: func(conn net.Conn) {
			one := "HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n" + `{"hookStatus":"FAILED"}`
			fmt.Fprint(conn, one+strings.Replace(one, `{"hookStatus":"FAILED"}`, `{"hookStatus":"SUCCEEDED"}`, 1))
		}, verdict: fleet.VerdictDone, status: fleet.HookFailed, why: "FAILED"},
		{name: "headers without end", raw: func(conn net.Conn) {
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n")
			for range 1 << 12 {
				if _, err := fmt.Fprintf(conn, "X: %s\r\n", strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		}, verdict: fleet.VerdictRetry, why: "header"},
		{name: "no HTTP", raw: func(conn net.Conn) { fmt.Fprint(conn, "SSH-2.0-x\r\n\r\n") },
			verdict: fleet.VerdictRetry, why: "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, within := "", enough
			if c.verdict == fleet.VerdictRetry && strings.Contains(c.why, "within the time") {
				within = short
			}
			if c.raw != nil {
				url = raw(t, c.raw)
			} else {
				server := httptest.NewServer(c.serve)
				defer server.Close()
				url = server.URL
			}
			answer := newRig(t).run(deployment.KindWebhook, deployment.Webhook{URL: url + "/?token=hidden", Body: []byte("{}")},
				within)
			why := answer.Why
			if answer.Verdict == fleet.VerdictDone {
				v := deployment.ReadVerdict(answer.Outcome)
				if why = v.Answer; v.Status != c.status {
					t.Errorf("status %s: %s", v.Status, v.Answer)
				}
			}
			if answer.Verdict != c.verdict || !strings.Contains(why, c.why) {
				t.Errorf("%s: %s", answer.Verdict, why)
			}
			if strings.Contains(why, "hidden") {
				t.Errorf("the address is told: %s", why)
			}
		})
	}
}

func TestWhatAHostCannotCallAnotherMay(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	closed.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"hookStatus":"SUCCEEDED"}`)
	}))
	defer secure.Close()
	for _, c := range []struct {
		name    string
		in      deployment.Webhook
		refuse  error
		verdict fleet.EffectVerdict
		why     string
	}{
		{"nobody listens", deployment.Webhook{URL: nobody}, nil, fleet.VerdictRetry, "refused"},
		{"a certificate of nobody", deployment.Webhook{URL: secure.URL}, nil, fleet.VerdictRetry, "certificate"},
		{"no secret", deployment.Webhook{URL: nobody, SecretFile: "/none"}, nil, fleet.VerdictRetry, "its secret"},
		{"it does not know what is allowed", deployment.Webhook{URL: nobody}, ErrUnknown, fleet.VerdictRetry, "no log"},
		{"it is not allowed any more", deployment.Webhook{URL: nobody}, errors.New("not allowed"), fleet.VerdictDone,
			"not allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.refuse = c.refuse
			answer := r.run(deployment.KindWebhook, c.in, enough)
			why := answer.Why
			if answer.Verdict == fleet.VerdictDone {
				why = deployment.ReadVerdict(answer.Outcome).Answer
			}
			if answer.Verdict != c.verdict || !strings.Contains(why, c.why) {
				t.Errorf("%s: %s", answer.Verdict, why)
			}
		})
	}
	t.Run("a certificate that is known", func(t *testing.T) {
		r := newRig(t)
		known := x509.NewCertPool()
		known.AddCert(secure.Certificate())
		r.config.TLS = &tls.Config{RootCAs: known}
		answer := r.run(deployment.KindWebhook, deployment.Webhook{URL: secure.URL}, enough)
		if v := deployment.ReadVerdict(answer.Outcome); v.Status != fleet.HookSucceeded {
			t.Errorf("%s: %+v", answer.Why, v)
		}
	})
}

func TestQueries(t *testing.T) {
	for _, c := range []struct {
		name    string
		status  int
		body    string
		verdict fleet.EffectVerdict
		count   int
		why     string
	}{
		{"a number", 200, `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"0.5"]}]}}`,
			fleet.VerdictDone, 1, ""},
		{"an expression that is none", 400, `{"status":"error","error":"parse error at char 3"}`, fleet.VerdictDone, 0,
			"parse error"},
		{"another server", 200, `<html>`, fleet.VerdictDone, 0, "cannot be read"},
		{"it asks for a password", 401, ``, fleet.VerdictDone, 0, "status 401"},
		{"it is elsewhere", 302, ``, fleet.VerdictDone, 0, "not followed"},
		{"not now", 503, ``, fleet.VerdictRetry, 0, "Unavailable"},
		{"too much", 200, strings.Repeat(" ", deployment.MaxAnswer+1), fleet.VerdictDone, 0, "too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/prometheus/api/v1/query" || r.URL.Query().Get("query") != `sum(rate(x{a="b"}[1m])) > 0` {
					t.Errorf("asked %s", r.URL)
				}
				w.Header().Set("Location", "/login")
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}))
			defer server.Close()
			answer := newRig(t).run(deployment.KindQuery,
				deployment.Query{URL: server.URL + "/prometheus", Query: `sum(rate(x{a="b"}[1m])) > 0`}, enough)
			why, count := answer.Why, 0
			if answer.Verdict == fleet.VerdictDone {
				n := deployment.ReadNumbers(answer.Outcome)
				why, count = n.Why, n.Count
			}
			if answer.Verdict != c.verdict || count != c.count || !strings.Contains(why, c.why) {
				t.Errorf("%s, %d numbers: %s", answer.Verdict, count, why)
			}
		})
	}
	r := newRig(t)
	r.refuse = errors.New("not allowed")
	answer := r.run(deployment.KindQuery, deployment.Query{URL: "http://127.0.0.1:1"}, enough)
	if n := deployment.ReadNumbers(answer.Outcome); n.Count != 0 || n.Why != "not allowed" {
		t.Errorf("%+v", n)
	}
}

func TestProbes(t *testing.T) {
	for _, c := range []struct {
		name    string
		serve   func(n int32, w http.ResponseWriter, r *http.Request)
		verdict fleet.EffectVerdict
		status  fleet.HookStatus
		sent    int32
		why     string
	}{
		{"all are well", func(_ int32, w http.ResponseWriter, r *http.Request) {
			if r.Host != "shop.example" || r.Header.Get("X-Test") != "1" || r.URL.RequestURI() != "/health?a=1" {
				w.WriteHeader(http.StatusNotFound)
			}
			io.WriteString(w, "is ok")
		}, fleet.VerdictDone, fleet.HookSucceeded, 5, "5 requests were well"},
		{"the third is not", func(n int32, w http.ResponseWriter, _ *http.Request) {
			if n == 3 {
				w.WriteHeader(http.StatusInternalServerError)
			}
			io.WriteString(w, "is ok")
		}, fleet.VerdictDone, fleet.HookFailed, 3, "status 500"},
		{"another answer", func(_ int32, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") },
			fleet.VerdictDone, fleet.HookFailed, 1, `does not contain "ok"`},
		{"one is cut off", func(int32, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			fleet.VerdictDone, fleet.HookFailed, 1, "EOF"},
		{"an answer without end", func(_ int32, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("ok", 1<<14)); err != nil {
					return
				}
			}
		}, fleet.VerdictDone, fleet.HookSucceeded, 5, "well"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sent atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.serve(sent.Add(1), w, r)
			}))
			defer server.Close()
			answer := newRig(t).run(deployment.KindProbe, probeOf(t, server), enough)
			v := deployment.ReadProbed(answer.Outcome)
			if answer.Verdict != c.verdict || v.Status != c.status || !strings.Contains(v.Answer, c.why) {
				t.Errorf("%s %s: %s", answer.Verdict, v.Status, v.Answer)
			}
			if sent.Load() != c.sent {
				t.Errorf("%d requests", sent.Load())
			}
		})
	}
	t.Run("over TLS with the host's own certificate", func(t *testing.T) {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.TLS.ServerName != "shop.example" {
				t.Errorf("asked for %q", r.TLS.ServerName)
			}
			io.WriteString(w, "ok")
		}))
		defer server.Close()
		in := probeOf(t, server)
		in.TLS = true
		answer := newRig(t).run(deployment.KindProbe, in, enough)
		if v := deployment.ReadProbed(answer.Outcome); v.Status != fleet.HookSucceeded {
			t.Error(v.Answer)
		}
	})
	t.Run("its time ends", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		defer server.Close()
		if answer := newRig(t).run(deployment.KindProbe, probeOf(t, server), short); answer.Verdict != fleet.VerdictRetry {
			t.Errorf("%s: %s", answer.Verdict, answer.Why)
		}
	})
	t.Run("nobody listens here", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		in := probeOf(t, server)
		server.Close()
		if answer := newRig(t).run(deployment.KindProbe, in, enough); answer.Verdict != fleet.VerdictRetry {
			t.Errorf("%s: %s", answer.Verdict, deployment.ReadProbed(answer.Outcome).Answer)
		}
	})
}

// A listener of an alias is at an address of its own, and a stranger may be at the same port of
// the host's.
func TestAProbeAsksTheListenerThatItIsToAsk(t *testing.T) {
	var asked []string
	r := newRig(t)
	r.config.AliasAddr = func(number int) netip.Addr { return netip.AddrFrom4([4]byte{198, 19, 0, byte(number + 1)}) }
	r.config.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
		asked = append(asked, address)
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			in := bufio.NewReader(theirs)
			if first, _ := in.Peek(len(proxyHeader)); string(first) == proxyHeader {
				asked = append(asked, "introduced")
				_, _ = in.Discard(len(proxyHeader))
			}
			if request, err := http.ReadRequest(in); err == nil {
				_ = request.Body.Close()
				_, _ = io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}()
		return ours, nil
	}
	for name, tt := range map[string]struct {
		in   deployment.Probe
		want string
	}{
		"a port of the host":           {deployment.Probe{Port: 80}, "127.0.0.1:80"},
		"an alias":                     {deployment.Probe{Port: 80, Alias: 3}, "198.19.0.4:80"},
		"a listener for PROXY headers": {deployment.Probe{Port: 81, Proxy: true}, "127.0.0.1:81 introduced"},
	} {
		t.Run(name, func(t *testing.T) {
			asked = nil
			tt.in.Count, tt.in.Target, tt.in.LatencyMs, tt.in.Host = 1, "/", 5_000, "shop.example"
			answer := r.run(deployment.KindProbe, tt.in, enough)
			v, got := deployment.ReadProbed(answer.Outcome), strings.Join(asked, " ")
			if v.Status != fleet.HookSucceeded || got != tt.want {
				t.Errorf("it asked %q, want %q: %s", got, tt.want, v.Answer)
			}
		})
	}
}

func probeOf(t *testing.T, server *httptest.Server) deployment.Probe {
	t.Helper()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return deployment.Probe{Port: n, Host: "shop.example", Target: "/health?a=1", Count: 5, Contains: "ok",
		LatencyMs: 5_000, Headers: []deployment.Header{{Name: "X-Test", Value: "1"}}}
}

func TestTheLastLinesOfALogAreRead(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t)
	r.config.LogFile = func(task fleet.TaskID, container string) (string, error) {
		if task != "t1" {
			return "", os.ErrInvalid
		}
		return filepath.Join(dir, container+".log"), nil
	}
	write := func(name, text string, age time.Duration) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	tail := func(task fleet.TaskID, container string) (string, effects.Answer) {
		answer := r.run(deployment.KindLogTail, deployment.LogTail{Task: task, Container: container}, enough)
		return deployment.ReadTail(answer.Outcome), answer
	}
	_, answer := tail("t1", "")
	if answer.Verdict != fleet.VerdictFailed || !strings.Contains(answer.Why, "wrote nothing") {
		t.Errorf("a task without a log: %s %s", answer.Verdict, answer.Why)
	}
	write("app.log", "first\r\n\nsecond\x1b[31m\nlast", time.Minute)
	write("side.log", strings.Repeat("a line of many\n", 10_000)+"the end\n", time.Hour)
	write("side.log.1", "older", 0)
	write("quiet.log", "", 0)
	if got, again := tail("t1", ""); got != "first | second [31m | last" {
		t.Errorf("of the last writer: %q, %s", got, again.Why)
	}
	if got, _ := tail("t1", "side"); !strings.HasSuffix(got, "a line of many | the end") ||
		strings.Count(got, "|") != deployment.MaxTailLines-1 {
		t.Errorf("of a long log: %q", got)
	}
	if _, answer = tail("t1", "none"); answer.Verdict != fleet.VerdictFailed {
		t.Errorf("of a container that there is not: %s", answer.Verdict)
	}
	if _, answer = tail("../t1", "app"); answer.Verdict != fleet.VerdictFailed {
		t.Errorf("of a task whose name is none: %s", answer.Verdict)
	}
}

func TestInputsOfAnotherBuildAreAnswered(t *testing.T) {
	garbage := json.RawMessage(`{"a":1}`)
	for kind, run := range newRig(t).config.ByKind() {
		answer := run(context.Background(), effects.Job{ID: "e1", Attempt: 1, Input: garbage})
		if v := deployment.ReadVerdict(answer.Outcome); kind == deployment.KindWebhook && v.Status != fleet.HookFailed {
			t.Errorf("%s: %+v", kind, v)
		}
		if answer.Verdict != fleet.VerdictDone && answer.Verdict != fleet.VerdictFailed {
			t.Errorf("%s: %s", kind, answer.Verdict)
		}
	}
}

func TestANameDoesNotLeadToTheAddressesOfAHostsCredentials(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no connection is made
	for address, refused := range map[string]bool{
		"localhost:1":       false,
		"169.254.169.254:1": false, // it is meant
	} {
		if _, err := dial(ctx, "tcp", address); err == nil || strings.Contains(err.Error(), "link-local") != refused {
			t.Errorf("%s: %v", address, err)
		}
	}
	for resolved, refused := range map[string]bool{
		"169.254.169.254:80": true, "[fe80::1]:80": true, "[::ffff:169.254.1.1]:80": true,
		"127.0.0.1:80": false, "192.0.2.1:80": false,
	} {
		if err := checkResolved("metadata.example", resolved); (err != nil) != refused {
			t.Errorf("metadata.example at %s: %v", resolved, err)
		}
	}
}
