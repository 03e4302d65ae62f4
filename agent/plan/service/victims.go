package service

import (
	"cmp"
	"container/heap"
	"slices"

	"skein/raftfsm/fleet"
)

// take removes up to n tasks of the given kinds from the tally, weakest kind
// first and by the normal order within a kind.
func (t *tally) take(n int, of ...kind) []*fleet.Task {
	var taken []*fleet.Task
	for _, k := range of {
		if n == len(taken) {
			break
		}
		var picked []*fleet.Task
		picked, t.tasks[k] = t.pick(t.tasks[k], n-len(taken))
		taken = append(taken, picked...)
	}
	return taken
}

// pick splits tasks into those that stop, by the normal order, and the rest.
// The normal order: the zone with most tasks of the service, there the host
// with most, there the newest task; each tie is broken by what comes next, and
// at last by id. Source: ecs.md 3.4.
func (t *tally) pick(tasks []*fleet.Task, n int) (picked, rest []*fleet.Task) {
	if n >= len(tasks) {
		for _, task := range tasks {
			t.leave(task)
		}
		return tasks, nil
	}
	shelves := t.shelve(tasks)
	for len(picked) < n {
		z := slices.MinFunc(shelves, t.byZone)
		host := z.hosts[0]
		last := len(host.tasks) - 1
		picked = append(picked, host.tasks[last])
		t.leave(host.tasks[last])
		host.tasks = host.tasks[:last]
		if last == 0 {
			heap.Pop(z)
		} else {
			heap.Fix(z, 0)
		}
	}
	for _, z := range shelves {
		for _, host := range z.hosts {
			rest = append(rest, host.tasks...)
		}
	}
	slices.SortFunc(rest, func(a, b *fleet.Task) int { return cmp.Compare(a.ID, b.ID) })
	return picked, rest
}

// byZone orders shelves: the one from which the next task stops is the least.
func (t *tally) byZone(a, b *shelf) int {
	switch {
	case len(a.hosts) == 0 || len(b.hosts) == 0:
		return cmp.Compare(len(b.hosts), len(a.hosts)) // an empty one has nothing to give
	case t.zones[a.zone] != t.zones[b.zone]:
		return cmp.Compare(t.zones[b.zone], t.zones[a.zone])
	case before(t.hosts, a.hosts[0], b.hosts[0]):
		return -1
	default:
		return 1
	}
}

// before reports whether a task of host a stops before those of host b.
func before(count map[fleet.HostID]int, a, b *hostShelf) bool {
	if count[a.id] != count[b.id] {
		return count[a.id] > count[b.id]
	}
	x, y := a.tasks[len(a.tasks)-1], b.tasks[len(b.tasks)-1]
	if x.CreatedAt != y.CreatedAt {
		return x.CreatedAt > y.CreatedAt
	}
	return x.ID < y.ID
}

// leave counts a task out of its zone and host.
func (t *tally) leave(task *fleet.Task) {
	if task.Host != "" {
		t.hosts[task.Host]--
		t.zones[t.place[task.Host].Zone]--
	}
}

// shelf holds the candidates of one zone as a heap of hosts, most tasks first.
type shelf struct {
	zone  string
	hosts []*hostShelf
	count map[fleet.HostID]int // the tally's: tasks of the service by host
}

// hostShelf holds the candidates of one host, the first to stop last.
type hostShelf struct {
	id    fleet.HostID
	tasks []*fleet.Task
}

func (s *shelf) Len() int      { return len(s.hosts) }
func (s *shelf) Swap(i, j int) { s.hosts[i], s.hosts[j] = s.hosts[j], s.hosts[i] }
func (s *shelf) Push(x any)    { s.hosts = append(s.hosts, x.(*hostShelf)) }
func (s *shelf) Pop() any {
	last := s.hosts[len(s.hosts)-1]
	s.hosts = s.hosts[:len(s.hosts)-1]
	return last
}

func (s *shelf) Less(i, j int) bool { return before(s.count, s.hosts[i], s.hosts[j]) }

// shelve sorts candidates by zone, host and age. Zones come by name.
func (t *tally) shelve(tasks []*fleet.Task) []*shelf {
	sorted := slices.Clone(tasks)
	zoneOf := func(task *fleet.Task) string {
		if task.Host == "" {
			return ""
		}
		return t.place[task.Host].Zone
	}
	slices.SortFunc(sorted, func(a, b *fleet.Task) int {
		return cmp.Or(
			cmp.Compare(zoneOf(a), zoneOf(b)),
			cmp.Compare(a.Host, b.Host),
			cmp.Compare(a.CreatedAt, b.CreatedAt), // newest last: it stops first
			cmp.Compare(b.ID, a.ID),
		)
	})
	var shelves []*shelf
	for _, task := range sorted {
		zone := zoneOf(task)
		if len(shelves) == 0 || shelves[len(shelves)-1].zone != zone {
			shelves = append(shelves, &shelf{zone: zone, count: t.hosts})
		}
		z := shelves[len(shelves)-1]
		if len(z.hosts) == 0 || z.hosts[len(z.hosts)-1].id != task.Host {
			z.hosts = append(z.hosts, &hostShelf{id: task.Host})
		}
		h := z.hosts[len(z.hosts)-1]
		h.tasks = append(h.tasks, task)
	}
	for _, z := range shelves {
		heap.Init(z)
	}
	return shelves
}
