package peer

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What a call still does after the port has ended, it does to a log that is closed.
func TestThePortEndsAfterTheCallsThatItServes(t *testing.T) {
	_, agents := three(t)
	asked, served := agents[1], agents[0]
	entered, cancelled, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var ended atomic.Bool
	served.mu.Lock()
	served.hold = func(ctx context.Context) {
		close(entered)
		<-ctx.Done()
		close(cancelled)
		<-release
		ended.Store(true)
	}
	served.mu.Unlock()
	var answer sync.WaitGroup
	answer.Go(func() {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/v1/status", nil)
		if response, err := asked.port.API(served.id(), request); err == nil {
			_ = response.Body.Close()
		}
	})
	defer answer.Wait()
	reached := func(what string, c <-chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(waitTime):
			t.Fatalf("%s: not within %s", what, waitTime)
		}
	}
	reached("the call is served", entered)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		served.stop()
		if !ended.Load() {
			t.Error("the port has ended before a call that it serves")
		}
	}()
	reached("the call is cancelled", cancelled)
	select {
	case <-stopped:
	case <-time.After(50 * time.Millisecond): // in which a port that waits for nothing has ended
	}
	close(release)
	reached("the port has ended", stopped)
}

func TestNothingBeginsOnceServingIsOver(t *testing.T) {
	var s serving
	for range 2 {
		if !s.begin() {
			t.Fatal("nothing begins")
		}
	}
	s.end()
	if left := s.finish(time.Millisecond); left != 1 {
		t.Errorf("%d left, want the one that does not end", left)
	}
	if s.begin() {
		t.Error("a call begins though it is over")
	}
	s.end()
}
