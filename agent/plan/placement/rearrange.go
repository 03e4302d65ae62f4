package placement

import "slices"

// rearranged plans the pass once more by a better arrangement of its tasks, or
// returns nil where there is none or the fleet is too large to look for one.
//
// It asks only about classes of which a task would fit if nothing else were
// placed. An incremental pass has all of those in scope and a full pass has no
// others, so both ask the same question and get the same answer.
func (p *planner) rearranged() *planner {
	if !p.small || p.out.More {
		return nil
	}
	z, of := p.problem()
	if z == nil {
		return nil
	}
	found := z.solve(placed(of))
	if found == nil {
		return nil
	}
	for _, i := range z.hosts {
		p.capacity.read(p.in, i, p.capacity.hosts[i].host)
	}
	q := newPlanner(p.in, p.index)
	q.capacity, q.small = p.capacity, true
	q.follow(p.batches, of, found)
	// Dynamic ports, which the problem does not count, may have run out.
	got, had := placed(q.batches), placed(p.batches)
	if got > had || got == had && got == found.total() {
		return q
	}
	return nil
}

// problem states the problem, or returns nil where there is none: fewer than two
// classes that want the same room, or too many for a search. The batches are
// those of the problem's kinds.
func (p *planner) problem() (*problem, []*batch) {
	z := newProblem(p.capacity)
	var of []*batch
	tasks := 0
	for _, b := range p.batches {
		if b.placed == 0 && !z.admits(&b.class) {
			continue
		}
		of = append(of, b)
		tasks += len(b.class.tasks)
		if len(of)*len(z.hosts) > MaxSearchCells || tasks > MaxSearchTasks {
			return nil, nil
		}
	}
	if len(of) < 2 {
		return nil, nil
	}
	for _, b := range of {
		z.add(&b.class)
	}
	return z, of
}

// follow places all batches again: those of the problem as found, then whatever
// still fits.
func (q *planner) follow(all, of []*batch, found *arrangement) {
	for _, b := range all {
		again := q.batch(b.class.tasks)
		again.quota = map[int32]int{}
		if k := slices.Index(of, b); k >= 0 {
			again.quota = found.quota(k)
		}
	}
	for _, b := range q.batches {
		q.place(b)
	}
	for _, b := range q.batches {
		b.quota = nil
		q.place(b)
	}
	for _, b := range q.batches {
		if q.out.Full() {
			return
		}
		q.report(b)
	}
}

func placed(batches []*batch) int {
	n := 0
	for _, b := range batches {
		n += b.placed
	}
	return n
}
