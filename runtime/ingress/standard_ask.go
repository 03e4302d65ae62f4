package ingress

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// roundTripper takes a request to targets until one answers.
type roundTripper struct{ standard *standard }

var errNoTarget = errors.New("no target can take this request")

// RoundTrip is http.RoundTripper's.
func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	k := callOf(r)
	last := errNoTarget
	for range attempts {
		if !k.take(k.client) {
			return nil, last
		}
		response, err := t.standard.ask(k, r)
		var connect errConnect
		if !errors.As(err, &connect) {
			return response, err
		}
		t.standard.engine.eject(k.target, err)
		k.target.Series.Retries.Add(1)
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
	if r.Body != nil {
		out.Body = kept{r.Body} // it is read again by the next target if this one was never reached
	}
	transport := s.http1
	if !isRelayed(k.group.Noun.Protocol) {
		transport = s.http2
	}
	s.enter(k)
	timer, ctx := k.startTimer(r.Context())
	response, err := transport.RoundTrip(out.WithContext(ctx))
	if !timer.Stop() && err != nil && r.Context().Err() == nil {
		err = errAnswerLate
	}
	if err != nil {
		s.exit(k)
		return nil, err
	}
	response.Body = s.untilClosed(k, response.Body)
	return response, nil
}

var errAnswerLate = errors.New("the target has not answered in time")

// startTimer bounds the wait for the answer's beginning, and not the answer.
func (k *call) startTimer(parent context.Context) (*time.Timer, context.Context) {
	limit := answerTimeout
	if seconds := k.rule.Noun.TimeoutS; seconds > 0 {
		limit = time.Duration(seconds) * time.Second
	}
	ctx, cancel := context.WithCancelCause(parent)
	return time.AfterFunc(limit, func() { cancel(errAnswerLate) }), ctx
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
type kept struct{ io.Reader }

func (kept) Close() error { return nil }

// untilClosed lets the call be at its target until the answer's body is closed. A body that
// can be written to is a tunnel.
func (s *standard) untilClosed(k *call, body io.ReadCloser) io.ReadCloser {
	exit := sync.OnceFunc(func() { s.exit(k) })
	if both, ok := body.(io.ReadWriteCloser); ok {
		return &openTunnel{both, exit}
	}
	return &openBody{body, exit}
}

type openBody struct {
	io.ReadCloser
	exit func()
}

func (b *openBody) Close() error {
	defer b.exit()
	return b.ReadCloser.Close()
}

type openTunnel struct {
	io.ReadWriteCloser
	exit func()
}

func (b *openTunnel) Close() error {
	defer b.exit()
	return b.ReadWriteCloser.Close()
}
