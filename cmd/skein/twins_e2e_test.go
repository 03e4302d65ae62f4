//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"skein/agent/deployment"
)

// hookSecret signs the calls of hooks.
const hookSecret = "a secret of hooks"

// twins are servers of others, beside the hosts: what hooks call, what alarms ask, and the
// resolver of the hosts.
type twins struct {
	*fleetUnderTest
	url string // of the HTTP server

	mu     sync.Mutex
	calls  map[string][]call // of hooks, by path
	answer map[string]func(n int, w http.ResponseWriter, r *http.Request)
	value  map[string]string // what a query gives
}

// call is one call of a hook.
type call struct {
	key, signature string
	unsigned       error // by the signature
	payload        deployment.Payload
}

// startTwins serves at the address that hosts know the lab's bridge by.
func (f *fleetUnderTest) startTwins() *twins {
	f.Helper()
	view, err := f.lab.List(f.Context())
	f.must(err)
	at, err := netip.ParseAddrPort(view.Registry)
	f.must(err)
	listener, err := net.Listen("tcp", netip.AddrPortFrom(at.Addr(), 0).String())
	f.must(err)
	w := &twins{fleetUnderTest: f, url: "http://" + listener.Addr().String(), calls: map[string][]call{},
		answer: map[string]func(int, http.ResponseWriter, *http.Request){}, value: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hooks/{name}", w.hook)
	mux.HandleFunc("/api/v1/query", w.query)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	f.Cleanup(func() { _ = server.Close() })
	f.steps("h1", step{"hook-target allow " + w.url, 0, nil})
	return w
}

// on says how calls of a hook are answered; n counts them from 1.
func (w *twins) on(name string, answer func(n int, w http.ResponseWriter, r *http.Request)) (url string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer[name] = answer
	return w.url + "/hooks/" + name
}

// always answers each call of a hook alike.
func (w *twins) always(name, body string) (url string) {
	return w.on(name, func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
}

func (w *twins) hook(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	c := call{key: r.Header.Get("Idempotency-Key"), signature: r.Header.Get(deployment.HeaderSignature)}
	c.unsigned = deployment.Verify([]byte(hookSecret), r.Header.Get(deployment.HeaderTimestamp), c.signature, body,
		time.Now(), time.Minute)
	if err := json.Unmarshal(body, &c.payload); err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	name := r.PathValue("name")
	w.mu.Lock()
	w.calls[name] = append(w.calls[name], c)
	n, answer := len(w.calls[name]), w.answer[name]
	w.mu.Unlock()
	if answer == nil {
		http.NotFound(out, r)
		return
	}
	answer(n, out, r)
}

func (w *twins) called(name string) []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]call(nil), w.calls[name]...)
}

// gives says what the Prometheus server answers to a query: a number, or nothing.
func (w *twins) gives(query, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.value[query] = value
}

// query answers as the instant query of a Prometheus server does.
func (w *twins) query(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	value := w.value[r.FormValue("query")]
	w.mu.Unlock()
	result := ""
	if value != "" {
		result = fmt.Sprintf(`{"metric":{"job":"shop"},"value":[%d.5,%q]}`, time.Now().Unix(), value)
	}
	fmt.Fprintf(out, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, result)
}

// outside is the one name that the hosts' own resolver knows, and its address.
const (
	outside        = "outside.example"
	outsideAddress = "192.0.2.7"
)

// resolve gives each host a resolver that knows outside, as a machine's own network does.
func (w *twins) resolve() {
	w.Helper()
	host, _, err := net.SplitHostPort(strings.TrimPrefix(w.url, "http://"))
	w.must(err)
	conn, err := net.ListenPacket("udp", net.JoinHostPort(host, "53"))
	w.must(err)
	w.Cleanup(func() { conn.Close() })
	go answerNames(conn)
	for _, name := range []string{"h1", "h2", "h3"} {
		script := fmt.Sprintf("echo nameserver %s >/run/resolv.conf && mount --bind /run/resolv.conf /etc/resolv.conf", host)
		exit, err := w.lab.Exec(w.Context(), name, []string{"sh", "-c", script}, nil, nil, nil)
		w.must(err)
		if exit != 0 {
			w.Fatalf("%s keeps its resolver", name)
		}
	}
}

func answerNames(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		m = dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true},
			Questions: m.Questions}
		switch {
		case !strings.EqualFold(q.Name.String(), outside+"."):
			m.RCode = dnsmessage.RCodeNameError
		case q.Type == dnsmessage.TypeA:
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
				Body: &dnsmessage.AResource{A: netip.MustParseAddr(outsideAddress).As4()}}}
		}
		if out, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(out, from)
		}
	}
}
