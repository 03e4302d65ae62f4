package service

import "container/heap"

// placedHeap is a binary heap of entries that know where on it they stand, so that any of
// them can be taken off. Before heap.Init it is a list in any order, which costs less.
type placedHeap[T placed[T]] []T

// placed is what a placedHeap holds.
type placed[T any] interface {
	before(other T) bool // comes off first
	stand(place int)     // remembers its place
}

// Len, Less, Swap, Push and Pop are for package heap.
func (h placedHeap[T]) Len() int           { return len(h) }
func (h placedHeap[T]) Less(i, j int) bool { return h[i].before(h[j]) }
func (h placedHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].stand(i)
	h[j].stand(j)
}

// Push appends a T.
func (h *placedHeap[T]) Push(x any) {
	entry := x.(T)
	entry.stand(len(*h))
	*h = append(*h, entry)
}

// Pop takes the last one away.
func (h *placedHeap[T]) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// add puts an entry where it belongs, or last while there is no order yet.
func (h *placedHeap[T]) add(entry T, ordered bool) {
	if ordered {
		heap.Push(h, entry)
		return
	}
	h.Push(entry)
}

// remove takes the entry at a place away.
func (h *placedHeap[T]) remove(place int, ordered bool) {
	if ordered {
		heap.Remove(h, place)
		return
	}
	h.Swap(place, len(*h)-1)
	h.Pop()
}
