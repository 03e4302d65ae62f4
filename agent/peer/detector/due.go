package detector

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
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
	if s.dueAt != 0 && s.dueAt <= at || at == protocol.Never {
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

// Wake is when Step is to be called though nobody says anything. told reports whether
// a voter is known to tell still, so that its silence need not be waited for; nil for
// none.
func (w *Watch) Wake(told func(voter fleet.HostID) bool) time.Duration {
	if len(w.due.queued) > 0 {
		return 0
	}
	at := protocol.Never
	if len(w.due.timed) > 0 {
		at = w.due.timed[0].at
	}
	for voter, v := range w.views {
		if !v.overdue && (told == nil || !told(voter)) {
			at = min(at, v.at+voterOverdue+1)
		}
	}
	return at
}

// queueOverdue has the hosts of voters that fell silent looked at: another limit holds
// for them from then on.
func (w *Watch) queueOverdue(now time.Duration) {
	for voter, v := range w.views {
		if v.overdue || now-v.at <= voterOverdue {
			continue
		}
		v.overdue = true
		w.queueStreams(v)
		if s := w.hosts[voter]; s != nil {
			w.due.queue(s)
		}
	}
}

// next is when a host is to be looked at though nobody says anything of it. What
// witnesses find, or a change of its row, is told; so is what voters hear, and that one
// of them falls silent.
func (w *Watch) next(s *watchedHost, now time.Duration) time.Duration {
	heard, limit, ever := w.last(s, now, w.starved)
	switch {
	case now-heard > limit:
		if s.probing || !worthAsking(s.state) {
			return protocol.Never
		}
		return max(now, s.again)
	case !ever:
		return heard + limit + 1
	}
	at := protocol.Never
	if !w.heardStill(s) {
		at = heard + limit + 1
	}
	for i := range s.evidence {
		at = min(at, w.expires(&s.evidence[i], now))
	}
	return at
}

// heardStill reports whether a voter that tells still hears a host: it is alive as long
// as that goes on.
func (w *Watch) heardStill(s *watchedHost) bool {
	if s.id == w.self || s.view != nil && !s.view.overdue {
		return true
	}
	return slices.ContainsFunc(s.evidence, func(e evidence) bool { return e.movesOn() })
}

// movesOn reports whether each word of a voter says that it hears the host on.
func (e *evidence) movesOn() bool { return e.open && !e.slow && !e.view.overdue }

// expires is when a host is heard on a stream no more.
func (w *Watch) expires(e *evidence, now time.Duration) time.Duration {
	if !e.open || e.movesOn() {
		return protocol.Never
	}
	at, within := e.holds(e.view, now)
	if w.starved || e.view.starved {
		within *= protocol.StarvedFactor
	}
	if now-at > within {
		return protocol.Never
	}
	return at + within + 1
}
