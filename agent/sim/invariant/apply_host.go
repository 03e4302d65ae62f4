package invariant

import (
	"fmt"
	"slices"

	"skein/raftfsm/fleet"
)

func (c *Checker) admit(id fleet.HostID, name, zone string) *host {
	h := &host{id: id, name: name, zone: zone, state: fleet.HostJoining, stateSince: c.model.now,
		held: map[fleet.TaskID]*task{}, ports: map[port]*task{}}
	c.model.hosts[id] = h
	c.touch(h)
	return h
}

// admitHost adds a host; one that joins again under a key that is known may have
// moved to another zone, which only its row tells.
func (c *Checker) admitHost(e *Entry, cmd fleet.AdmitHost, result *fleet.Result) {
	id := fleet.HostID(result.IDs[0])
	h := c.model.hosts[id]
	if h == nil {
		h = c.admit(id, cmd.Host.Name, cmd.Host.Zone)
	}
	if row := e.After.Host(id); row != nil {
		h.name, h.zone, h.revoked = row.Name, row.Zone, row.Cert.Revoked
	}
}

func (c *Checker) openSession(cmd fleet.OpenSession) {
	h := c.model.hosts[cmd.Host]
	if h == nil {
		return
	}
	if cmd.Contested && h.session > 0 && cmd.Boot != h.boot { // hosts of the simulator keep their addresses
		return
	}
	if cmd.TooOld && max(cmd.Format, 1) < c.model.format {
		return // see TooOld
	}
	h.zone = cmd.Zone
	h.session++
	h.sessionSince = c.model.now
	h.reads, h.shunned = max(cmd.Format, 1), false
	h.seq = 0
	if cmd.Boot != h.boot {
		if h.boot != "" && (h.state == fleet.HostReady || h.state == fleet.HostJoining) {
			h.silentSince = 0 // it was down unnoticed
		}
		h.boot, h.bootSession = cmd.Boot, h.session
	}
	if h.state == fleet.HostSilent && h.flaps == 0 || h.state == fleet.HostLost {
		h.wake(c.model.now)
	}
	c.resize(h, cmd.Capacity)
	c.opened(h)
	c.reweigh(h)
}

func (h *host) wake(now fleet.Time) {
	h.state, h.stateSince = fleet.HostJoining, now
	if h.everReady {
		h.state = fleet.HostReady
	}
}

// resize takes in a new capacity. One that shrank may hold more than it has,
// until enough of it has gone.
func (c *Checker) resize(h *host, capacity fleet.Resources) {
	if h.capacity == capacity {
		return
	}
	h.capacity = capacity
	h.shrunk = exceeds(h.reserved, capacity)
	c.opened(h)
}

// opened notes that a host may have more room than before.
func (c *Checker) opened(h *host) { h.roomAt = c.log.index; c.touch(h) }

func (c *Checker) silenceHost(cmd fleet.SilenceHost) {
	h := c.model.hosts[cmd.Host]
	if h == nil || h.state == fleet.HostSilent || h.state == fleet.HostLost {
		return
	}
	c.falseDeath(h, "silent")
	c.paced(h)
	c.flapCounted(h, cmd)
	h.state, h.stateSince, h.flaps = fleet.HostSilent, c.model.now, cmd.Flaps
	h.silentSince, h.silentAt = c.model.now, c.now()
	c.halfHeard(h)
	c.reweigh(h)
}

func (c *Checker) loseHost(cmd fleet.LoseHost) {
	h := c.model.hosts[cmd.Host]
	if h == nil || h.state == fleet.HostLost {
		return
	}
	c.falseDeath(h, "lost")
	c.silentLongEnough(h)
	h.state, h.stateSince = fleet.HostLost, c.model.now
	c.reweigh(h)
}

func (c *Checker) returnHost(cmd fleet.ReturnHost) {
	h := c.model.hosts[cmd.Host]
	if h == nil || h.state != fleet.HostSilent {
		return
	}
	c.heldBack(h)
	h.wake(c.model.now)
	c.opened(h)
	c.reweigh(h)
}

func (c *Checker) cordon(id fleet.HostID, on bool) {
	if h := c.model.hosts[id]; h != nil && h.cordoned != on {
		h.cordoned = on
		c.opened(h)
	}
}

// forgetHost ends an identity: what it held is over, though nobody asked it.
func (c *Checker) forgetHost(cmd fleet.ForgetHost) {
	h := c.model.hosts[cmd.Host]
	if h == nil || h.state == fleet.HostForgotten {
		return
	}
	for _, t := range h.tasks() {
		c.endWithoutWord(t, false)
	}
	h.state, h.stateSince = fleet.HostForgotten, c.model.now
	c.reweigh(h)
}

func (c *Checker) expireTasks(cmd fleet.ExpireTasks) {
	h := c.model.hosts[cmd.Host]
	if h == nil {
		return
	}
	c.hold(onlyLostExpire, h.state == fleet.HostLost, func() string {
		return fmt.Sprintf("tasks of %s expired, which is %s", h.name, h.state)
	})
	for _, t := range h.tasks() {
		if t.last != fleet.TaskStopped {
			c.endWithoutWord(t, true)
		}
	}
}

// endWithoutWord records an end that the fleet declared.
func (c *Checker) endWithoutWord(t *task, unconfirmed bool) {
	was := t.held()
	t.unconfirmed = unconfirmed
	if t.last != fleet.TaskStopped {
		if t.toRun {
			t.toRun, t.cause = false, fleet.CauseHostLost
		}
		c.status(t, fleet.TaskStopped)
	}
	c.changed(t, was)
}

// tasks lists what a host holds, in the order of ids: maps have none.
func (h *host) tasks() []*task {
	list := make([]*task, 0, len(h.held))
	for _, t := range h.held {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *task) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return list
}

// hostMoved notes that the state of a host has changed.
func (c *Checker) hostMoved() {
	if m := &c.model; m.hostsChangedAt != c.log.index {
		m.hostsChangedBefore, m.hostsChangedAt = m.hostsChangedAt, c.log.index
	}
}

// touch has a host's row compared at the end of the entry.
func (c *Checker) touch(h *host) {
	if n := len(c.model.changeSet); n == 0 || c.model.changeSet[n-1] != h {
		c.model.changeSet = append(c.model.changeSet, h)
	}
}
