package ingress_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

func echo(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex() // answers while the request still comes
	_, _ = io.Copy(w, r.Body)
}

func read(t testing.TB, response *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("the body is cut off: %v", err)
	}
	_ = response.Body.Close()
	return string(body)
}

func TestRequestsFollowOneAnotherOnAConnection(t *testing.T) {
	r := simple(t, backend(t, "a", echo))
	c := r.dial(80)
	big := strings.Repeat("0123456789abcdef", 40_000)
	bodies := map[string]string{
		"none": "", "small": "hello", "larger than a buffer": big[:20_000], "larger than a pipe": big,
	}
	for range 3 {
		for name, body := range bodies {
			c.send(fmt.Sprintf("POST / HTTP/1.1\nHost: x\nContent-Length: %d\n\n%s", len(body), body))
			if got := read(t, c.receive("POST")); got != body {
				t.Fatalf("a body that is %s came back as %d bytes of %d", name, len(got), len(body))
			}
			c.send(fmt.Sprintf("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n%x\n%s\n0\n\n", len(body)+1, body+"x"))
			if got := read(t, c.receive("POST")); got != body+"x" {
				t.Fatalf("a chunked body that is %s came back as %d bytes of %d", name, len(got), len(body)+1)
			}
		}
	}
	if got := r.engine.Status().Listeners[0].Accepted; got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestRequestsThatWereSentAtOnceAreAnsweredInOrder(t *testing.T) {
	r := simple(t, backend(t, "a", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	c := r.dial(80)
	var sent strings.Builder
	for i := range 50 {
		fmt.Fprintf(&sent, "GET /%d HTTP/1.1\nHost: x\n\n", i)
	}
	c.send(sent.String())
	for i := range 50 {
		if got := read(t, c.receive("GET")); got != fmt.Sprintf("/%d", i) {
			t.Fatalf("answer %d is to %s", i, got)
		}
	}
}

func TestAnswersOfEveryFramingPass(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	const hint = "HTTP/1.1 103 Early Hints\nLink: x\n\n"
	tests := map[string]struct {
		answer string
		method string
		want   string
		closes bool
	}{
		"by length":           {"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "GET", "hello", false},
		"chunked":             {"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n", "GET", "hello", false},
		"until closed":        {"HTTP/1.1 200 OK\n\nhello", "GET", "hello", true},
		"to HEAD":             {"HTTP/1.1 200 OK\nContent-Length: 5\n\n", "HEAD", "", false},
		"no content":          {"HTTP/1.1 204 No Content\n\n", "GET", "", false},
		"after a hint":        {hint + "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "GET", "hello", false},
		"a large one":         {"HTTP/1.1 200 OK\nContent-Length: 1048576\n\n" + big, "GET", big, false},
		"a large one, by end": {"HTTP/1.1 200 OK\n\n" + big, "GET", big, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := simple(t, canned(t, tt.answer))
			c := r.dial(80)
			for i := range 2 {
				c.send(tt.method + " / HTTP/1.1\nHost: x\n\n")
				response := c.receive(tt.method)
				for response.StatusCode < 200 {
					response = c.receive(tt.method)
				}
				if got := read(t, response); got != tt.want || response.Close != tt.closes {
					t.Fatalf("answer %d: %d bytes, closes %t", i, len(got), response.Close)
				}
				if tt.closes {
					return
				}
			}
		})
	}
}

// canned answers every head that it reads with the same bytes; what ends by its end closes.
func canned(t testing.TB, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	text := []byte(strings.ReplaceAll(answer, "\n", "\r\n"))
	frames := func(word string) bool { return strings.Contains(answer, word) }
	once := !frames("Length") && !frames("chunked") && !frames("204")
	go func() {
		for {
			conn, acceptErr := l.Accept()
			if acceptErr != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				var got []byte
				buf := make([]byte, 4096)
				for {
					n, readErr := conn.Read(buf)
					if readErr != nil {
						return
					}
					got = append(got, buf[:n]...)
					if !bytes.HasSuffix(got, []byte("\r\n\r\n")) {
						continue
					}
					got = got[:0]
					if _, writeErr := conn.Write(text); writeErr != nil || once {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestRequestsThatCanBeReadInTwoWaysAreRefusedAndTheConnectionEnds(t *testing.T) {
	reached := make(chan string, 100)
	r := simple(t, backend(t, "a", func(_ http.ResponseWriter, r *http.Request) { reached <- r.URL.Path }))
	const chunked = "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n"
	const evil = "GET /evil HTTP/1.1\nHost: x\n\n"
	tests := map[string]struct {
		text   string
		status int
	}{
		"both length headers": {chunked + "Content-Length: 5\n\n0\n\n" + evil, 400},
		"a folded line":       {"GET / HTTP/1.1\nHost: x\nA: b\n c\n\n", 400},
		"two hosts":           {"GET / HTTP/1.1\nHost: x\nHost: y\n\n", 400},
		"a chunk that lies":   {chunked + "\n2\nabc\n0\n\n" + evil, 400},
		"another coding":      {"POST / HTTP/1.1\nHost: x\nTransfer-Encoding: gzip\n\n", 501},
		"a large head":        {"GET / HTTP/1.1\nHost: x\nA: " + strings.Repeat("a", 40_000) + "\n\n", 431},
		"a later version":     {"GET / HTTP/1.9\nHost: x\n\n", 505},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := r.dial(80)
			c.send(tt.text)
			response := c.receive("GET")
			_ = read(t, response)
			if response.StatusCode != tt.status || !response.Close {
				t.Errorf("status %d, closes %t", response.StatusCode, response.Close)
			}
			if rest, _ := io.ReadAll(c.r); len(rest) > 0 {
				t.Errorf("a second answer: %q", rest)
			}
		})
	}
	select {
	case path := <-reached:
		t.Errorf("the target was asked for %s", path)
	default:
	}
}

func TestAChunkThatLiesLateEndsTheRequest(t *testing.T) {
	failed := make(chan error, 1)
	r := simple(t, backend(t, "a", func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		failed <- err
	}))
	c := r.dial(80)
	c.send("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n5\nhello\n")
	until(t, "the target has the request", func() bool { return r.engine.Status().Groups[0].Targets[0].Open == 1 })
	c.send("5\nhello and more\n0\n\n")
	if response := c.receive("POST"); response.StatusCode != 400 {
		t.Errorf("status %d", response.StatusCode)
	}
	if err := <-failed; err == nil {
		t.Error("the target took the body for whole")
	}
}

func TestBodiesAreBounded(t *testing.T) {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP, BodyLimit: 10}, all("blue"))
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}, backend(t, "a", echo))
	r.apply()
	for name, tt := range map[string]struct {
		text   string
		status int
	}{
		"as much as may be":    {"POST / HTTP/1.1\nHost: x\nContent-Length: 10\n\n0123456789", 200},
		"a length too large":   {"POST / HTTP/1.1\nHost: x\nContent-Length: 11\n\n0123456789a", 413},
		"chunks too large":     {"POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\nb\n0123456789a\n0\n\n", 413},
		"chunks within bounds": {"POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\na\n0123456789\n0\n\n", 200},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial(80)
			c.send(tt.text)
			if response := c.receive("POST"); response.StatusCode != tt.status {
				t.Errorf("status %d", response.StatusCode)
			}
		})
	}
}

func TestTheIngressAnswersByItself(t *testing.T) {
	r := newRig(t, ingress.Config{})
	fixed := fleet.Action{Fixed: &fleet.FixedResponse{Status: 418, ContentType: "text/plain", Body: "short"}}
	r.listener(fleet.Listener{Name: "web", Port: 8080, Protocol: fleet.ListenHTTP}, fixed)
	r.rule("web", 1, fleet.Action{Redirect: &fleet.Redirect{Status: 301, Protocol: "HTTPS", Port: 443}},
		fleet.RuleCondition{Field: fleet.FieldPath, Values: []string{"/secure/*"}})
	r.rule("web", 2, all("none"), fleet.RuleCondition{Field: fleet.FieldPath, Values: []string{"/none"}})
	r.group(fleet.TargetGroup{Name: "none", Protocol: fleet.GroupHTTP1})
	r.apply()
	c := r.dial(8080)
	for range 2 {
		c.send("GET /x HTTP/1.1\nHost: shop:8080\n\n")
		if response := c.receive("GET"); response.StatusCode != 418 || read(t, response) != "short" {
			t.Errorf("status %d", response.StatusCode)
		}
		c.send("GET /secure/x?y=z HTTP/1.1\nHost: shop:8080\n\n")
		response := c.receive("GET")
		if got := response.Header.Get("Location"); response.StatusCode != 301 || got != "https://shop/secure/x?y=z" {
			t.Errorf("status %d to %s", response.StatusCode, got)
		}
		c.send("GET /none HTTP/1.1\nHost: shop:8080\n\n")
		if response = c.receive("GET"); response.StatusCode != 503 {
			t.Errorf("status %d without a target", response.StatusCode)
		}
		_ = read(t, response)
	}
}

func TestAWebSocketPassesBothWaysAndEnds(t *testing.T) {
	r := simple(t, backend(t, "a", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
			t.Errorf("the target was asked with %v", r.Header)
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.Copy(conn, rw)
	}))
	c := r.dial(80)
	c.send("GET /chat HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n\nearly")
	if response := c.receive("GET"); response.StatusCode != 101 || response.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("status %d, %v", response.StatusCode, response.Header)
	}
	buf := make([]byte, 5)
	for _, text := range []string{"early", "first", "again"} {
		if text != "early" {
			c.send(text)
		}
		if _, err := io.ReadFull(c.r, buf); err != nil || string(buf) != text {
			t.Fatalf("%q, %v", buf, err)
		}
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	until(t, "nothing is open", func() bool { return r.engine.Status().Groups[0].Targets[0].Open == 0 })
}

func TestEventsPassAsTheyCome(t *testing.T) {
	next := make(chan struct{})
	r := simple(t, backend(t, "a", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	}))
	c := r.dial(80)
	c.send("GET / HTTP/1.1\nHost: x\n\n")
	response := c.receive("GET")
	for i := range 3 {
		buf := make([]byte, len("data: 0\n\n"))
		if _, err := io.ReadFull(response.Body, buf); err != nil || string(buf) != fmt.Sprintf("data: %d\n\n", i) {
			t.Fatalf("%q, %v", buf, err)
		}
		next <- struct{}{}
	}
}

func TestAClientThatWaitsForLeaveToSendItsBodyGetsIt(t *testing.T) {
	r := simple(t, backend(t, "a", echo))
	c := r.dial(80)
	for range 2 {
		c.send("POST / HTTP/1.1\nHost: x\nContent-Length: 5\nExpect: 100-continue\n\n")
		if response := c.receive("POST"); response.StatusCode != 100 {
			t.Fatalf("status %d", response.StatusCode)
		}
		c.send("hello")
		if got := read(t, c.receive("POST")); got != "hello" {
			t.Errorf("%q came back", got)
		}
	}
}

func TestATargetThatRefusesABodyIsHeard(t *testing.T) {
	r := simple(t, backend(t, "a", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	c := r.dial(80)
	c.send("POST / HTTP/1.1\nHost: x\nContent-Length: 100000000\n\nsome")
	if response := c.receive("POST"); response.StatusCode != 403 {
		t.Errorf("status %d", response.StatusCode)
	}
}

func TestRequestsFollowAChunkedBodyThatCameLate(t *testing.T) {
	r := simple(t, backend(t, "a", echo))
	c := r.dial(80)
	for i := range 200 {
		// The head alone first, so that the body is pumped; then its rest with two more requests.
		c.send("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nExpect: 100-continue\n\n")
		if response := c.receive("POST"); response.StatusCode != 100 {
			t.Fatalf("status %d", response.StatusCode)
		}
		body := strings.Repeat("x", 1+i*97)
		c.send(fmt.Sprintf("%x\n%s\n0\n\n"+
			"GET /1 HTTP/1.1\nHost: x\n\nPOST /2 HTTP/1.1\nHost: x\nContent-Length: 2\n\nab", len(body), body))
		for _, want := range []string{body, "", "ab"} {
			if got := read(t, c.receive("POST")); got != want {
				t.Fatalf("round %d: %d bytes came back, want %d", i, len(got), len(want))
			}
		}
	}
}
