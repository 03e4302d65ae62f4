package invariant

import (
	"fmt"
	"slices"

	"skein/raftfsm/fleet"
)

func (c *Checker) createTasks(ids []fleet.TaskID, s *service, revision fleet.RevisionID, def *definition) {
	for _, id := range ids {
		_, used := c.model.everTask[hashOf(id)]
		c.hold(idsAreNew, !used, func() string {
			return fmt.Sprintf("task %s is created, and a task of that id was there before", id)
		})
		c.model.everTask[hashOf(id)] = struct{}{}
		t := &task{id: id, service: s, revision: revision, def: def, toRun: true, health: fleet.HealthUnknown,
			created: c.model.now}
		c.model.tasks[id], c.model.waiting[id] = t, t
		c.status(t, fleet.TaskProvisioning)
		if s != nil {
			s.live[id], t.targets = t, s.newTargets(revision)
		}
		c.changed(t, false)
	}
}

func (c *Checker) assignTasks(cmd fleet.AssignTasks) {
	h := c.model.hosts[cmd.Host]
	if h == nil {
		return
	}
	c.assignable(h, len(cmd.Tasks))
	for i, id := range cmd.Tasks {
		t := c.model.tasks[id]
		if t == nil || t.host != nil {
			c.hold(modelAgrees, false, func() string {
				return fmt.Sprintf("task %s is assigned to %s, and has a host or is not there", id, h.name)
			})
			continue
		}
		t.host, t.session = h, h.session
		if cmd.Ports != nil {
			t.ports = cmd.Ports[i]
		}
		c.status(t, fleet.TaskPending)
		c.changed(t, false)
	}
	c.fits(h)
}

// replaceTasks marks tasks that others are to replace, or takes the mark away.
func (c *Checker) replaceTasks(cmd fleet.ReplaceTasks) {
	for _, id := range cmd.Tasks {
		t := c.model.tasks[id]
		if t == nil || !t.toRun || t.replace != 0 && cmd.Cause != 0 {
			continue
		}
		t.replace = cmd.Cause
		c.changed(t, t.held())
	}
}

// accepted are the shares that State took.
func accepted(cmd fleet.PlaceTasks, result *fleet.Result) []fleet.AssignTasks {
	var shares []fleet.AssignTasks
	for i, share := range cmd.Shares {
		if !slices.ContainsFunc(result.Refused, func(r fleet.ShareRefusal) bool { return r.Share == i }) {
			shares = append(shares, share)
		}
	}
	return shares
}

// stopTasks marks tasks to stop. What a planner may stop is judged by the counts
// that are left (own stops, replacement first).
func (c *Checker) stopTasks(e *Entry, cmd fleet.StopTasks) {
	c.hold(stopsSayWhy, cmd.Cause != 0 && (cmd.Cause == fleet.CauseOperator) != c.model.planning, func() string {
		return fmt.Sprintf("%d tasks are to stop for cause %q, by a planner: %v", len(cmd.Tasks), cmd.Cause, c.model.planning)
	})
	var stops stops
	for _, id := range cmd.Tasks {
		t := c.model.tasks[id]
		if t == nil || !t.toRun {
			continue
		}
		if c.model.planning {
			stops.note(c, t, e.Planned)
			c.blueStays(t, e.Planned)
			c.graceOver(t, cmd.Cause, e.Planned)
		}
		was := t.held()
		t.toRun, t.cause = false, cmd.Cause
		if t.host == nil {
			c.status(t, fleet.TaskStopped)
		}
		c.changed(t, was)
	}
	for i := range stops {
		c.ownStops(&stops[i], e.Planned)
	}
}

// status moves a task to a status that is not the one it has.
func (c *Checker) status(t *task, to fleet.TaskStatus) {
	t.last, t.at = to, c.now()
	if to == fleet.TaskStopped {
		t.stoppedAt = c.model.now
		c.model.stopped = append(c.model.stopped, t)
	}
}

// changed keeps everything that is summed over tasks after one of them changed;
// was says whether its host held it before.
func (c *Checker) changed(t *task, was bool) {
	if h := t.host; h != nil {
		switch is := t.held(); {
		case is && !was:
			c.take(h, t)
		case was && !is:
			c.release(h, t)
		}
	}
	if t.host != nil || !t.toRun {
		delete(c.model.waiting, t.id)
	}
	c.encodedSize(t)
	if s := t.service; s != nil {
		s.moved(c.log.index)
		if t.last == fleet.TaskStopped {
			delete(s.live, t.id)
			c.dropDrained(s)
		}
	}
	if !t.dirty {
		t.dirty = true
		c.model.dirty = append(c.model.dirty, t)
	}
}

func (c *Checker) take(h *host, t *task) {
	h.held[t.id] = t
	h.reserved = plus(h.reserved, t.def.need)
	for _, p := range t.ports {
		use := port{p.Protocol, p.HostPort}
		other := h.ports[use]
		c.hold(withinCapacity, other == nil, func() string {
			return fmt.Sprintf("port %d/%s of %s is given to %s and held by %s", use.number, use.protocol, h.name, t.id,
				other.id)
		})
		h.ports[use] = t
	}
}

func (c *Checker) release(h *host, t *task) {
	delete(h.held, t.id)
	h.reserved = minus(h.reserved, t.def.need)
	if h.shrunk && !exceeds(h.reserved, h.capacity) {
		h.shrunk = false
	}
	for _, p := range t.ports {
		if use := (port{p.Protocol, p.HostPort}); h.ports[use] == t {
			delete(h.ports, use)
		}
	}
	c.opened(h)
}

// prune drops what State dropped: only tasks that are over, and known to be. The
// full comparison finds any other that is missing.
func (c *Checker) prune(cmd fleet.Prune, after *fleet.State) {
	m := &c.model
	kept := 0
	var i int
	for i = 0; i < len(m.stopped) && m.stopped[i].stoppedAt < cmd.Before; i++ {
		t := m.stopped[i]
		if t.unconfirmed || after.Task(t.id) != nil {
			m.stopped[kept] = t
			kept++
			continue
		}
		delete(m.tasks, t.id)
		c.forgetTask(t)
	}
	m.stopped = slices.Delete(m.stopped, kept, i)
	for id, h := range m.hosts {
		if h.state == fleet.HostForgotten && after.Host(id) == nil {
			delete(m.hosts, id)
		}
	}
	c.pruneEffects(after)
}
