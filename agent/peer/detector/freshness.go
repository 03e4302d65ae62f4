package detector

import (
	"sync"
	"time"
)

// Freshness is how long ago a voter's State was known to be the newest: the
// leader has told its own index since, and that index was applied here. A leader
// that still answers makes no voter fresh whose log stands still.
type Freshness struct {
	mu    sync.Mutex
	known bool
	at    time.Duration // monotonic: nothing that was applied before is missing here
	told  indexAt       // what the leader told and is not applied here yet
}

// indexAt is an index that the leader had at a time.
type indexAt struct {
	index uint64 // 0: none
	at    time.Duration
}

// Leads notes that this voter leads now: nothing is newer.
func (f *Freshness) Leads(now time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known, f.at, f.told = true, max(f.at, now), indexAt{}
}

// Hear notes that the leader was asked at a time and had at least index then.
// While an older one is not applied that one is kept, or a voter that is always
// a little behind would never be fresh.
func (f *Freshness) Hear(asked time.Duration, index, applied uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle(applied)
	if f.told.index == 0 {
		f.told = indexAt{index: index, at: asked}
		f.settle(applied)
	}
}

// Age is how old the State here may be, given the index that is applied;
// negative when it was never known to be the newest.
func (f *Freshness) Age(now time.Duration, applied uint64) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle(applied)
	if !f.known {
		return -time.Millisecond
	}
	return max(0, now-f.at)
}

func (f *Freshness) settle(applied uint64) {
	if f.told.index == 0 || applied < f.told.index {
		return
	}
	f.known, f.at, f.told = true, max(f.at, f.told.at), indexAt{}
}
