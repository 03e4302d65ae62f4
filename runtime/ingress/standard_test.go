package ingress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

func protocols(set ...func(*http.Protocols, bool)) *http.Protocols {
	var p http.Protocols
	for _, f := range set {
		f(&p, true)
	}
	return &p
}

// h2c is a client that knows that HTTP/2 is spoken without TLS.
func h2c(t testing.TB) *http.Client {
	transport := &http.Transport{Protocols: protocols((*http.Protocols).SetUnencryptedHTTP2)}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// backend2 speaks HTTP/2 without TLS, and HTTP/1.1.
func backend2(t testing.TB, handler http.HandlerFunc) string {
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = protocols((*http.Protocols).SetUnencryptedHTTP2, (*http.Protocols).SetHTTP1)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// seen says how a request came to a target, with its body.
func seen(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Trailer", "End")
	fmt.Fprintf(w, "%s %s %s proto=%s for=%s body=%s", r.Proto, r.Method, r.URL.RequestURI(),
		r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-For"), body)
	w.Header().Set("End", "of it")
}

func TestEveryClientReachesEveryTargetWhateverEitherSpeaks(t *testing.T) {
	folder := t.TempDir()
	certificate, roots := selfSigned(t, "shop.example")
	certificatePath, keyPath := write(t, folder, certificate)
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "plain", Port: 80, Protocol: fleet.ListenHTTP}, all("one"))
	r.listener(fleet.Listener{Name: "tls", Port: 443, Protocol: fleet.ListenHTTPS,
		Certificates: []fleet.CertificateFile{{Certificate: certificatePath, Key: keyPath}}}, all("one"))
	for _, listener := range []fleet.ListenerName{"plain", "tls"} {
		r.rule(listener, 1, all("two"), fleet.RuleCondition{Field: fleet.FieldPath, Values: []string{"/two*"}})
	}
	r.group(fleet.TargetGroup{Name: "one", Protocol: fleet.GroupHTTP1}, backend(t, "a", seen))
	r.group(fleet.TargetGroup{Name: "two", Protocol: fleet.GroupHTTP2}, backend2(t, seen))
	r.apply()
	overTLS := func(set ...func(*http.Protocols, bool)) *http.Client {
		transport := &http.Transport{
			Protocols:       protocols(set...),
			TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "shop.example"},
		}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: 10 * time.Second}
	}
	one := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	clients := map[string]struct {
		client *http.Client
		url    string
		proto  string
	}{
		"HTTP/1.1":          {one, "http://" + r.address(80), "http"},
		"HTTP/2":            {h2c(t), "http://" + r.address(80), "http"},
		"HTTP/1.1 over TLS": {overTLS((*http.Protocols).SetHTTP1), "https://" + r.address(443), "https"},
		"HTTP/2 over TLS":   {overTLS((*http.Protocols).SetHTTP2), "https://" + r.address(443), "https"},
	}
	for name, c := range clients {
		for path, spoken := range map[string]string{"/one?q=%41": "HTTP/1.1", "/two?q=%41": "HTTP/2.0"} {
			t.Run(name+" to "+spoken, func(t *testing.T) {
				for range 2 {
					request, err := http.NewRequest("POST", c.url+path, strings.NewReader("hello"))
					if err != nil {
						t.Fatal(err)
					}
					request.Header.Set("X-Forwarded-For", "10.9.9.9")
					response, err := c.client.Do(request)
					if err != nil {
						t.Fatal(err)
					}
					want := fmt.Sprintf("%s POST %s proto=%s for=10.9.9.9, 127.0.0.1 body=hello", spoken, path, c.proto)
					if got := read(t, response); got != want || response.Trailer.Get("End") != "of it" {
						t.Errorf("the target saw %q, trailer %v\nwant %q", got, response.Trailer, want)
					}
				}
			})
		}
	}
	for _, s := range r.engine.Status().Series {
		if s.Revision != "" && (s.Codes[2] != 8 || s.Requests != 8) {
			t.Errorf("counted %+v", s)
		}
	}
}

func TestAnOldClientIsServed(t *testing.T) {
	r := simple(t, backend(t, "a", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "part")
		_ = http.NewResponseController(w).Flush() // chunked, which HTTP/1.0 does not know
		fmt.Fprint(w, "s")
	}))
	c := r.dial(80)
	c.send("GET / HTTP/1.0\n\n")
	response := c.receive("GET")
	if got := read(t, response); response.StatusCode != 200 || got != "parts" || len(response.TransferEncoding) > 0 {
		t.Errorf("status %d, %q, %v", response.StatusCode, got, response.TransferEncoding)
	}
}

func TestAFailedCallOfGRPCIsSaidInItsWords(t *testing.T) {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("calls"))
	r.group(fleet.TargetGroup{Name: "calls", Protocol: fleet.GroupGRPC})
	r.apply()
	response, err := h2c(t).Post("http://"+r.address(80)+"/a.B/C", "application/grpc", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	_ = read(t, response)
	if response.StatusCode != 200 || response.Header.Get("Grpc-Status") != "14" {
		t.Errorf("status %d, %v", response.StatusCode, response.Header)
	}
}

func TestALongStreamToATargetThatDrainsIsToldToLeaveAndGoesOn(t *testing.T) {
	more := make(chan struct{})
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("calls"))
	r.group(fleet.TargetGroup{Name: "calls", Protocol: fleet.GroupHTTP2}, backend2(t,
		func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/long" {
				_ = http.NewResponseController(w).Flush()
				<-more
			}
			fmt.Fprint(w, "all of it")
		}), backend2(t, seen))
	r.routes.Groups[0].Targets[1].State = fleet.TargetUnhealthy
	r.apply()
	client := h2c(t)
	long, err := client.Get("http://" + r.address(80) + "/long")
	if err != nil {
		t.Fatal(err)
	}
	r.routes.Groups[0].Targets[0].State = fleet.TargetDraining
	r.routes.Groups[0].Targets[1].State = fleet.TargetHealthy
	r.apply()
	if r.engine.Drained("calls-0") {
		t.Error("drained with a stream")
	}
	// The client was told GOAWAY: its next request comes on a new connection.
	until(t, "the client comes again", func() bool {
		response, getErr := client.Get("http://" + r.address(80) + "/")
		if getErr != nil {
			t.Fatal(getErr)
		}
		_ = read(t, response)
		return r.engine.Status().Listeners[0].Accepted >= 2
	})
	close(more)
	if got := read(t, long); got != "all of it" {
		t.Errorf("the long stream ended with %q", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err = r.engine.AwaitDrained(ctx, "calls-0"); err != nil {
		t.Error(err)
	}
}

func TestARenewedCertificateIsServedWithoutADropAndABrokenOneIsNot(t *testing.T) {
	folder := t.TempDir()
	first, firstRoots := selfSigned(t, "shop.example")
	certificatePath, keyPath := write(t, folder, first)
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "tls", Port: 443, Protocol: fleet.ListenHTTPS,
		Certificates: []fleet.CertificateFile{{Certificate: certificatePath, Key: keyPath}}}, all("one"))
	r.group(fleet.TargetGroup{Name: "one", Protocol: fleet.GroupHTTP1}, backend(t, "a", echo))
	r.apply()
	open, err := tls.Dial("tcp", r.address(443), &tls.Config{RootCAs: firstRoots, ServerName: "shop.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	second, secondRoots := selfSigned(t, "shop.example")
	write(t, folder, second)
	until(t, "the new certificate is served", func() bool {
		conn, dialErr := tls.Dial("tcp", r.address(443), &tls.Config{RootCAs: secondRoots, ServerName: "shop.example"})
		if dialErr != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
	if err = os.WriteFile(certificatePath, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "the broken file is named", func() bool {
		conn, dialErr := tls.Dial("tcp", r.address(443), &tls.Config{RootCAs: secondRoots, ServerName: "shop.example"})
		if dialErr != nil {
			t.Fatalf("the last good certificate is not kept: %v", dialErr)
		}
		_ = conn.Close()
		return len(r.engine.Status().Listeners[0].Certificates) == 1
	})
	if _, err = io.WriteString(open, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if response, readErr := http.ReadResponse(bufio.NewReader(open), nil); readErr != nil || response.StatusCode != 200 {
		t.Errorf("the connection from before: %v", readErr)
	}
}

func TestAClientKeepsItsGroupAndItsTargetByCookies(t *testing.T) {
	r := newRig(t, ingress.Config{})
	forward := to(fleet.GroupWeight{Group: "blue", Weight: 5000}, fleet.GroupWeight{Group: "green", Weight: 5000})
	forward.Forward.StickyS = 60
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, forward)
	for _, name := range []string{"blue", "green"} {
		r.group(fleet.TargetGroup{Name: fleet.TargetGroupName(name), Protocol: fleet.GroupHTTP1, StickyS: 60},
			backend(t, name+"-1", nil), backend(t, name+"-2", nil), backend(t, name+"-3", nil))
	}
	r.apply()
	for name, client := range map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{DisableKeepAlives: true}}, "HTTP/2": h2c(t),
	} {
		cookies := ""
		first := ""
		for i := range 20 {
			request, err := http.NewRequest("GET", "http://"+r.address(80)+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if cookies != "" {
				request.Header.Set("Cookie", "other=1; "+cookies)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = read(t, response)
			got := response.Header.Get("Backend")
			if i == 0 {
				first = got
				for _, cookie := range response.Cookies() {
					cookies += cookie.Name + "=" + cookie.Value + "; "
				}
			} else if got != first || len(response.Cookies()) > 0 {
				t.Fatalf("%s: request %d is answered by %s, before that %s; cookies %v", name, i, got, first,
					response.Cookies())
			}
		}
	}
}
