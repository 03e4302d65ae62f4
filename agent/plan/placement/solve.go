package placement

import (
	"cmp"
	"slices"

	"skein/raftfsm/fleet"
)

const (
	// MaxSearchCells bounds classes x open hosts of a search, since each of its
	// steps looks at all: 16 classes that compete on 16 hosts.
	MaxSearchCells = 256
	// MaxSearchTasks bounds the tasks of a search, since hosts are filled task by task.
	MaxSearchTasks = 1_024
	// MaxSearchNodes bounds the steps of the exact search to some 10 ms. The
	// oracle's 4 hosts and 3 classes need 1,721 at most; a fleet that needs more
	// than there are gets the best arrangement seen until then.
	MaxSearchNodes = 20_000
)

// solve returns an arrangement that is better than the planner's own greedy one,
// of which so many tasks were placed; nil where there is none. Cheap ones are
// tried first: it ends at once where none can be better.
func (z *problem) solve(placed int) *arrangement {
	own := z.empty()
	for k := range z.kinds {
		own.fill(k)
	}
	floor := own.score()
	floor.placed = placed
	s := &solver{z: z, best: floor}
	if s.done() {
		return nil
	}
	order := z.by(func(k *kind) int64 { return k.weight })
	for _, place := range []func(*arrangement, int){(*arrangement).fill, (*arrangement).pack} {
		l := z.empty()
		for _, k := range order {
			place(l, k)
		}
		l.polish()
		s.offer(l)
	}
	if !s.done() {
		s.exact(order)
	}
	return s.found
}

// solver is a depth-first search: kind by kind, largest first, and host by host,
// the fullest first, over how many of the kind the host takes.
type solver struct {
	z     *problem
	best  score
	found *arrangement // that has the best score; nil: the planner's own
	nodes int

	now   *arrangement
	order []int  // kinds
	hosts []int  // least free first
	twin  []bool // by place in hosts: as the host before it in all that matters
	left  []int  // for hopeless: by kind, tasks that may still be placed
}

// done reports whether nothing better can be found, or the search is long enough.
func (s *solver) done() bool { return s.best == s.z.ideal || s.nodes >= MaxSearchNodes }

func (s *solver) offer(l *arrangement) {
	if got := l.score(); got.better(s.best) {
		s.best, s.found = got, l.clone()
	}
}

func (s *solver) exact(order []int) {
	before := s.found
	s.z.byCPU = s.z.by(func(k *kind) int64 { return k.class.need.CPU })
	s.z.byMemory = s.z.by(func(k *kind) int64 { return k.class.need.Memory })
	s.now, s.order, s.left = s.z.empty(), order, make([]int, len(order))
	s.hosts = make([]int, len(s.z.hosts))
	for h := range s.hosts {
		s.hosts[h] = h
	}
	slices.SortStableFunc(s.hosts, func(a, b int) int { return cmp.Compare(s.now.share(a), s.now.share(b)) })
	s.twin = make([]bool, len(s.hosts))
	for at := 1; at < len(s.hosts); at++ {
		s.twin[at] = s.z.same(s.hosts[at-1], s.hosts[at])
	}
	s.visit(0, 0, 0)
	if s.found != before { // a count per host says nothing about evenness within zones
		s.found.polish()
		s.best = s.found.score()
	}
}

// same reports whether two hosts are interchangeable for counts: zone, room and
// what they admit.
func (z *problem) same(a, b int) bool {
	if z.zone[a] != z.zone[b] || z.free[a] != z.free[b] {
		return false
	}
	for k := range z.kinds {
		if z.kinds[k].admits[a] != z.kinds[k].admits[b] {
			return false
		}
	}
	return true
}

// visit decides about one kind on one host and goes on; uneven is that of the
// kinds before.
func (s *solver) visit(at, host, uneven int) {
	if s.done() {
		return
	}
	s.nodes++
	if at == len(s.order) {
		s.offer(s.now)
		return
	}
	k := s.order[at]
	if host == len(s.hosts) {
		s.visit(at+1, 0, uneven+s.now.uneven(k))
		return
	}
	if s.hopeless(at, host, uneven) {
		return
	}
	h := s.hosts[host]
	for n := s.most(at, host); n >= 0; n-- {
		s.now.put(k, h, n)
		s.visit(at, host+1, uneven)
		s.now.put(k, h, -n)
	}
}

// most is the largest number of the kind to be tried on a host. Of two twins
// that hold the same so far, the first takes no fewer.
func (s *solver) most(at, host int) int {
	k, h := s.order[at], s.hosts[host]
	n := min(s.z.kinds[k].tasks-s.now.placed[k], s.now.fit(k, h))
	if !s.twin[host] {
		return n
	}
	before := s.hosts[host-1]
	for _, d := range s.order[:at] {
		if s.now.n[d][h] != s.now.n[d][before] {
			return n
		}
	}
	return min(n, s.now.n[k][before])
}

// hopeless reports whether no way to go on beats the best: each kind that is
// left takes at most what it would take alone now, all of them together at most
// what the sum of the room allows.
func (s *solver) hopeless(at, host, uneven int) bool {
	bound := s.now.total()
	var room fleet.Resources
	for _, free := range s.now.free {
		room.CPU, room.Memory = room.CPU+max(0, free.CPU), room.Memory+max(0, free.Memory)
	}
	sum := 0
	clear(s.left)
	for i := at; i < len(s.order); i++ {
		k := s.order[i]
		fits := 0
		for j := range s.hosts {
			if i > at || j >= host {
				fits += s.now.fit(k, s.hosts[j])
			}
		}
		s.left[k] = min(s.z.kinds[k].tasks-s.now.placed[k], fits)
		sum += s.left[k]
	}
	bound += min(sum, s.together(room))
	return !(score{bound, uneven}).better(s.best)
}

// together is how many tasks at most the sum of the room takes, smallest first
// in each of cpu and memory.
func (s *solver) together(room fleet.Resources) int {
	cpu, memory := 0, 0
	for i := len(s.z.byCPU) - 1; i >= 0; i-- {
		k := s.z.byCPU[i]
		n := takes(s.left[k], s.z.kinds[k].class.need.CPU, room.CPU)
		cpu, room.CPU = cpu+n, room.CPU-int64(n)*s.z.kinds[k].class.need.CPU
		k = s.z.byMemory[i]
		n = takes(s.left[k], s.z.kinds[k].class.need.Memory, room.Memory)
		memory, room.Memory = memory+n, room.Memory-int64(n)*s.z.kinds[k].class.need.Memory
	}
	return min(cpu, memory)
}

// takes is how many of n tasks of one need fit into an amount.
func takes(n int, need, amount int64) int {
	if need <= 0 {
		return n
	}
	return int(min(int64(n), amount/need))
}
