package service

import "skein/raftfsm/fleet"

// taskCounts counts tasks that are to run, on reachable hosts or not placed yet.
type taskCounts struct {
	pending   int // below RUNNING
	starting  int // RUNNING, health not known yet
	healthy   int // RUNNING and healthy as ECS API, DeploymentConfiguration counts
	unhealthy int // RUNNING and judged unhealthy, its grace period over
}

func (g taskCounts) running() int { return g.starting + g.healthy + g.unhealthy }
func (g taskCounts) present() int { return g.pending + g.running() }

// weak are running tasks that are not healthy.
func (g taskCounts) weak() int { return g.starting + g.unhealthy }

func (g taskCounts) plus(o taskCounts) taskCounts {
	return taskCounts{g.pending + o.pending, g.starting + o.starting, g.healthy + o.healthy, g.unhealthy + o.unhealthy}
}

func (g taskCounts) minus(o taskCounts) taskCounts {
	return taskCounts{g.pending - o.pending, g.starting - o.starting, g.healthy - o.healthy, g.unhealthy - o.unhealthy}
}

// coming are tasks that may yet turn healthy.
func (g taskCounts) coming() int { return g.pending + g.starting }

// inputs is all that the arithmetic knows of a service.
type inputs struct {
	revisions   []revisionInputs // of the goals, in their order
	most        int              // tasks of the service at once
	minHealthy  int
	current     taskCounts // sum over revisions, those that are idle aside
	idle        taskCounts // of revisions that serve nobody
	old         taskCounts // of no revision in the goals, or to be replaced
	apart       bool       // see apart
	cutOff      int        // tasks that may run on hosts nobody hears; see cutoff.go
	cutOffUntil fleet.Time // when the first of those has ended
}

// revisionInputs is a revision in the goals.
type revisionInputs struct {
	goal    fleet.RevisionGoal
	current taskCounts // those that are not to be replaced
	moving  taskCounts // those that are: they are old, and within the revision's bound
	backOff bool       // no start before a time that is not yet
}

// missing is how many healthy tasks a revision lacks; one that is held lacks none.
func (r revisionInputs) missing() int {
	if r.goal.Held {
		return 0
	}
	return max(0, r.goal.Desired-r.current.healthy)
}

func (n inputs) present() int { return n.current.present() + n.idle.present() + n.old.present() }
func (n inputs) running() int { return n.current.running() + n.old.running() }
func (n inputs) healthy() int { return n.current.healthy + n.old.healthy }

// apart reports whether each of several revisions is led to a count of its own: then who is
// to be replaced goes for another task of its own revision alone.
func apart(goals []fleet.RevisionGoal) bool {
	led := 0
	for _, g := range goals {
		if !g.Held {
			led++
		}
	}
	return led > 1
}

// shared are the old tasks in whose place any task of the goals may stand.
func (n inputs) shared() taskCounts {
	all := n.old
	if !n.apart {
		return all
	}
	for _, r := range n.revisions {
		all = all.minus(r.moving)
	}
	return all
}

// bare is how many healthy tasks are missing in whose place none runs that is to be replaced
// by others of its revision alone.
func (n inputs) bare() (sum int) {
	if !n.apart {
		return n.missing()
	}
	for _, r := range n.revisions {
		sum += max(0, r.missing()-r.moving.healthy)
	}
	return sum
}

func (n inputs) desired() int {
	sum := 0
	for _, r := range n.revisions {
		sum += r.goal.Desired
	}
	return sum
}

func (n inputs) missing() int {
	sum := 0
	for _, r := range n.revisions {
		sum += r.missing()
	}
	return sum
}

// adjustments is what to do, in this order; each stop names how many tasks of which
// kind.
type adjustments struct {
	revisions    []revisionAdjustments // as in inputs
	stopPending  int                   // old tasks that do not run yet
	stopOld      int                   // old running tasks, those of shared, that healthy current ones have replaced
	stopOldFirst int                   // old running tasks that stop first, for want of room
	stuck        bool                  // the bounds let nothing start and nothing stop
}

// revisionAdjustments is what to do about a revision in the goals.
type revisionAdjustments struct {
	stopComing         int // tasks not yet healthy that nobody needs
	stopUnhealthy      int // unhealthy tasks that others have replaced
	stopHealthy        int // healthy tasks beyond desired
	stopMoving         int // running tasks to be replaced that others of the revision, apart, have replaced
	stopUnhealthyFirst int // unhealthy tasks that stop first, for want of room
	create             int
}

func (a revisionAdjustments) stops() int {
	return a.stopComing + a.stopUnhealthy + a.stopHealthy + a.stopMoving + a.stopUnhealthyFirst
}

// stops is how many tasks are to stop.
func (m adjustments) stops() int {
	sum := m.stopPending + m.stopOld + m.stopOldFirst
	for _, a := range m.revisions {
		sum += a.stops()
	}
	return sum
}

// mayStart is how many tasks an upper bound still lets start, mayStop how many
// of the healthy (or running) the lower bound lets stop. Source: ECS API, DeploymentConfiguration.
func mayStart(upper, present int) int { return max(0, upper-present) }
func mayStop(healthy, lower int) int  { return max(0, healthy-lower) }

// decide is the rolling arithmetic. Each revision is led to its goal; old and unhealthy
// tasks stay until healthy current ones stand in for them, one for one; only where the
// upper bound can never hold one task more than desired do tasks stop first, within the
// lower bound. Of several revisions none is short because another one has all that it needs:
// who is to be replaced goes for a healthy task of its own revision. Tasks that may run cut
// off are no reason to stop anything: they only put off their replacements. Idle tasks stop
// at once and count for no minimum. See ../DESIGN.md for the rules by number.
func decide(n inputs) adjustments {
	m := adjustments{revisions: make([]revisionAdjustments, len(n.revisions))}
	spare := mayStop(n.healthy(), n.minHealthy) // of several revisions, one may be surplus while another is missing
	for i, r := range n.revisions {
		switch {
		case r.goal.Idle:
			m.revisions[i] = surplusOf(r, r.current.healthy)
			continue
		case r.goal.Held:
			m.revisions[i] = surplusOf(r, spare)
			spare -= m.revisions[i].stopHealthy
			continue
		}
		m.revisions[i] = revisionAdjustments{
			stopComing:    max(0, r.current.coming()-r.missing()),
			stopUnhealthy: max(0, r.current.unhealthy-r.missing()),
			stopHealthy:   min(spare, max(0, r.current.healthy-r.goal.Desired)),
		}
		if n.apart {
			m.revisions[i].stopMoving = max(0, r.moving.running()-r.missing())
		}
		spare -= m.revisions[i].stopHealthy
	}
	m.stopPending = n.old.pending
	m.stopOld = max(0, n.shared().running()-n.bare())

	wanted, want := m.wanted(n)
	if want == 0 {
		return m
	}
	if m.start(n, wanted) == 0 && n.current.coming() == 0 {
		m.stopFirst(n, wanted, want)
		m.stuck = m.start(n, wanted) == 0
	}
	return m
}

// surplusOf is what a revision that is held has beyond its goal, what serves least first.
func surplusOf(r revisionInputs, spare int) (a revisionAdjustments) {
	over := max(0, r.current.present()-r.goal.Desired)
	a.stopComing = min(over, r.current.coming())
	a.stopUnhealthy = min(over-a.stopComing, r.current.unhealthy)
	a.stopHealthy = min(over-a.stopComing-a.stopUnhealthy, spare)
	return a
}

// wanted is how many tasks of each revision are to start, were there room, and the sum.
func (m *adjustments) wanted(n inputs) (wanted []int, sum int) {
	wanted = make([]int, len(n.revisions))
	cutOff := n.cutOff
	for i, r := range n.revisions {
		if r.backOff {
			continue
		}
		lacks := max(0, r.missing()-(r.current.coming()-m.revisions[i].stopComing))
		wanted[i] = max(0, lacks-cutOff)
		cutOff -= lacks - wanted[i]
		sum += wanted[i]
	}
	return wanted, sum
}

// start gives the room that there is to revisions in their order, and returns how many
// tasks start. A bound that is not below the service's says nothing that this does
// not say.
func (m *adjustments) start(n inputs, wanted []int) (started int) {
	room := mayStart(n.most, n.present()-m.stops())
	for i, r := range n.revisions {
		a := &m.revisions[i]
		a.create = min(wanted[i], room)
		if r.goal.Max < n.most {
			a.create = min(a.create, mayStart(r.goal.Max, r.current.present()+r.moving.present()-a.stops()))
		}
		room -= a.create
		started += a.create
	}
	return started
}

// stopFirst finds what must stop before anything can start. One unhealthy task of a
// revision that wants others goes at a time; else old tasks go, never more than are
// wanted. RUNNING tasks stay at or above the lower bound, and so do healthy ones.
//
// Old tasks yield only where the upper bound can never hold one task more than
// desired: healthy current and old tasks are at most desired together, so
// whoever fills an upper bound above that is unhealthy. Of several revisions none yields
// its own: whoever puts such goals gives those that must move room.
func (m *adjustments) stopFirst(n inputs, wanted []int, want int) {
	unhealthy, healthy := 0, 0
	for i, a := range m.revisions {
		if !n.revisions[i].goal.Idle {
			unhealthy, healthy = unhealthy+a.stopUnhealthy, healthy+a.stopHealthy
		}
	}
	old := n.shared()
	stopping, stoppingHealthy := m.stopOld, healthyOf(old, m.stopOld)
	yields, weak := old.running()-m.stopOld, old.weak()-(m.stopOld-stoppingHealthy)
	for i, r := range n.revisions {
		stop := m.revisions[i].stopMoving
		stopping, stoppingHealthy = stopping+stop, stoppingHealthy+healthyOf(r.moving, stop)
	}
	mayStopRunning := mayStop(n.running()-unhealthy-healthy-stopping, n.minHealthy)
	for i, r := range n.revisions {
		if a := &m.revisions[i]; wanted[i] > 0 && mayStopRunning > 0 && r.current.unhealthy > a.stopUnhealthy {
			a.stopUnhealthyFirst = 1
			return
		}
	}
	mayStopHealthy := mayStop(n.healthy()-healthy-stoppingHealthy, n.minHealthy)
	m.stopOldFirst = min(want, yields, mayStopRunning, weak+mayStopHealthy)
}

// healthyOf is how many healthy ones are among old tasks that stop: they go last.
func healthyOf(old taskCounts, stop int) int { return max(0, stop-old.weak()) }
