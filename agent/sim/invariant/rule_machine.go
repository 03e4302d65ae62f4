package invariant

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"skein/raftfsm/fleet"
)

// lateBound is how long a container may live that a dead agent's call made after
// its task had stopped: 10 minutes where its host has forgotten the task meanwhile and takes
// it for an orphan; a list a minute apart, removal within another (all agent/converge,
// "Looking" and "Limits"), and one more for a retry.
const lateBound = 13 * time.Minute

// machineFits is I3 in the real world: tasks with containers alive never need
// more than the machine has. Excepted are machines that shrank (until what is
// reserved fits again), tasks that an operator's forget took from State while
// they ran, and containers of stopped tasks that a dead agent's call made late,
// as long as they have not started.
func (c *Checker) machineFits(r *remains) {
	h := c.model.hosts[r.on.id.Host]
	if h == nil || h.shrunk || h.state == fleet.HostForgotten || h.boot != r.on.id.Boot {
		return
	}
	uses := r.on.uses
	if exceeds(uses, h.capacity) {
		uses = r.on.counted()
	}
	c.hold(machineHolds, !exceeds(uses, h.capacity), func() string {
		return fmt.Sprintf("%s needs cpu %d, memory %d for what lives on it, and has %d and %d; newest is task %s, with %s",
			h.name, uses.CPU, uses.Memory, h.capacity.CPU, h.capacity.Memory, r.id, r.on.living())
	})
}

// counted sums over a machine's tasks without those that are excepted.
func (m *machine) counted() fleet.Resources {
	var sum fleet.Resources
	for _, r := range m.tasks {
		if r.alive > 0 && r.task != nil && (r.task.held() || r.task.hostSaid && r.started > 0) {
			sum = plus(sum, r.task.def.need)
		}
	}
	return sum
}

// living names the tasks alive on a machine.
func (m *machine) living() string {
	var names []string
	for id, r := range m.tasks {
		if r.alive > 0 {
			names = append(names, string(id))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// portsFree is I3 for ports: no two tasks that have started on a machine hold
// one host port. Tasks taken from State by a forget are excepted.
func (c *Checker) portsFree(r *remains) {
	if r.task == nil || !r.task.held() {
		return
	}
	for _, p := range r.task.ports {
		use := port{p.Protocol, p.HostPort}
		other := r.on.ports[use]
		free := other == nil || other == r || other.alive == 0 || other.task == nil || !other.task.held() &&
			!other.task.hostSaid
		c.hold(machinePorts, free, func() string {
			return fmt.Sprintf("%s: task %s starts with port %d/%s, which task %s has", r.on.id.Host, r.id, use.number,
				use.protocol, other.id)
		})
		r.on.ports[use] = r
	}
}

// endsWithContainers is I3 at a task's end: when its host's word that it is
// STOPPED is committed, none of its containers runs there. One that was made and
// never started is excepted, for a dead agent's call may have made it late, until
// its time is over.
func (c *Checker) endsWithContainers(t *task) {
	m := c.machines[Machine{t.host.id, t.host.boot}]
	if c.cloned[t.host.id] {
		return
	}
	var r *remains
	if m != nil {
		r = m.tasks[t.id]
	}
	runs := ""
	if r != nil && r.alive > 0 {
		for _, name := range sorted(r.containers) {
			k := r.containers[name]
			switch {
			case k.alive && k.started:
				runs = name
			case k.alive:
				c.watchLate(k)
			}
		}
	}
	c.hold(reservationEnds, runs == "", func() string {
		return fmt.Sprintf("%s said that task %s is STOPPED, and its container %s runs", t.host.name, t.id, runs)
	})
}

// watchLate gives a container that nobody wants a time by which it must be gone.
func (c *Checker) watchLate(k *container) {
	k.deadline = c.now() + lateBound
	c.late = append(c.late, k)
}

// tick judges what time alone decides.
func (c *Checker) tick() {
	for len(c.late) > 0 && c.late[0].deadline <= c.now() {
		k := c.late[0]
		c.late[0] = nil
		c.late = c.late[1:]
		c.lateGone(k)
	}
}

// lateGone says that containers made after their task had stopped do not stay.
// Time counts only while the machine's agent was up and untouched by faults.
func (c *Checker) lateGone(k *container) {
	host := k.of.on.id.Host
	if k.alive && (!c.known(host) || !c.undisturbed(host, lateBound)) {
		c.watchLate(k)
		return
	}
	c.hold(lateContainersGo, !k.alive, func() string {
		return fmt.Sprintf("%s: container %s of task %s was made after the task had stopped, and is there %s later", host,
			k.name, k.of.id, lateBound)
	})
}

// known reports whether an identity is still one of the fleet's.
func (c *Checker) known(id fleet.HostID) bool {
	h := c.model.hosts[id]
	return h != nil && h.state != fleet.HostForgotten
}
