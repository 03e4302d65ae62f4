package ingress_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// speaker is a target that answers each request of a connection by the handler, which is told
// how many came before on it.
func speaker(t testing.TB, answer func(conn net.Conn, r *http.Request, nth int)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for nth := 0; ; nth++ {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					answer(conn, r, nth)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestWhatATargetSaysUnaskedIsNobodysAnswer(t *testing.T) {
	answered, said := make(chan struct{}), make(chan struct{})
	var conns atomic.Int64
	r := simple(t, speaker(t, func(conn net.Conn, _ *http.Request, nth int) {
		if nth == 0 {
			conns.Add(1)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		<-answered // and the connection lies idle
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		said <- struct{}{}
	}))
	for range 5 {
		c := r.dial(80)
		c.send("GET / HTTP/1.1\nHost: x\n\n")
		if body := read(t, c.receive("GET")); body != "ok" {
			t.Fatalf("a client was answered %q", body)
		}
		answered <- struct{}{}
		<-said
	}
	if conns.Load() != 5 {
		t.Errorf("%d connections for 5 requests: one that spoke unasked was used again", conns.Load())
	}
}

func TestAnEarlyAnswerSaysThatTheConnectionEnds(t *testing.T) {
	r := simple(t, speaker(t, func(conn net.Conn, _ *http.Request, _ int) {
		_, _ = io.WriteString(conn, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
	}))
	for name, wait := range map[string]string{
		"a client that waits to send its body": "Expect: 100-continue\n",
		"a slow client":                        "",
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial(80)
			c.send("POST / HTTP/1.1\nHost: x\nContent-Length: 10\n" + wait + "\n")
			response := c.receive("POST")
			_ = response.Body.Close()
			if response.StatusCode != http.StatusUnauthorized || !response.Close {
				t.Errorf("%d, Connection: close is %v: the client would send its next request on a connection that ends",
					response.StatusCode, response.Close)
			}
		})
	}
}

func TestAnAnswerWithoutABodyIsNotFollowedByOne(t *testing.T) {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP},
		fleet.Action{Fixed: &fleet.FixedResponse{Status: 204, Body: "HTTP/1.1 200 OK\r\n\r\n"}})
	r.apply()
	c := r.dial(80)
	for range 2 {
		c.send("GET / HTTP/1.1\nHost: x\n\n")
		response := c.receive("GET")
		_ = response.Body.Close()
		if response.StatusCode != http.StatusNoContent || response.Header.Get("Content-Length") != "" {
			t.Errorf("%s, Content-Length %q", response.Status, response.Header.Get("Content-Length"))
		}
	}
}

// TestTheVersionOfAClientChangesNoFieldThatItsTargetSees compares the relay with the standard
// library's.
func TestTheVersionOfAClientChangesNoFieldThatItsTargetSees(t *testing.T) {
	told := func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Proxy", "X_forwarded_for", "X-Forwarded-Host", "Forwarded", "X-Forwarded-Proto",
			"X-Forwarded-Port", "X-Forwarded-For", "Keep-Alive", "Proxy-Authorization", "X-Real-Ip", "Authorization", "Cookie"} {
			fmt.Fprintf(w, "%s=%q\n", name, r.Header.Values(name))
		}
	}
	r := simple(t, backend(t, "blue", told))
	ask := func(client *http.Client) string {
		request, err := http.NewRequest("GET", "http://"+r.address(80)+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Proxy", "X-Forwarded-Host", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Port",
			"X-Real-Ip", "Authorization", "Cookie"} {
			request.Header.Set(name, "evil")
		}
		request.Header["X_Forwarded_For"] = []string{"evil"}
		request.Header.Set("X-Forwarded-For", "192.0.2.1")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	by1, by2 := ask(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}), ask(h2c(t))
	if by1 != by2 {
		t.Errorf("by HTTP/1.1:\n%sby HTTP/2:\n%s", by1, by2)
	}
	for _, line := range []string{`Proxy=[]`, `X_forwarded_for=[]`, `X-Forwarded-Host=[]`, `Forwarded=[]`,
		`X-Forwarded-Proto=["http"]`, `X-Forwarded-For=["192.0.2.1, 127.0.0.1"]`, `X-Real-Ip=["evil"]`,
		`Authorization=["evil"]`} {
		if !strings.Contains(by1, line+"\n") {
			t.Errorf("want %s in\n%s", line, by1)
		}
	}
}

func TestNobodyTunnelsPastTheRulesByUpgradingToHTTP2(t *testing.T) {
	upgraded := make(chan string, 10)
	target := speaker(t, func(conn net.Conn, r *http.Request, _ int) {
		upgraded <- r.Header.Get("Upgrade")
		if r.Header.Get("Upgrade") != "" {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	r := simple(t, target)
	for _, version := range []string{"1.0", "1.1"} {
		for _, protocol := range []string{"h2c", "H2C", "websocket, h2c", "h2c\nUpgrade: websocket"} {
			c := r.dial(80)
			c.send("GET / HTTP/" + version + "\nHost: x\nConnection: Upgrade, HTTP2-Settings\nUpgrade: " + protocol +
				"\nHTTP2-Settings: AAMAAABkAAQAAP__\n\n")
			response := c.receive("GET")
			_ = response.Body.Close()
			if got := <-upgraded; response.StatusCode != http.StatusOK || got != "" {
				t.Errorf("HTTP/%s, %s: %s, and the target was asked for %q", version, protocol, response.Status, got)
			}
		}
	}
}
