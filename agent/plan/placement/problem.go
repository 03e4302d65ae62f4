package placement

import (
	"cmp"
	"slices"

	"skein/raftfsm/fleet"
)

// problem is the question which tasks go where, for a fleet small enough to
// search: the hosts that take tasks, with the room they had before this pass,
// and the kinds of tasks that fit somewhere. Tasks that have a host are no part
// of it, they only took room. Dynamic ports are not counted.
type problem struct {
	capacity *fleetCapacity
	hosts    []int32           // in rooms.hosts, rising
	zone     []int32           // of each host
	free     []fleet.Resources // of each host
	kinds    []kind
	clash    [][]bool // by two kinds: they want the same fixed port
	// byCPU and byMemory are the kinds by what a task needs, most first.
	byCPU, byMemory []int
	ideal           score // no arrangement is better: each kind as if it were alone
}

// kind is a class in a problem.
type kind struct {
	class  *class
	tasks  int
	weight int64   // share of the largest host, as rooms.share: larger first
	admits []bool  // by host: takes at least one at the start
	zones  []tasks // by zone: in State
	hosts  []tasks // by host: in State
	wants  []bool  // by zone: counts for the spread, since some host admits
}

// newProblem takes the hosts that are open to tasks, which must be on their heaps.
func newProblem(r *fleetCapacity) *problem {
	z := &problem{capacity: r}
	for _, zone := range r.zones {
		z.hosts = append(z.hosts, zone.heap...)
	}
	slices.Sort(z.hosts)
	for _, i := range z.hosts {
		z.zone = append(z.zone, r.hosts[i].zone)
		z.free = append(z.free, r.hosts[i].host.Capacity.Sub(r.state.Reserved(r.hosts[i].host.ID)))
	}
	return z
}

// admits reports whether any host takes a task of the class, dynamic ports and
// all, if nothing else is placed.
func (z *problem) admits(c *class) bool {
	for h := range z.hosts {
		if room := z.emptyHost(h); z.capacity.refusal(room, c) == open {
			if _, ok := z.capacity.bind(room, c, c.tasks[0].ID); ok {
				return true
			}
		}
	}
	return false
}

// emptyHost is a host as it was before this pass.
func (z *problem) emptyHost(h int) *hostCapacity {
	return &hostCapacity{host: z.capacity.hosts[z.hosts[h]].host, free: z.free[h], zone: z.zone[h]}
}

// add makes a kind of a class.
func (z *problem) add(c *class) {
	k := kind{class: c, tasks: len(c.tasks), weight: c.weight(z.capacity), wants: make([]bool, len(z.capacity.zones))}
	before := z.capacity.spreadOf(c, nil)
	k.zones = before.zones
	for h := range z.hosts {
		room := z.emptyHost(h)
		admits := z.capacity.refusal(room, c) == open
		k.admits = append(k.admits, admits)
		k.hosts = append(k.hosts, before.onHost(room))
		k.wants[z.zone[h]] = k.wants[z.zone[h]] || admits
	}
	z.kinds = append(z.kinds, k)
	row := make([]bool, len(z.kinds))
	for d := range z.kinds[:len(z.kinds)-1] {
		row[d] = slices.ContainsFunc(c.fixed, func(p hostPort) bool { return slices.Contains(z.kinds[d].class.fixed, p) })
		z.clash[d] = append(z.clash[d], row[d])
	}
	z.clash = append(z.clash, row)
	alone := z.empty()
	alone.fill(len(z.kinds) - 1)
	z.ideal.placed += alone.placed[len(z.kinds)-1]
	z.ideal.uneven += alone.uneven(len(z.kinds) - 1)
}

// weight is the larger of the two shares of the largest host that a task takes.
func (c *class) weight(r *fleetCapacity) int64 {
	return max(c.need.CPU*shareUnit/max(1, r.unit.CPU), c.need.Memory*shareUnit/max(1, r.unit.Memory))
}

// by is the kinds in falling order of a size.
func (z *problem) by(size func(k *kind) int64) []int {
	order := make([]int, len(z.kinds))
	for k := range order {
		order[k] = k
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size(&z.kinds[b]), size(&z.kinds[a])) })
	return order
}

// score is what an arrangement is worth.
type score struct {
	placed int // tasks with a host
	uneven int // sum over services: most minus fewest tasks of a zone
}

func (a score) better(b score) bool {
	return a.placed > b.placed || a.placed == b.placed && a.uneven < b.uneven
}
