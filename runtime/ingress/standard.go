package ingress

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/http1"
	"skein/runtime/ingress/route"
)

// standard serves by the standard library what is rare: HTTP/2 and HTTP/1.0 of clients,
// and targets that speak HTTP/2.
type standard struct {
	engine *Engine
	http1  *http.Transport
	http2  *http.Transport
	proxy  *httputil.ReverseProxy

	mu    sync.Mutex
	calls map[*call]struct{} // that are at a target now
}

const (
	maxStreams = 250 // of a connection at once
	// pingAfter is how long a connection of HTTP/2 may be silent until it is asked whether
	// it still is there.
	pingAfter = 15 * time.Second
)

func newStandard(e *Engine) *standard {
	s := &standard{engine: e, calls: map[*call]struct{}{}}
	s.http1 = s.transport(func(p *http.Protocols) { p.SetHTTP1(true) })
	s.http2 = s.transport(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
	s.proxy = &httputil.ReverseProxy{
		Rewrite: rewrite, Transport: roundTripper{s}, FlushInterval: -1, ErrorHandler: s.failed,
		ModifyResponse: s.answered, ErrorLog: silent,
	}
	return s
}

var silent = log.New(io.Discard, "", 0)

func (s *standard) transport(speak func(*http.Protocols)) *http.Transport {
	var protocols http.Protocols
	speak(&protocols)
	return &http.Transport{
		DialContext: s.dial, Protocols: &protocols, DisableCompression: true,
		MaxIdleConnsPerHost: 64, IdleConnTimeout: 4 * time.Second, MaxResponseHeaderBytes: 2 * http1.MaxHead,
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: connectTimeout},
	}
}

// errConnect says that a target could not be connected to: nothing was sent to it.
type errConnect struct{ error }

func (e errConnect) Unwrap() error { return e.error }

func (s *standard) dial(ctx context.Context, _, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := s.engine.config.Dial(ctx, address)
	if err != nil {
		return nil, errConnect{err}
	}
	return conn, nil
}

func (s *standard) close() {
	s.http1.CloseIdleConnections()
	s.http2.CloseIdleConnections()
}

// serve speaks with one client. A server of its own is what can say GOAWAY to it alone.
func (s *standard) serve(c *client, conn net.Conn) {
	_ = c.conn.SetDeadline(time.Time{})
	c.idleSince.Store(0)
	ended := make(chan struct{})
	end := sync.OnceFunc(func() { close(ended) })
	var handlers handlers
	var bye goodbye
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !handlers.begin() {
				return
			}
			defer handlers.running.Done()
			bye.asked()
			s.handle(c, w, r)
		}),
		Protocols: &protocols, ReadHeaderTimeout: s.engine.config.Limits.Head, IdleTimeout: c.idle(),
		MaxHeaderBytes: http1.MaxHead,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: connectTimeout,
			WriteByteTimeout: c.idle(),
		},
		ErrorLog: silent,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed || state == http.StateHijacked {
				end()
			}
		},
	}
	bye.say = func() {
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		_ = server.Shutdown(gone) // tells the client, and waits for nothing
	}
	bye.linger = s.engine.config.Limits.Head
	defer c.whenLeaving(bye.due)()
	defer bye.end()
	_ = server.Serve(&single{conn: conn, ended: ended, closed: make(chan struct{})})
	<-ended
	handlers.end()
}

// handlers are those of one connection. One that begins when the connection has ended, as
// HTTP/2's may, does nothing: nobody would wait for it.
type handlers struct {
	running sync.WaitGroup

	mu    sync.Mutex
	ended bool
}

func (h *handlers) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended {
		h.running.Add(1)
	}
	return !h.ended
}

// end waits for those that have begun.
func (h *handlers) end() {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.running.Wait()
}

// goodbye is when a client of HTTP/2 is told to go on with another connection. One that has
// asked for nothing yet is told with its first request, which is answered: told before, it
// might take the host for one that serves nobody.
type goodbye struct {
	say    func()
	linger time.Duration // how long one that has asked for nothing may still do so

	mu      sync.Mutex // of what follows
	started bool       // the client has asked
	wanted  bool
	silent  *time.Timer // ends the wait for the first request
}

func (g *goodbye) asked() {
	g.mu.Lock()
	first := !g.started
	g.started = true
	say := first && g.wanted
	g.mu.Unlock()
	if say {
		g.say()
	}
}

func (g *goodbye) due() {
	g.mu.Lock()
	say := g.started
	if !say && !g.wanted {
		g.silent = time.AfterFunc(g.linger, g.say)
	}
	g.wanted = true
	g.mu.Unlock()
	if say {
		g.say()
	}
}

func (g *goodbye) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.silent != nil {
		g.silent.Stop()
	}
}

// single is a listener of one connection.
type single struct {
	conn   net.Conn
	ended  chan struct{}
	closed chan struct{}
	close  sync.Once
}

func (l *single) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	select {
	case <-l.ended:
	case <-l.closed:
	}
	return nil, net.ErrClosed
}

// Close ends Accept, for which a server waits that shuts down.
func (l *single) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

func (l *single) Addr() net.Addr { return net.TCPAddrFromAddrPort(netip.AddrPort{}) }

// call is one request that the standard library serves.
type call struct {
	choice
	client *client
	unread func() // ends a read of the request's body
	status int
	took   time.Duration
}

type callKey struct{}

// fields of a request, as rules and cookies are asked for.
type fields http.Header

// Values gives the values of a name in small letters.
func (f fields) Values(name string, each func([]byte) bool) {
	for _, value := range http.Header(f).Values(name) {
		if !each([]byte(value)) {
			return
		}
	}
}

// Cookie is the value of a cookie.
func (f fields) Cookie(name string) []byte {
	for _, pairs := range f["Cookie"] {
		if value := http1.CookieOf([]byte(pairs), name); value != nil {
			return value
		}
	}
	return nil
}

func (s *standard) handle(c *client, w http.ResponseWriter, r *http.Request) {
	request := route.Request{
		Host: hostOf([]byte(r.Host)), Path: []byte(r.URL.EscapedPath()), Query: []byte(r.URL.RawQuery),
		Method: []byte(r.Method), Source: c.source.Addr(), Fields: fields(r.Header),
	}
	k := &call{client: c, choice: choice{
		request: request, cookies: fields(r.Header), began: s.engine.config.Clock.Mono(),
	}}
	k.unread = func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) }
	k.find(c)
	if r.ProtoMajor == 1 {
		// What follows would be read by the standard library, which takes more than http1 does:
		// heads that others before this host may read in another way.
		w.Header().Set("Connection", "close")
	}
	if r.Method == http.MethodConnect {
		k.say(w, http.StatusBadRequest, "CONNECT is for proxies")
		return
	}
	if limit := c.listener.settings.Load().bodyLimit; limit > 0 {
		if r.ContentLength > limit {
			k.say(w, http.StatusRequestEntityTooLarge, bodyTooLarge)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
	}
	s.act(k, w, r)
	if log := s.engine.config.Access; log != nil && log.Wants(k.status) {
		a := Access{Method: clip(r.Method), Host: clip(r.Host), Path: clip(r.URL.EscapedPath())}
		a.fill(c, &k.choice, k.status, k.took)
		log.Write(a)
	}
}

func (s *standard) act(k *call, w http.ResponseWriter, r *http.Request) {
	if k.rule == nil {
		k.say(w, k.unruled(), noRule)
		return
	}
	k.rule.Requests.Add(1)
	switch action := k.rule.Noun.Action; {
	case action.Fixed != nil:
		k.sayAll(w, action.Fixed.Status, action.Fixed.ContentType, action.Fixed.Body)
	case action.Redirect != nil:
		w.Header().Set("Location", location(action.Redirect, asked{
			scheme: string(k.client.says.Proto), host: string(hostOf([]byte(r.Host))), path: r.URL.EscapedPath(),
			query: r.URL.RawQuery, port: k.client.listener.noun.Port,
		}))
		k.sayAll(w, action.Redirect.Status, "", "")
	default:
		s.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, k)))
	}
}

func (k *call) say(w http.ResponseWriter, status int, why string) {
	k.sayAll(w, status, "text/plain", why+"\n")
}

func (k *call) sayAll(w http.ResponseWriter, status int, contentType, text string) {
	k.observe(status)
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func (k *call) observe(status int) {
	k.status, k.took = status, k.client.engine.config.Clock.Mono()-k.began
}

func callOf(r *http.Request) *call { return r.Context().Value(callKey{}).(*call) }

// rewrite says who the client is; what it says of itself goes before that. Fields pass as
// they do by http1, whatever version the client speaks.
func rewrite(p *httputil.ProxyRequest) {
	k := callOf(p.In)
	for name := range p.Out.Header {
		if name != "Te" && name != "Trailer" && name != "Connection" && name != "Upgrade" && !http1.Passes(name) {
			delete(p.Out.Header, name)
		}
	}
	if !mayUpgrade(p.In) {
		p.Out.Header.Del("Connection")
		p.Out.Header.Del("Upgrade")
	}
	p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", "target", p.In.Host
	said := append(p.In.Header.Values("X-Forwarded-For"), string(k.client.says.For))
	p.Out.Header.Set("X-Forwarded-For", strings.Join(said, ", "))
	p.Out.Header.Set("X-Forwarded-Proto", string(k.client.says.Proto))
	p.Out.Header.Set("X-Forwarded-Port", string(k.client.says.Port))
}

// mayUpgrade reports whether the client may ask for another protocol: with HTTP/1.1, and for
// none in which the requests would no longer be seen. RFC 9113, 3.1.
func mayUpgrade(r *http.Request) bool {
	toHTTP2 := func(asked string) bool { return strings.Contains(strings.ToLower(asked), "h2") }
	return r.ProtoMajor == 1 && r.ProtoMinor == 1 && !slices.ContainsFunc(r.Header.Values("Upgrade"), toHTTP2)
}

// answered is called before an answer is passed on.
func (s *standard) answered(r *http.Response) error {
	k := callOf(r.Request)
	k.observe(r.StatusCode)
	k.target.Requests.Add(1)
	if !k.isGRPC() {
		k.target.Series.Observe(k.status, k.took)
	}
	if len(r.Trailer) > 0 {
		// HTTP/1.1 has trailers only after chunks.
		r.Header.Del("Content-Length")
		r.ContentLength = -1
	}
	for _, line := range k.line {
		if name, value, ok := strings.Cut(strings.TrimSpace(string(line)), ": "); ok {
			r.Header.Add(name, value)
		}
	}
	return nil
}

// failed answers for a target that did not.
func (s *standard) failed(w http.ResponseWriter, r *http.Request, err error) {
	k := callOf(r)
	status, why := whyFailed(err)
	counted := status
	if r.Context().Err() != nil {
		counted = route.StatusClientGone
	}
	took := s.engine.config.Clock.Mono() - k.began
	if k.target != nil {
		k.target.Series.Observe(counted, took)
	} else {
		k.unserved(counted)
	}
	if k.isGRPC() {
		k.sayGRPC(w, why)
		return
	}
	k.say(w, status, why)
}

func (k *call) isGRPC() bool { return k.group != nil && k.group.Noun.Protocol == fleet.GroupGRPC }

// whyFailed is what a client is told; the error itself may name addresses of targets.
func whyFailed(err error) (status int, why string) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errNoTarget):
		return http.StatusServiceUnavailable, noTarget
	case errors.Is(err, errAnswerLate):
		return http.StatusGatewayTimeout, tooLate
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, bodyTooLarge
	default:
		return http.StatusBadGateway, noAnswer
	}
}

// sayGRPC says "unavailable" as clients of gRPC read it: code 14, in an answer without messages.
func (k *call) sayGRPC(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", "14")
	w.Header().Set("Grpc-Message", why)
	k.observe(http.StatusOK)
	w.WriteHeader(http.StatusOK)
}
