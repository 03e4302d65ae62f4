package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// compare checks the rows that an entry named against the model: State does what
// its commands say.
func (c *Checker) compare(after *fleet.State) {
	for _, t := range c.model.dirty {
		t.dirty = false
		if why := differs(t, after.Task(t.id)); why != "" {
			c.hold(modelAgrees, false, func() string { return "task " + string(t.id) + ": " + why })
		} else {
			c.counters[modelAgrees].evaluated++
		}
		c.finality(t, after.Task(t.id))
	}
	for _, h := range c.model.changeSet {
		why := hostDiffers(h, after.Host(h.id))
		c.hold(modelAgrees, why == "", func() string { return "host " + h.name + ": " + why })
	}
	c.model.dirty, c.model.changeSet = c.model.dirty[:0], c.model.changeSet[:0]
}

// finality is I6 for rows: what stopped stays so.
func (c *Checker) finality(t *task, row *fleet.Task) {
	if t.last != fleet.TaskStopped || row == nil {
		return
	}
	c.hold(stoppedIsFinal, row.Last == fleet.TaskStopped && row.Desired == fleet.TaskStopped, func() string {
		return fmt.Sprintf("task %s had stopped and is %s (to be %s)", t.id, row.Last, row.Desired)
	})
}

// differs says how a task's row is not what its commands make it; empty when it
// is. A task that the same entry pruned has none.
func differs(t *task, row *fleet.Task) string {
	if row == nil {
		if t.last == fleet.TaskStopped && !t.unconfirmed {
			return ""
		}
		return "State has no row of it"
	}
	host := fleet.HostID("")
	if t.host != nil {
		host = t.host.id
	}
	toRun := row.Desired == fleet.TaskRunning
	switch {
	case row.Host != host:
		return fmt.Sprintf("its host is %q, want %q", row.Host, host)
	case row.Last != t.last || toRun != t.toRun:
		return fmt.Sprintf("it is %s and to run: %v; want %s, %v", row.Last, toRun, t.last, t.toRun)
	case row.StopCause() != t.cause:
		return fmt.Sprintf("it is to stop for %q, want %q", row.StopCause(), t.cause)
	case (row.Replace != nil) != (t.replace != 0) || row.Replace != nil && row.Replace.Cause != t.replace:
		return fmt.Sprintf("it is to be replaced for %+v, want %q", row.Replace, t.replace)
	case row.Unconfirmed != t.unconfirmed:
		return fmt.Sprintf("unconfirmed is %v, want %v", row.Unconfirmed, t.unconfirmed)
	case row.Attempt != t.attempt:
		return fmt.Sprintf("its attempt is %d, want %d", row.Attempt, t.attempt)
	case t.last == fleet.TaskRunning && (row.Health != t.health || row.StartedAt != t.started):
		return fmt.Sprintf("it is %s since %s, want %s since %s", row.Health, row.StartedAt, t.health, t.started)
	case t.last == fleet.TaskRunning:
		return targetsDiffer(t, row)
	}
	return ""
}

func hostDiffers(h *host, row *fleet.Host) string {
	switch {
	case row == nil:
		if h.state == fleet.HostForgotten {
			return ""
		}
		return "State has no row of it"
	case row.State != h.state || row.StateSince != h.stateSince:
		return fmt.Sprintf("it is %s since %s, want %s since %s", row.State, row.StateSince, h.state, h.stateSince)
	case row.Session.N != h.session || row.Session.Boot != h.boot || row.BootSession != h.bootSession:
		return fmt.Sprintf("its session is %+v (boot since %d), want %d of boot %q (since %d)", row.Session, row.BootSession,
			h.session, h.boot, h.bootSession)
	case (row.Cordon != nil) != h.cordoned || row.Draining() != h.draining:
		return fmt.Sprintf("cordoned is %v, draining %v; want %v, %v", row.Cordon != nil, row.Draining(), h.cordoned,
			h.draining)
	case row.Capacity != h.capacity || row.Zone != h.zone:
		return fmt.Sprintf("it has %+v in zone %s, want %+v in %s", row.Capacity, row.Zone, h.capacity, h.zone)
	}
	return ""
}
