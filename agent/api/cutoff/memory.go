package cutoff

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const (
	// MaxLists bounds how many answers are kept, MaxAnswer the bytes of each.
	MaxLists  = 16
	MaxAnswer = 1 << 20
)

// Memory holds a worker's last good answers of the main lists, bounded in number
// and size. It is for the time when no voter answers; while one does, every
// read goes there.
type Memory struct {
	mu      sync.Mutex
	entries map[string]kept
}

type kept struct {
	pattern string
	body    []byte
	at      time.Time
}

// NewMemory returns an empty memory.
func NewMemory() *Memory { return &Memory{entries: map[string]kept{}} }

// Put keeps the body of the answer to a request, whose endpoint has the pattern.
func (m *Memory) Put(pattern string, r *http.Request, body []byte, at time.Time) {
	m.put(keyOf(r), kept{pattern, body, at})
}

func keyOf(r *http.Request) string { return r.URL.Path + "?" + r.URL.RawQuery }

func (m *Memory) put(key string, entry kept) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.entries[key]; !known && len(m.entries) >= MaxLists {
		oldest := ""
		for k, e := range m.entries {
			if oldest == "" || e.at.Before(m.entries[oldest].at) {
				oldest = k
			}
		}
		delete(m.entries, oldest)
	}
	m.entries[key] = entry
}

// get returns the entry of a key.
func (m *Memory) get(key string) (kept, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	return e, ok
}

// of returns the entry of a list, whatever its page or filter, that says most:
// a filtered list must not stand for the whole while there is a better one.
func (m *Memory) of(pattern string) (kept, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var best kept
	for _, e := range m.entries {
		if e.pattern == pattern && len(e.body) > len(best.body) {
			best = e
		}
	}
	return best, best.body != nil
}

// recall decodes the best kept answer for a request into answer.
func (m *Memory) recall(pattern, key string, answer any) (at time.Time, ok bool) {
	e, ok := m.get(key)
	if !ok {
		e, ok = m.of(pattern)
	}
	if !ok || json.Unmarshal(e.body, answer) != nil {
		return time.Time{}, false
	}
	return e.at, true
}
