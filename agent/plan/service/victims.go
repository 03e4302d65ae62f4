package service

import (
	"cmp"
	"container/heap"
	"slices"

	"skein/raftfsm/fleet"
)

// take takes out up to n tasks of the given groups, the first group first and by the
// normal order within a group.
func (t *serviceTasks) take(n int, of ...int) []*fleet.Task {
	var taken []*fleet.Task
	for _, g := range of {
		if n == len(taken) {
			break
		}
		taken = append(taken, t.pick(&t.groups[g], n-len(taken))...)
	}
	return taken
}

// takeOf is take of kinds of a revision in the goals, or of leftover.
func (t *serviceTasks) takeOf(revision, n int, of ...kind) []*fleet.Task {
	var groups []int
	for _, k := range of {
		groups = append(groups, t.group(revision, k))
	}
	return t.take(n, groups...)
}

// takeOld is take of kinds of tasks that any task of the goals may replace, those of no
// revision in them first.
func (t *serviceTasks) takeOld(n int, of ...kind) []*fleet.Task {
	revisions := t.goals.Revisions
	if apart(revisions) {
		revisions = nil // theirs go for their own
	}
	var groups []int
	for _, k := range of {
		groups = append(groups, t.group(t.leftover(), k))
		for i := range revisions {
			groups = append(groups, t.group(i, k))
		}
	}
	return t.take(n, groups...)
}

// pick takes out tasks that stop, by the normal order: the zone with most tasks of the
// service, there the host with most, there the newest task; each tie is broken by what
// comes next, and at last by id. All that there are come by id. Source: ECS guide, task
// placement.
func (t *serviceTasks) pick(g *group, n int) (picked []*fleet.Task) {
	switch {
	case n <= 0:
		return nil
	case n >= g.tasks:
		for g.tasks > 0 {
			m := g.zones[g.firstZone()].hosts[0].tasks[0]
			picked = append(picked, m.task)
			t.leave(m)
		}
		slices.SortFunc(picked, func(a, b *fleet.Task) int { return cmp.Compare(a.ID, b.ID) })
		return picked
	}
	g.order()
	for len(picked) < n {
		m := slices.MinFunc(g.zones, byZone).hosts[0].tasks[0]
		picked = append(picked, m.task)
		t.leave(m)
	}
	return picked
}

// group is tasks of one kind: by zone, in it by host.
type group struct {
	tasks   int
	zones   []*zoneHeap
	ordered bool // its heaps are heaps; else what they hold is in any order
}

// firstZone is the place of a zone that has tasks.
func (g *group) firstZone() int {
	return slices.IndexFunc(g.zones, func(z *zoneHeap) bool { return len(z.hosts) > 0 })
}

func (g *group) zone(of *zoneCount) *zoneHeap {
	for _, z := range g.zones {
		if z.zone == of {
			return z
		}
	}
	z := &zoneHeap{zone: of}
	g.zones = append(g.zones, z)
	return z
}

// order makes heaps of what was only gathered.
func (g *group) order() {
	if g.ordered {
		return
	}
	g.ordered = true
	for _, z := range g.zones {
		for _, h := range z.hosts {
			heap.Init(&h.tasks)
		}
		heap.Init(&z.hosts)
	}
}

// push puts a task on the heap of its host. count must follow: it orders the hosts.
func (t *serviceTasks) push(m *member) {
	g := &t.groups[m.group]
	g.tasks++
	h := m.at.heapOf(m.group)
	if h == nil {
		h = &hostHeap{at: m.at, group: m.group, zone: g.zone(m.at.zone)}
		m.at.heaps = append(m.at.heaps, h)
	}
	m.heap = h
	h.tasks.add(m, g.ordered)
	if len(h.tasks) == 1 {
		h.zone.hosts.add(h, g.ordered)
	}
}

// pull takes a task off the heap of its host. count must follow, as after push.
func (t *serviceTasks) pull(m *member) {
	g, h := &t.groups[m.group], m.heap
	g.tasks--
	if len(h.tasks) == 1 {
		m.at.heaps = slices.DeleteFunc(m.at.heaps, func(o *hostHeap) bool { return o == h })
		h.zone.hosts.remove(h.place, g.ordered)
		return
	}
	h.tasks.remove(m.place, g.ordered)
}

// count changes how many tasks stand on a host, and puts the host where it belongs by
// that and by its newest tasks.
func (t *serviceTasks) count(at *hostCount, n int) {
	if at.host == nil {
		return
	}
	at.tasks += n
	at.zone.tasks += n
	for _, h := range at.heaps {
		if t.groups[h.group].ordered {
			heap.Fix(&h.zone.hosts, h.place)
		}
	}
}

func (at *hostCount) heapOf(group int) *hostHeap {
	for _, h := range at.heaps {
		if h.group == group {
			return h
		}
	}
	return nil
}

// zoneHeap holds the hosts of one zone that have tasks of a group: the one from which
// the next task stops is on top.
type zoneHeap struct {
	zone  *zoneCount
	hosts placedHeap[*hostHeap]
}

// hostHeap holds the tasks of a group on one host, the newest on top.
type hostHeap struct {
	at    *hostCount
	zone  *zoneHeap
	group int
	place int // on zone
	tasks placedHeap[*member]
}

func (h *hostHeap) stand(place int) { h.place = place }

// before reports whether a task of this host stops before those of the other.
func (h *hostHeap) before(other *hostHeap) bool {
	if h.at.tasks != other.at.tasks {
		return h.at.tasks > other.at.tasks
	}
	return h.tasks[0].before(other.tasks[0])
}

func (m *member) stand(place int) { m.place = place }

// before orders tasks by age, newest first; ties by id.
func (m *member) before(other *member) bool {
	a, b := m.task, other.task
	return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(a.ID, b.ID)) < 0
}

// byZone orders zones: the one from which the next task stops is the least.
func byZone(a, b *zoneHeap) int {
	switch {
	case len(a.hosts) == 0 || len(b.hosts) == 0:
		return cmp.Compare(len(b.hosts), len(a.hosts)) // an empty one has nothing to give
	case a.zone.tasks != b.zone.tasks:
		return cmp.Compare(b.zone.tasks, a.zone.tasks)
	case a.hosts[0].before(b.hosts[0]):
		return -1
	default:
		return 1
	}
}
