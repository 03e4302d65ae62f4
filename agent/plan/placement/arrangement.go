package placement

import (
	"slices"

	"skein/raftfsm/fleet"
)

// arrangement is an arrangement of a problem's tasks, whole or in the making: how many
// of each kind stand on each host.
type arrangement struct {
	z      *problem
	n      [][]int           // by kind and host
	zones  [][]int           // by kind and zone
	placed []int             // by kind
	free   []fleet.Resources // by host
}

func (z *problem) empty() *arrangement {
	l := &arrangement{z: z, placed: make([]int, len(z.kinds)), free: slices.Clone(z.free)}
	for range z.kinds {
		l.n = append(l.n, make([]int, len(z.hosts)))
		l.zones = append(l.zones, make([]int, len(z.capacity.zones)))
	}
	return l
}

func (l *arrangement) clone() *arrangement {
	c := &arrangement{z: l.z, placed: slices.Clone(l.placed), free: slices.Clone(l.free)}
	for k := range l.n {
		c.n = append(c.n, slices.Clone(l.n[k]))
		c.zones = append(c.zones, slices.Clone(l.zones[k]))
	}
	return c
}

// put adds tasks of a kind to a host; a negative number takes them away.
func (l *arrangement) put(k, h, n int) {
	need := l.z.kinds[k].class.need
	l.n[k][h] += n
	l.zones[k][l.z.zone[h]] += n
	l.placed[k] += n
	l.free[h].CPU -= int64(n) * need.CPU
	l.free[h].Memory -= int64(n) * need.Memory
}

// fit is how many more tasks of a kind a host takes, at most all of the kind.
func (l *arrangement) fit(k, h int) int {
	kind := &l.z.kinds[k]
	if !kind.admits[h] {
		return 0
	}
	n := kind.tasks
	if len(kind.class.fixed) > 0 {
		n = min(n, 1-l.n[k][h])
		for d, clash := range l.z.clash[k] {
			if clash && l.n[d][h] > 0 {
				return 0
			}
		}
	}
	if need := kind.class.need.CPU; need > 0 {
		n = min(n, int(l.free[h].CPU/need))
	}
	if need := kind.class.need.Memory; need > 0 {
		n = min(n, int(l.free[h].Memory/need))
	}
	return max(0, n)
}

// fill places what is left of a kind by spread, as the planner does: of one kind
// that is as many as can be, and zones as even as they can be.
func (l *arrangement) fill(k int) {
	l.each(k, func(a, b int) bool {
		kind := &l.z.kinds[k]
		za, zb := l.in(kind.zones[l.z.zone[a]], l.zones[k][l.z.zone[a]]),
			l.in(kind.zones[l.z.zone[b]], l.zones[k][l.z.zone[b]])
		ha, hb := l.in(kind.hosts[a], l.n[k][a]), l.in(kind.hosts[b], l.n[k][b])
		switch {
		case za != zb:
			return za.less(zb)
		case ha != hb:
			return ha.less(hb)
		default:
			return l.share(a) > l.share(b)
		}
	})
}

// pack places what is left of a kind where least is free.
func (l *arrangement) pack(k int) {
	l.each(k, func(a, b int) bool { return l.share(a) < l.share(b) })
}

// each places task by task on the host that is before all others.
func (l *arrangement) each(k int, before func(a, b int) bool) {
	for l.placed[k] < l.z.kinds[k].tasks {
		best := -1
		for h := range l.z.hosts {
			if l.fit(k, h) > 0 && (best < 0 || before(h, best)) {
				best = h
			}
		}
		if best < 0 {
			return
		}
		l.put(k, best, 1)
	}
}

// polish takes each kind up and fills again, so that it stands as evenly as it
// can where the others are. No kind gets fewer tasks by that, or less even.
func (l *arrangement) polish() {
	for k := range l.z.kinds {
		for h := range l.z.hosts {
			l.put(k, h, -l.n[k][h])
		}
		l.fill(k)
	}
}

func (l *arrangement) in(state tasks, n int) tasks { return state.plus(tasks{n, n}) }

func (l *arrangement) share(h int) int64 { return l.z.capacity.share(l.free[h]) }

// uneven is by how much the zones of a service differ, tasks in State and of its
// revision included. Standalone tasks have no spread to keep.
func (l *arrangement) uneven(k int) int {
	kind := &l.z.kinds[k]
	if kind.class.service == "" {
		return 0
	}
	most, fewest, any := 0, 0, false
	for zone, wants := range kind.wants {
		if !wants {
			continue
		}
		n := kind.zones[zone].revision + l.zones[k][zone]
		if !any {
			most, fewest, any = n, n, true
		}
		most, fewest = max(most, n), min(fewest, n)
	}
	return most - fewest
}

func (l *arrangement) total() int {
	n := 0
	for _, placed := range l.placed {
		n += placed
	}
	return n
}

func (l *arrangement) score() score {
	s := score{placed: l.total()}
	for k := range l.z.kinds {
		s.uneven += l.uneven(k)
	}
	return s
}

// quota is how many tasks of a kind each host is to take, by place in rooms.
func (l *arrangement) quota(k int) map[int32]int {
	quota := map[int32]int{}
	for h, n := range l.n[k] {
		if n > 0 {
			quota[l.z.hosts[h]] = n
		}
	}
	return quota
}
