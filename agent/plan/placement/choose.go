package placement

import "container/heap"

// search finds hosts for one class, best first. It takes hosts off the zones'
// heaps only as far as it must and puts them back when it is done, so a class
// of k tasks costs O(k x (zones + log hosts)) where most hosts fit.
type search struct {
	capacity *fleetCapacity
	batch    *batch
	floor    int64 // a host with a smaller share cannot fit
	zones    []zoneSearch
}

// zoneSearch is the search in one zone.
type zoneSearch struct {
	zone  *zoneCapacity
	next  candidate // the best of the zone, when has
	has   bool
	used  candidates // hosts that hold tasks of the service and fit
	aside []int32    // taken off the heap and of no use to this class
}

// candidate is a host with what it is compared by.
type candidate struct {
	host  int32
	count tasks
	score int64
}

func (a candidate) less(b candidate) bool {
	switch {
	case a.count != b.count:
		return a.count.less(b.count)
	case a.score != b.score:
		return a.score > b.score
	default:
		return a.host < b.host
	}
}

func (r *fleetCapacity) search(b *batch) *search {
	f := &search{capacity: r, batch: b, zones: make([]zoneSearch, len(r.zones))}
	f.floor = r.share(b.class.need)
	for i, z := range r.zones {
		f.zones[i].zone = z
	}
	return f
}

// best returns the host the next task goes to, or false when none fits: the
// zone with fewest tasks, in it the host with fewest, of those the most free.
func (f *search) best() (int32, bool) {
	var best *zoneSearch
	var count tasks
	for i := range f.zones {
		z := &f.zones[i]
		if !f.fill(z) {
			continue
		}
		n := f.batch.spread.zones[i]
		if best == nil || n.less(count) || n == count && z.next.less(best.next) {
			best, count = z, n
		}
	}
	if best == nil {
		return 0, false
	}
	return best.next.host, true
}

// fill finds a zone's best host. Hosts without a task of the service come off
// the heap in the right order; others wait in used until no such host is left.
func (f *search) fill(z *zoneSearch) bool {
	for !z.has && !z.zone.empty() && z.zone.top().score >= f.floor {
		z.has = f.offer(z, z.zone.pop())
	}
	if !z.has && len(z.used) > 0 {
		z.next, z.has = heap.Pop(&z.used).(candidate), true
	}
	return z.has
}

// offer sorts a host in; true says that it is the zone's best.
func (f *search) offer(z *zoneSearch, i int32) bool {
	h := &f.capacity.hosts[i]
	if !f.capacity.fits(i, &f.batch.class) || !f.batch.mayTake(i) {
		z.aside = append(z.aside, i)
		return false
	}
	c := candidate{host: i, count: f.batch.spread.onHost(h), score: h.score}
	if c.count == (tasks{}) {
		z.next = c
		return true
	}
	heap.Push(&z.used, c)
	return false
}

// again puts the host that best returned back in, after a task went there or
// could not.
func (f *search) again(i int32) {
	z := &f.zones[f.capacity.hosts[i].zone]
	z.has = false
	z.has = f.offer(z, i)
}

// end gives all hosts back to their zones.
func (f *search) end() {
	for i := range f.zones {
		z := &f.zones[i]
		if z.has {
			z.zone.push(z.next.host)
		}
		for _, c := range z.used {
			z.zone.push(c.host)
		}
		for _, h := range z.aside {
			z.zone.push(h)
		}
	}
}

// candidates is a heap, best first.
type candidates []candidate

func (c candidates) Len() int           { return len(c) }
func (c candidates) Less(i, j int) bool { return c[i].less(c[j]) }
func (c candidates) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)        { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	old := *c
	last := old[len(old)-1]
	*c = old[:len(old)-1]
	return last
}
