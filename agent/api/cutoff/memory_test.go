package cutoff

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestTheMemoryIsBoundedAndForgetsTheOldest(t *testing.T) {
	m, now := NewMemory(), time.Unix(1_800_000_000, 0)
	ask := func(i int) *http.Request {
		return httptest.NewRequest("GET", fmt.Sprintf("/v1/tasks?limit=%d", i), nil)
	}
	for i := range 3 * MaxLists {
		m.Put("/v1/tasks", ask(i), []byte("{}"), now.Add(time.Duration(i)*time.Second))
	}
	if n := len(m.entries); n != MaxLists {
		t.Errorf("%d answers are kept, want %d", n, MaxLists)
	}
	for i := range 3 * MaxLists {
		if _, kept := m.get(keyOf(ask(i))); kept != (i >= 2*MaxLists) {
			t.Errorf("answer %d of %d: kept is %v", i, 3*MaxLists, kept)
		}
	}
}
