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

func (g taskCounts) minus(o taskCounts) taskCounts {
	return taskCounts{g.pending - o.pending, g.starting - o.starting, g.healthy - o.healthy, g.unhealthy - o.unhealthy}
}

// coming are tasks that may yet turn healthy.
func (g taskCounts) coming() int { return g.pending + g.starting }

// inputs is all that the arithmetic knows of a service.
type inputs struct {
	desired, minHealthy, maxRunning int
	current                         taskCounts // of the service's present revision
	old                             taskCounts // of any other, or to be replaced
	backOff                         bool       // no start before a time that is not yet
	cutOff                          int        // tasks that may run on hosts nobody hears; see cutoff.go
	cutOffUntil                     fleet.Time // when the first of those has ended
}

func (n inputs) present() int { return n.current.present() + n.old.present() }
func (n inputs) running() int { return n.current.running() + n.old.running() }
func (n inputs) healthy() int { return n.current.healthy + n.old.healthy }

// adjustments is what to do, in this order; each stop names how many tasks of which
// kind.
type adjustments struct {
	stopComing         int // current tasks not yet healthy that nobody needs
	stopUnhealthy      int // current unhealthy tasks that others have replaced
	stopHealthy        int // current healthy tasks beyond desired
	stopPending        int // old tasks that do not run yet
	stopOld            int // old running tasks that healthy current ones have replaced
	stopOldFirst       int // old running tasks that stop first, for want of room
	stopUnhealthyFirst int // current unhealthy tasks that stop first, for want of room
	create             int
	stuck              bool // the bounds let nothing start and nothing stop
}

// stops reports whether any task is to stop.
func (m adjustments) stops() bool {
	return m.stopComing+m.stopUnhealthy+m.stopHealthy+m.stopPending+m.stopOld+m.stopOldFirst+m.stopUnhealthyFirst > 0
}

// mayStart is how many tasks the upper bound still lets start, mayStop how many
// of the healthy (or running) the lower bound lets stop. Source: ECS API, DeploymentConfiguration.
func mayStart(upper, present int) int { return max(0, upper-present) }
func mayStop(healthy, lower int) int  { return max(0, healthy-lower) }

// decide is the rolling arithmetic. Old and unhealthy tasks stay until healthy
// current ones stand in for them, one for one; only where the upper bound can
// never hold one task more than desired do tasks stop first, within the lower
// bound. Tasks that may run cut off are no reason to stop anything: they only
// put off their replacements. See ../DESIGN.md for the rules by number.
func decide(n inputs) adjustments {
	var m adjustments
	missing := max(0, n.desired-n.current.healthy)
	m.stopComing = max(0, n.current.coming()-missing)
	m.stopUnhealthy = max(0, n.current.unhealthy-missing)
	m.stopHealthy = max(0, n.current.healthy-n.desired)
	m.stopPending = n.old.pending
	m.stopOld = max(0, n.old.running()-missing)

	want := max(0, missing-(n.current.coming()-m.stopComing)-n.cutOff)
	if want == 0 || n.backOff {
		return m
	}
	left := n.present() - m.stopComing - m.stopUnhealthy - m.stopHealthy - m.stopPending - m.stopOld
	room := mayStart(n.maxRunning, left)
	if room == 0 && n.current.coming() == 0 {
		m.stopUnhealthyFirst, m.stopOldFirst = stopFirst(n, m, want)
		room = mayStart(n.maxRunning, left-m.stopUnhealthyFirst-m.stopOldFirst)
		m.stuck = room == 0
	}
	m.create = min(want, room)
	return m
}

// stopFirst finds what must stop before anything can start. One unhealthy current
// task goes at a time; else old tasks go, never more than are wanted. RUNNING
// tasks stay at or above the lower bound, and so do healthy ones.
//
// Old tasks yield only where the upper bound can never hold one task more than
// desired: healthy current and old tasks are at most desired together, so
// whoever fills an upper bound above that is unhealthy.
func stopFirst(n inputs, m adjustments, want int) (sick, old int) {
	mayStopRunning := mayStop(n.running()-m.stopUnhealthy-m.stopHealthy-m.stopOld, n.minHealthy)
	if n.current.unhealthy-m.stopUnhealthy > 0 && mayStopRunning > 0 {
		return 1, 0
	}
	keptOld := n.old.running() - m.stopOld
	weak := max(0, n.old.running()-n.old.healthy-m.stopOld) // they stop before healthy ones
	mayStopHealthy := mayStop(n.healthy()-m.stopHealthy-max(0, m.stopOld-(n.old.running()-n.old.healthy)), n.minHealthy)
	return 0, min(want, keptOld, mayStopRunning, weak+mayStopHealthy)
}
