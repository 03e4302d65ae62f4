package service

import (
	"cmp"
	"container/heap"
	"slices"

	"skein/raftfsm/fleet"
)

// take removes up to n tasks of the given kinds, weakest kind first and by the normal
// order within a kind.
func (t *byKind) take(n int, of ...kind) []*fleet.Task {
	var taken []*fleet.Task
	for _, k := range of {
		if n == len(taken) {
			break
		}
		var picked []*fleet.Task
		picked, t[k] = pick(t[k], n-len(taken))
		taken = append(taken, picked...)
	}
	return taken
}

// pick splits tasks into those that stop, by the normal order, and the rest.
// The normal order: the zone with most tasks of the service, there the host
// with most, there the newest task; each tie is broken by what comes next, and
// at last by id. Source: ECS guide, task placement.
func pick(tasks []member, n int) (picked []*fleet.Task, rest []member) {
	if n <= 0 {
		return nil, tasks
	}
	if n >= len(tasks) {
		for _, m := range tasks {
			m.leave()
			picked = append(picked, m.task)
		}
		return picked, nil
	}
	shelves := newStopHeaps(tasks)
	gone := make(map[*fleet.Task]bool, n)
	for len(picked) < n {
		z := slices.MinFunc(shelves, byZone)
		m := z.hosts[0].pop()
		m.leave()
		picked, gone[m.task] = append(picked, m.task), true
		if len(z.hosts[0].tasks) == 0 {
			heap.Pop(z)
		} else {
			heap.Fix(z, 0)
		}
	}
	return picked, slices.DeleteFunc(tasks, func(m member) bool { return gone[m.task] })
}

// leave counts a task out of where it stands.
func (m member) leave() {
	if m.at != nil {
		m.at.tasks--
		m.at.zone.tasks--
	}
}

// stopHeap holds the candidates of one zone as a heap of hosts: the one from which
// the next task stops is on top.
type stopHeap struct {
	zone  *zoneCount // nil for tasks without a host
	hosts []*hostHeap
}

func (s *stopHeap) Len() int           { return len(s.hosts) }
func (s *stopHeap) Less(i, j int) bool { return before(s.hosts[i], s.hosts[j]) }
func (s *stopHeap) Swap(i, j int)      { s.hosts[i], s.hosts[j] = s.hosts[j], s.hosts[i] }
func (s *stopHeap) Push(x any)         { s.hosts = append(s.hosts, x.(*hostHeap)) }
func (s *stopHeap) Pop() any {
	last := s.hosts[len(s.hosts)-1]
	s.hosts = s.hosts[:len(s.hosts)-1]
	return last
}

// hostHeap holds the candidates of one host. Its newest is known at once; the
// others are sorted only when the host gives one up, which few of many do.
type hostHeap struct {
	at     *hostCount
	tasks  []member // when sorted, the next to stop is last
	newest *fleet.Task
	sorted bool
}

func (h *hostHeap) add(m member) {
	h.tasks = append(h.tasks, m)
	if h.newest == nil || younger(m.task, h.newest) < 0 {
		h.newest = m.task
	}
}

func (h *hostHeap) pop() member {
	if !h.sorted {
		slices.SortFunc(h.tasks, func(a, b member) int { return younger(b.task, a.task) })
		h.sorted = true
	}
	last := len(h.tasks) - 1
	m := h.tasks[last]
	h.tasks = h.tasks[:last]
	if last > 0 {
		h.newest = h.tasks[last-1].task
	}
	return m
}

func (h *hostHeap) count() int {
	if h.at == nil {
		return 0
	}
	return h.at.tasks
}

// younger orders tasks by age, newest first; ties by id.
func younger(a, b *fleet.Task) int {
	return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// before reports whether a task of host a stops before those of host b.
func before(a, b *hostHeap) bool {
	if n, m := a.count(), b.count(); n != m {
		return n > m
	}
	return younger(a.newest, b.newest) < 0
}

// byZone orders shelves: the one from which the next task stops is the least.
func byZone(a, b *stopHeap) int {
	switch n, m := a.count(), b.count(); {
	case len(a.hosts) == 0 || len(b.hosts) == 0:
		return cmp.Compare(len(b.hosts), len(a.hosts)) // an empty one has nothing to give
	case n != m:
		return cmp.Compare(m, n)
	case before(a.hosts[0], b.hosts[0]):
		return -1
	default:
		return 1
	}
}

func (s *stopHeap) count() int {
	if s.zone == nil {
		return 0
	}
	return s.zone.tasks
}

// newStopHeaps sorts candidates by zone and host, in the order in which these come.
func newStopHeaps(tasks []member) []*stopHeap {
	var shelves []*stopHeap
	zones, hosts := map[*zoneCount]*stopHeap{}, map[*hostCount]*hostHeap{}
	for _, m := range tasks {
		h := hosts[m.at]
		if h == nil {
			h = &hostHeap{at: m.at}
			hosts[m.at] = h
			var zone *zoneCount
			if m.at != nil {
				zone = m.at.zone
			}
			if zones[zone] == nil {
				zones[zone] = &stopHeap{zone: zone}
				shelves = append(shelves, zones[zone])
			}
			zones[zone].hosts = append(zones[zone].hosts, h)
		}
		h.add(m)
	}
	for _, z := range shelves {
		heap.Init(z)
	}
	return shelves
}
