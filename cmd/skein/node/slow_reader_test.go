package node

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A reader that stands still would else hold its place at the API's gate for ever.
func TestAReaderThatDoesNotReadIsHungUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		listener := &oneConn{conns: make(chan net.Conn, 1), done: make(chan struct{})}
		listener.conns <- near
		ended := make(chan error, 1)
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 1<<20))
			ended <- err
		})
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- serveHTTP(listener, handler, slog.New(slog.DiscardHandler))(ctx) }()
		begin := time.Now()
		if _, err := far.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		timeout, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		select {
		case err := <-ended:
			if took := time.Since(begin); err == nil || took != answerTime {
				t.Errorf("the answer ended after %s with %v, want an error after %s", took, err, answerTime)
			}
		case <-timeout.Done():
			t.Error("the answer waits for its reader for ever")
			_ = near.Close()
		}
		stop()
		_ = far.Close()
		<-served
	})
}
