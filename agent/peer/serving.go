package peer

import (
	"net/http"
	"sync"
	"time"
)

// serving counts what is being served, so that the port can end after it. A connection
// that is closed cancels what it asked for, and does not wait for it.
type serving struct {
	mu    sync.Mutex
	n     int
	over  bool
	ended chan struct{} // closed when all has ended, once it is over
}

// count has a handler counted; once it is over, nothing begins any more.
func (s *serving) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.begin() {
			panic(http.ErrAbortHandler) // the connection is closed already
		}
		defer s.end()
		h.ServeHTTP(w, r)
	})
}

func (s *serving) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.n++
	return true
}

func (s *serving) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n--; s.n == 0 && s.over {
		close(s.ended)
	}
}

// finish lets nothing begin any more, and waits for a while until all has ended. It
// returns how much has not. It is called once.
func (s *serving) finish(within time.Duration) (left int) {
	s.mu.Lock()
	s.over, s.ended = true, make(chan struct{})
	if s.n == 0 {
		close(s.ended)
	}
	s.mu.Unlock()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}
