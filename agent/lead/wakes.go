package lead

import (
	"container/heap"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// wakes are the visits planners asked for: one a subject, the earliest.
type wakes struct {
	at   map[fleet.Subject]fleet.Time
	heap wakeHeap // may hold entries that an earlier one has replaced
}

func newWakes() *wakes { return &wakes{at: map[fleet.Subject]fleet.Time{}} }

func (w *wakes) add(wake plan.Wake) {
	if at, ok := w.at[wake.Subject]; ok && at <= wake.At {
		return
	}
	w.at[wake.Subject] = wake.At
	heap.Push(&w.heap, wake)
}

// due removes and returns the subjects to be visited by now.
func (w *wakes) due(now fleet.Time) []fleet.Subject {
	var subjects []fleet.Subject
	for len(w.heap) > 0 && w.heap[0].At <= now {
		wake := heap.Pop(&w.heap).(plan.Wake)
		if at, ok := w.at[wake.Subject]; ok && at == wake.At {
			delete(w.at, wake.Subject)
			subjects = append(subjects, wake.Subject)
		}
	}
	return subjects
}

// next is the earliest visit, zero for none.
func (w *wakes) next() fleet.Time {
	if len(w.heap) == 0 {
		return 0
	}
	return w.heap[0].At
}

type wakeHeap []plan.Wake

func (h wakeHeap) Len() int           { return len(h) }
func (h wakeHeap) Less(i, j int) bool { return h[i].At < h[j].At }
func (h wakeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *wakeHeap) Push(x any)        { *h = append(*h, x.(plan.Wake)) }
func (h *wakeHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
