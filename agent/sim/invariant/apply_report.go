package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// report takes in what a host said. Source: cmd/skein/DESIGN.md "Task lifecycle".
func (c *Checker) report(cmd fleet.Report) {
	h := c.model.hosts[cmd.Host]
	if h == nil {
		return
	}
	c.fence(h, cmd)
	if cmd.Seq <= h.seq {
		return
	}
	h.seq = cmd.Seq
	c.wasSent(h, cmd)
	if cmd.Capacity != nil {
		c.resize(h, *cmd.Capacity)
	}
	if h.state == fleet.HostJoining && passed(cmd.SelfCheck) {
		h.state, h.stateSince, h.everReady = fleet.HostReady, c.model.now, true
		c.opened(h)
		c.hostMoved()
	}
	for i := range cmd.Tasks {
		c.reportTask(h, &cmd.Tasks[i])
	}
}

func passed(checks []fleet.Check) bool {
	for _, k := range checks {
		if k.Required && !k.OK {
			return false
		}
	}
	return len(checks) > 0
}

// fence says that an agent of an earlier life is not heard any more, nor one
// that was declared lost. Source: cmd/skein/DESIGN.md I9.
func (c *Checker) fence(h *host, cmd fleet.Report) {
	c.hold(sessionFence, cmd.Session == h.session && h.state != fleet.HostLost && h.state != fleet.HostForgotten,
		func() string {
			return fmt.Sprintf("a report of session %d of %s was taken in; it is in session %d, and %s", cmd.Session, h.name,
				h.session, h.state)
		})
}

// sending is a session with the newest report that its agent sent.
type sending struct{ session, seq uint64 }

// ReportSent says that an agent hands a report to its session for the first
// time. Whoever tells it has the origin of reports checked, too.
func (c *Checker) ReportSent(id fleet.HostID, session, seq uint64) {
	if last := c.sent[id]; session > last.session || session == last.session && seq > last.seq {
		c.sent[id] = sending{session, seq}
	}
}

// wasSent says that nobody speaks in a host's name, and that no report of an
// earlier life passes for one of this: what is taken in was sent in the session
// that it names.
func (c *Checker) wasSent(h *host, cmd fleet.Report) {
	last, told := c.sent[h.id]
	if !told || c.cloned[h.id] {
		return
	}
	c.hold(reportsAreSent, cmd.Session == last.session && cmd.Seq <= last.seq, func() string {
		return fmt.Sprintf("report %d of session %d of %s was taken in; its agent is in session %d and has sent %d", cmd.Seq,
			cmd.Session, h.name, last.session, last.seq)
	})
}

func (c *Checker) reportTask(h *host, r *fleet.TaskReport) {
	t := c.model.tasks[r.Task]
	if t == nil || t.host != h || r.Status < t.last {
		return // not this host's, or behind: dropped
	}
	was := t.held()
	if t.last == fleet.TaskStopped {
		if t.unconfirmed {
			t.unconfirmed, t.hostSaid, t.session = false, true, h.session
			c.endsWithContainers(t)
			c.changed(t, was)
		}
		return
	}
	c.moveOn(t, r)
	t.session = h.session
	c.changed(t, was)
}

// moveOn takes in a task's new status, health and attempt.
func (c *Checker) moveOn(t *task, r *fleet.TaskReport) {
	heard, wasToRun := t.session >= t.host.bootSession, t.toRun
	anew := t.last < fleet.TaskRunning || t.attempt > 0 && r.Attempt > t.attempt
	t.attempt = max(t.attempt, r.Attempt)
	t.hearTargets(r, anew)
	if r.Status == fleet.TaskRunning {
		if anew {
			t.started, t.health = c.model.now, fleet.HealthUnknown
			if !t.def.checked {
				c.model.settling = append(c.model.settling, settling{t, t.started + healthyAfter})
			}
		}
		t.health = max(r.Health, fleet.HealthUnknown)
		if s := t.service; s != nil && t.toRun && t.revision == s.revision && c.model.now >= t.started+lastingRun {
			s.lasted()
		}
	}
	if r.Status != t.last {
		c.status(t, r.Status)
	}
	if r.Status > fleet.TaskRunning {
		c.endByItself(t, r)
		if wasToRun {
			c.failed(t, r, heard)
		}
	}
	if r.Status == fleet.TaskStopped {
		t.hostSaid = true
		c.endsWithContainers(t)
	}
}

// endByItself takes in the end of a task that nobody asked to stop. Its host may
// say why in a later report than that of the end.
func (c *Checker) endByItself(t *task, r *fleet.TaskReport) {
	code := r.StopCode
	switch {
	case t.toRun && code == 0 && t.session < t.host.bootSession:
		code = fleet.StopInfrastructureHealth // nobody saw it end: its machine restarted
	case !t.toRun && (!t.ended || code == 0):
		return
	}
	if t.toRun && t.service != nil {
		t.service.failedAt = c.model.now
	}
	t.toRun = false
	switch code {
	case fleet.StopInfrastructureHealth:
		t.cause = fleet.CauseHostLost
	case fleet.StopSpotInterruption, fleet.StopTerminationNotice:
		t.cause = fleet.CauseDeadline
	case fleet.StopUserInitiated:
		t.cause = fleet.CauseOperator
	default:
		t.cause = fleet.CauseTaskFailed
	}
	t.ended = code == 0 || code == fleet.StopTaskFailedToStart || code == fleet.StopEssentialContainerExited
}
