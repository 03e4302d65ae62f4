package invariant

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// stubborn is how long a service that keeps failing may pause between tries:
// the longest back-off (raftfsm/fleet/DESIGN.md "Crash back-off"), twice.
const stubborn fleet.Time = 600_000

// Desired lists what is not as desired though faults have stopped; nothing may
// be left (after faults stop, the fleet must come to rest).
// Patience is how long one step may take: what began later is left alone. Waits
// are read from State; all else is the model's own. It looks at everything.
func (c *Checker) Desired(s *fleet.State, patience time.Duration) []string {
	q := quiescence{c: c, s: s, patience: patience,
		now: c.model.now + fleet.Time((c.now() - c.model.nowAt).Milliseconds())}
	for _, name := range sorted(c.model.services) {
		q.service(c.model.services[name])
	}
	for _, id := range sorted(c.model.tasks) {
		q.task(c.model.tasks[id])
	}
	for _, id := range sorted(c.model.hosts) {
		q.host(c.model.hosts[id])
	}
	q.containers()
	for w := range s.Conditions() {
		q.wait(w)
	}
	return q.said
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

type quiescence struct {
	c        *Checker
	s        *fleet.State
	patience time.Duration
	now      fleet.Time // of the fleet, were an entry applied now
	said     []string
}

func (q *quiescence) say(format string, args ...any) {
	q.said = append(q.said, fmt.Sprintf(format, args...))
}

// old reports whether something has been so for longer than a step may take.
func (q *quiescence) old(since time.Duration) bool { return q.c.now()-since > q.patience }

// well reports whether a host is up and heard by a majority of voters.
func (q *quiescence) well(id fleet.HostID) bool { return q.c.heard(id) }

// room finds a host that takes one more task of a definition: brute force.
func (q *quiescence) room(d *definition) *host {
	for _, id := range sorted(q.c.model.hosts) {
		if h := q.c.model.hosts[id]; h.takes(d) && q.well(id) {
			return h
		}
	}
	return nil
}

// hostCounts is a service's tasks that are to run and reachable.
type hostCounts struct{ healthy, unhealthy, coming, old, present int }

func (q *quiescence) hostCounts(v *service) hostCounts {
	var n hostCounts
	for _, t := range v.live {
		if !t.toRun || !t.reaches() {
			continue
		}
		n.present++
		switch {
		case t.revision != v.revision || t.replace != 0:
			n.old++
		case t.isHealthy(q.now):
			n.healthy++
		case t.isUnhealthy(q.now):
			n.unhealthy++
		default:
			n.coming++
		}
	}
	return n
}

// service says what a service lacks, unless nothing can be done about it and a
// wait says so.
func (q *quiescence) service(v *service) {
	if v.draining {
		return // its tasks are listed one by one
	}
	if v.goals == nil || v.goals.by == "service" || !q.deployed(v) {
		if why := v.planned(); why != "" {
			q.say("%s", why)
		}
	}
	n, want := q.hostCounts(v), v.newest()
	switch {
	case n.healthy > want.desired || n.healthy == want.desired && n.present > want.desired:
		q.say("service %s has %d tasks to run, %d of %s healthy; %d are wanted", v.name, n.present, n.healthy, v.revision,
			want.desired)
	case n.healthy == want.desired:
	case !q.s.HasCondition(fleet.ServiceSubject(v.name)):
		q.say("service %s has %d of %d healthy, and nobody says why", v.name, n.healthy, want.desired)
	case v.failedAt != 0 && q.now < v.failedAt+stubborn: // it keeps failing
	case n.coming > 0: // and each of them is listed when it takes too long
	case q.stuck(n, want):
	case q.room(v.defs[v.revision]) != nil:
		q.say("service %s has %d of %d healthy, though %s has room for one more", v.name, n.healthy, want.desired,
			q.room(v.defs[v.revision]).name)
	}
}

// deployed reports whether goals are for a deployment to put: one is under way, or has left
// the service where it is.
func (q *quiescence) deployed(v *service) bool {
	row := q.s.Service(v.name)
	return q.s.LiveDeployment(v.name) != nil || row != nil && q.s.StalledDeployment(row) != nil
}

// stuck reports whether the bounds let neither start nor stop anything.
func (q *quiescence) stuck(n hostCounts, want setting) bool {
	running := n.healthy + n.unhealthy + n.old
	return n.present >= want.upper && running <= want.lower
}

// task says what is half done.
func (q *quiescence) task(t *task) {
	done := t.last == fleet.TaskStopped && !t.unconfirmed || t.last == fleet.TaskRunning && t.toRun
	if t.host == nil {
		q.unplaced(t)
		return
	}
	if !q.well(t.host.id) {
		return
	}
	switch {
	case !done && q.old(t.at):
		q.say("task %s on %s is %s (to run: %v, unconfirmed: %v) since %s", t.id, t.host.name, t.last, t.toRun, t.unconfirmed,
			t.at)
	case t.toRun && t.def.checked && t.reaches() && t.health == fleet.HealthUnknown && q.old(t.at):
		q.say("task %s on %s runs since %s, and its health is not known", t.id, t.host.name, t.at)
	case t.toRun && t.reaches() && q.old(t.at) && q.alive(t) == 0:
		q.say("task %s is said to run on %s, and has no container there", t.id, t.host.name)
	}
}

func (q *quiescence) alive(t *task) int {
	m := q.c.machines[Machine{t.host.id, t.host.boot}]
	if m == nil || m.tasks[t.id] == nil {
		return 0
	}
	return m.tasks[t.id].alive
}

func (q *quiescence) unplaced(t *task) {
	if !t.toRun || !q.old(t.at) {
		return
	}
	subject := fleet.TaskSubject(t.id)
	if t.service != nil {
		subject = fleet.ServiceSubject(t.service.name)
	}
	if h := q.room(t.def); h != nil {
		q.say("task %s waits for a host, and %s has room", t.id, h.name)
	} else if !q.s.HasCondition(subject) {
		q.say("task %s waits for a host, and nobody says why", t.id)
	}
}

// host says which hosts are not what they are believed to be.
func (q *quiescence) host(h *host) {
	w := q.c.world[h.id]
	if w == nil || h.revoked || h.state == fleet.HostForgotten || !q.old(max(w.since, w.faults, q.c.calmFrom)) {
		return
	}
	switch {
	case q.well(h.id) && h.state != fleet.HostReady && q.old(w.heardBy):
		q.say("host %s is up and heard since %s, and is %s", h.name, w.heardBy, h.state)
	case w.condition == virtual.Off && h.state == fleet.HostReady && !q.s.HasCondition(fleet.FleetSubject()):
		q.say("host %s is off since %s, and is %s", h.name, w.since, h.state)
	}
}

// containers says which are alive though nobody wants them.
func (q *quiescence) containers() {
	for _, id := range sorted(q.c.byHost) {
		for _, m := range q.c.byHost[id] {
			for _, task := range sorted(m.tasks) {
				q.remains(m, m.tasks[task])
			}
		}
	}
}

func (q *quiescence) remains(m *machine, r *remains) {
	if r.alive == 0 || !q.well(m.id.Host) || !q.old(r.at) {
		return
	}
	if r.task == nil || q.c.model.tasks[r.id] != r.task || r.task.last == fleet.TaskStopped && q.old(r.task.at) {
		q.say("%d containers of task %s are alive on %s, and nobody wants them", r.alive, r.id, m.id.Host)
	}
}

// wait says which waits have no reason any more.
func (q *quiescence) wait(w *fleet.Condition) {
	switch name := w.Subject.Name; w.Subject.Kind {
	case fleet.SubjectService:
		v := q.c.model.services[name]
		if v == nil || v.draining {
			q.say("%s waits (%s), and is deleted", w.Subject, w.Code)
		} else if n := q.hostCounts(v); n.healthy == v.newest().desired && n.present == n.healthy {
			q.say("%s waits (%s), and has all it wants", w.Subject, w.Code)
		}
	case fleet.SubjectTask:
		if q.c.model.waiting[fleet.TaskID(name)] == nil {
			q.say("%s waits (%s), and needs no host", w.Subject, w.Code)
		}
	case fleet.SubjectFleet:
		for _, h := range q.c.model.hosts {
			if h.state != fleet.HostForgotten && (h.state != fleet.HostReady || !q.well(h.id)) {
				return
			}
		}
		q.say("the fleet waits (%s), and all hosts are well", w.Code)
	default:
		q.say("%s waits (%s): %s", w.Subject, w.Code, w.Message)
	}
}
