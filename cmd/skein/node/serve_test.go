package node

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// oneConn is a listener to which one connection comes.
type oneConn struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "one", Net: "unix"} }

func TestServingEndsWhenRequestsInFlightAreAnsweredOrTheirTimeIsOver(t *testing.T) {
	for name, tt := range map[string]struct {
		takes    time.Duration // to answer, once its context has ended
		answered bool
	}{
		"a request in flight is answered":                      {shutdownTime / 5, true},
		"a request that does not end is not waited for longer": {shutdownTime * 5, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handled := make(chan struct{})
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(handled)
					<-r.Context().Done()
					<-time.After(tt.takes)
					w.WriteHeader(http.StatusTeapot)
				})
				client, server := net.Pipe()
				defer client.Close()
				listener := &oneConn{conns: make(chan net.Conn, 1), done: make(chan struct{})}
				listener.conns <- server
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				served := make(chan error, 1)
				go func() { served <- serveHTTP(listener, handler, slog.New(slog.DiscardHandler))(ctx) }()
				status := make(chan int, 1)
				go func() {
					if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
						t.Error(err)
					}
					answer, err := http.ReadResponse(bufio.NewReader(client), nil)
					if err != nil {
						status <- 0
						return
					}
					_ = answer.Body.Close()
					status <- answer.StatusCode
				}()
				synctest.Wait() // the request is in flight
				began := time.Now()
				stop()
				if err := <-served; err != nil {
					t.Error(err)
				}
				took := time.Since(began)
				if tt.answered && took < tt.takes || took > shutdownTime {
					t.Errorf("serving ended %v after it was told to", took)
				}
				if got := <-status == http.StatusTeapot; got != tt.answered {
					t.Errorf("answered: %t, want %t", got, tt.answered)
				}
				<-handled
			})
		})
	}
}
