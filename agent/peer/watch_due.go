package peer

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"time"

	"skein/agent/peer/protocol"
)

// dueHosts are the hosts that a Step is to look at: those of which something was
// told, and those whose time has come. A host that is well costs a look each
// NeverSeenAfter, however often its voters tell that all is well.
type dueHosts struct {
	queued []*watchedHost
	timed  dueHeap
}

// dueEntry is a host's time; one that is not the host's any more is skipped.
type dueEntry struct {
	at   time.Duration
	host *watchedHost
}

type dueHeap []dueEntry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueEntry)) }
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	return e
}

// queue has the next Step look at a host.
func (d *dueHosts) queue(s *watchedHost) {
	if !s.queued {
		s.queued = true
		d.queued = append(d.queued, s)
	}
}

// put has a host looked at by a time at the latest. An earlier time that stands
// is kept: what is due too early is put back.
func (d *dueHosts) put(s *watchedHost, at time.Duration) {
	if s.dueAt != 0 && s.dueAt <= at || at == never {
		return
	}
	s.dueAt = at
	heap.Push(&d.timed, dueEntry{at: at, host: s})
}

// take is what is due, by id.
func (d *dueHosts) take(now time.Duration) []*watchedHost {
	for len(d.timed) > 0 && d.timed[0].at <= now {
		e := heap.Pop(&d.timed).(dueEntry)
		if e.host.dueAt == e.at {
			e.host.dueAt = 0
			d.queue(e.host)
		}
	}
	out := d.queued
	d.queued = nil
	for _, s := range out {
		s.queued = false
	}
	slices.SortFunc(out, func(a, b *watchedHost) int { return cmp.Compare(a.id, b.id) })
	return out
}

// never is later than everything.
const never = time.Duration(math.MaxInt64)

// next is when a host is to be looked at though nobody says anything of it.
func (w *Watch) next(s *watchedHost, now time.Duration) time.Duration {
	heard, limit, ever := w.last(s, now, w.starved)
	at := never // what witnesses find, or a change of its row, is told
	switch {
	case now-heard <= limit:
		at = w.expires(s, now, heard, ever)
	case !s.probing && worthAsking(s.state):
		at = max(now, s.again)
	}
	for i := range s.evidence {
		e := &s.evidence[i]
		if v := w.views[e.voter]; v != nil && e.open && e.slow && now-v.at <= voterOverdue {
			at = min(at, v.at+voterOverdue+1) // another limit holds from then on
		}
	}
	return at
}

// expires is when a host that is alive may be so no more, or by another stream.
func (w *Watch) expires(s *watchedHost, now, heard time.Duration, ever bool) time.Duration {
	if w.starved {
		return now + protocol.WatchEvery // all limits are stretched
	}
	next := now + protocol.NeverSeenAfter
	end := func(at time.Duration) {
		if at >= now {
			next = min(next, at+1)
		}
	}
	if !ever {
		end(heard + protocol.NeverSeenAfter)
	}
	if v := w.views[s.id]; v != nil {
		end(v.at + protocol.SuspectAfter)
	}
	for i := range s.evidence {
		e := &s.evidence[i]
		v := w.views[e.voter]
		if v == nil {
			continue
		}
		if v.starved {
			return now + protocol.WatchEvery
		}
		at, within := e.holds(v, now)
		if e.open && !e.slow {
			within = protocol.NeverSeenAfter // its voter falls silent first
		}
		end(at + within)
	}
	return next
}
