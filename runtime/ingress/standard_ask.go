package ingress

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"skein/runtime/ingress/route"
)

// roundTripper takes a request to targets until one answers.
type roundTripper struct{ standard *standard }

var errNoTarget = errors.New("no target can take this request")

// RoundTrip is http.RoundTripper's.
func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	k := callOf(r)
	var last error
	for attempt := range attempts {
		if !k.take(k.client) {
			return nil, errNoTarget
		}
		response, err := t.standard.ask(k, r)
		var connect errConnect
		if !errors.As(err, &connect) {
			return response, err
		}
		t.standard.engine.eject(k.target, err)
		if attempt+1 < attempts {
			k.target.Series.Retries.Add(1)
		}
		k.tried.Add(k.target)
		last = err
	}
	return nil, last
}

// ask sends the request to the chosen target.
func (s *standard) ask(k *call, r *http.Request) (*http.Response, error) {
	out := r.WithContext(r.Context())
	address := *r.URL
	address.Host = k.target.Pool.Address()
	out.URL = &address
	wait, ctx := k.startWait(r.Context())
	if r.Body != nil {
		out.Body = kept{r.Body, wait} // it is read again by the next target if this one was never reached
	}
	transport := s.http1
	if !isRelayed(k.group.Noun.Protocol) {
		transport = s.http2
	}
	s.enter(k)
	response, err := transport.RoundTrip(out.WithContext(ctx))
	if err != nil {
		if wait.end() && r.Context().Err() == nil {
			err = errAnswerLate
		}
		s.exit(k)
		return nil, err
	}
	wait.goOn(k.client.idle())
	response.Body = s.untilClosed(k, wait, response)
	return response, nil
}

var errAnswerLate = errors.New("the target has not answered in time")

// wait ends an exchange on which nothing has moved for too long: until the answer begins,
// for as long as the rule allows, and then for the listener's idle time. A client could else
// hold targets with streams on which it says nothing.
type wait struct {
	cancel context.CancelCauseFunc
	// unread ends a read of the request's body: a transport that is in one looks at no context.
	unread func()

	mu      sync.Mutex // of what follows
	timer   *time.Timer
	limit   time.Duration
	expired bool
	ended   bool
}

func (k *call) startWait(parent context.Context) (*wait, context.Context) {
	limit := answerTimeout
	if seconds := k.rule.Noun.TimeoutS; seconds > 0 {
		limit = time.Duration(seconds) * time.Second
	}
	ctx, cancel := context.WithCancelCause(parent)
	w := &wait{cancel: cancel, unread: k.unread, limit: limit}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(limit, w.expire)
	return w, ctx
}

func (w *wait) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	w.expired = true
	w.cancel(errAnswerLate)
	w.unread()
}

// goOn has another limit from now on.
func (w *wait) goOn(limit time.Duration) {
	w.mu.Lock()
	w.limit = limit
	w.mu.Unlock()
	w.moved()
}

func (w *wait) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended && !w.expired {
		w.timer.Reset(w.limit)
	}
}

// end is called once the exchange is over, and reports whether it was this that ended it.
func (w *wait) end() (expired bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.timer.Stop()
	return w.expired
}

// movedBy notes a read or a write.
func (w *wait) movedBy(n int, err error) (int, error) {
	if n > 0 {
		w.moved()
	}
	return n, err
}

func (s *standard) enter(k *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[k] = struct{}{}
}

func (s *standard) exit(k *call) {
	s.mu.Lock()
	delete(s.calls, k)
	s.mu.Unlock()
	k.target.Release()
}

// leave tells clients that are at a target that drains to go on with another connection:
// their streams may be long.
func (s *standard) leave() {
	s.mu.Lock()
	var leaving []*client
	for k := range s.calls {
		if k.target.Leaving() {
			leaving = append(leaving, k.client)
		}
	}
	s.mu.Unlock()
	for _, c := range leaving {
		c.leave()
	}
}

// kept is a body that its reader does not close: the server does.
type kept struct {
	io.Reader
	wait *wait
}

func (k kept) Read(into []byte) (int, error) { return k.wait.movedBy(k.Reader.Read(into)) }

func (kept) Close() error { return nil }

// untilClosed lets the call be at its target until the answer's body is closed. A body that
// can be written to is a tunnel. A call of gRPC is counted then: how it went is said last.
func (s *standard) untilClosed(k *call, w *wait, r *http.Response) io.ReadCloser {
	exit := sync.OnceFunc(func() {
		w.end()
		if k.isGRPC() {
			k.target.Series.Observe(grpcStatus(r), k.took)
		}
		s.exit(k)
	})
	if both, ok := r.Body.(io.ReadWriteCloser); ok {
		return &openTunnel{both, w, exit}
	}
	return &openBody{r.Body, w, exit}
}

// grpcStatus is the status of HTTP that a call of gRPC is counted under: 500 and more for the
// codes that say that the server failed. Source: the statuses of gRPC, by number.
func grpcStatus(r *http.Response) int {
	code := r.Trailer.Get("Grpc-Status")
	if code == "" {
		code = r.Header.Get("Grpc-Status") // an answer without messages has it there
	}
	switch {
	case r.StatusCode != http.StatusOK:
		return r.StatusCode
	case code == "0":
		return http.StatusOK
	case code == "" && r.Request.Context().Err() != nil:
		return route.StatusClientGone
	}
	switch code {
	case "", "2", "12", "13", "15": // none, UNKNOWN, UNIMPLEMENTED, INTERNAL, DATA_LOSS
		return http.StatusInternalServerError
	case "14": // UNAVAILABLE
		return http.StatusServiceUnavailable
	case "4": // DEADLINE_EXCEEDED
		return http.StatusGatewayTimeout
	default:
		return http.StatusBadRequest // what the caller asked for was wrong, or may not be
	}
}

type openBody struct {
	io.ReadCloser
	wait *wait
	exit func()
}

func (b *openBody) Read(into []byte) (int, error) { return b.wait.movedBy(b.ReadCloser.Read(into)) }

func (b *openBody) Close() error {
	defer b.exit()
	return b.ReadCloser.Close()
}

type openTunnel struct {
	io.ReadWriteCloser
	wait *wait
	exit func()
}

func (b *openTunnel) Read(into []byte) (int, error) {
	return b.wait.movedBy(b.ReadWriteCloser.Read(into))
}

func (b *openTunnel) Write(text []byte) (int, error) {
	return b.wait.movedBy(b.ReadWriteCloser.Write(text))
}

func (b *openTunnel) Close() error {
	defer b.exit()
	return b.ReadWriteCloser.Close()
}
