package invariant

import (
	"time"

	"skein/raftfsm/fleet"
)

// Machine is a host in one boot. Two machines with one identity (a cloned disk)
// differ by boot.
type Machine struct {
	Host fleet.HostID
	Boot string
}

// Cause is how a container ended.
type Cause uint8

// The causes.
const (
	Itself     Cause = iota // it exited, was killed by its kernel, or never came up
	Signalled               // by a signal of its agent
	MachineOff              // with its machine
	Removed                 // its agent removed it before it had run
)

// machine is what really is on a machine.
type machine struct {
	id    Machine
	tasks map[fleet.TaskID]*remains
	uses  fleet.Resources // by tasks with containers alive
	ports map[port]*remains
}

// remains are a task's traces on a machine in this boot.
type remains struct {
	id         fleet.TaskID
	task       *task // nil: State never had it, or has dropped it
	on         *machine
	attempt    int // of the durable records of starts; 0: none
	containers map[string]*container
	alive      int           // made and not ended
	started    int           // of those that ever started in this boot
	fell       bool          // one ended by itself
	caused     bool          // a signal to one of them had a cause
	at         time.Duration // of its newest container
}

type container struct {
	name      string
	of        *remains
	attempt   int // of the durable record of its start; 0: none
	alive     bool
	started   bool // in this boot, ever
	signalled bool
	deadline  time.Duration // for one made late
}

func (c *Checker) machine(id Machine) *machine {
	m := c.machines[id]
	if m == nil {
		m = &machine{id: id, tasks: map[fleet.TaskID]*remains{}, ports: map[port]*remains{}}
		c.machines[id] = m
		c.byHost[id.Host] = append(c.byHost[id.Host], m)
	}
	return m
}

func (c *Checker) remains(id Machine, task fleet.TaskID) *remains {
	m := c.machine(id)
	r := m.tasks[task]
	if r == nil {
		r = &remains{id: task, task: c.model.tasks[task], on: m, containers: map[string]*container{}}
		m.tasks[task] = r
	}
	return r
}

// StartRecorded says that the record of a container's start in this boot is
// durable: taskAttempt is that of its task, attempt its own. Records of earlier
// boots that are written again are not told.
func (c *Checker) StartRecorded(on Machine, task fleet.TaskID, name string, taskAttempt, attempt int) {
	c.tick()
	r := c.remains(on, task)
	c.oneAttempt(r, taskAttempt)
	c.alone(r, taskAttempt)
	r.attempt = taskAttempt
	r.container(name).attempt = attempt
}

// container is the traces of a container, made when there are none yet.
func (r *remains) container(name string) *container {
	k := r.containers[name]
	if k == nil {
		k = &container{name: name, of: r}
		r.containers[name] = k
	}
	return k
}

// ContainerCreated says that a container exists, its process waiting.
func (c *Checker) ContainerCreated(on Machine, task fleet.TaskID, name string, attempt int) {
	c.tick()
	r := c.remains(on, task)
	k := r.container(name)
	c.recordFirst(r, k, attempt)
	c.assignedHere(r)
	if k.alive {
		return
	}
	k.alive, k.signalled, r.at = true, false, c.now()
	if r.alive++; r.alive == 1 && r.task != nil {
		r.on.uses = plus(r.on.uses, r.task.def.need)
		c.machineFits(r)
	}
	if r.over() {
		c.watchLate(k)
	}
}

// ContainerStarted says that a container's process was let run.
func (c *Checker) ContainerStarted(on Machine, task fleet.TaskID, name string, attempt int) {
	c.tick()
	r := c.remains(on, task)
	k := r.container(name)
	c.onceABoot(r, k, attempt)
	c.notOver(r, k)
	k.started = true
	if r.started++; r.started == 1 {
		c.portsFree(r)
	}
}

// ContainerEnded says that a container's process is no more. One that never
// started ends as Removed.
func (c *Checker) ContainerEnded(on Machine, task fleet.TaskID, name string, cause Cause) {
	c.tick()
	r := c.remains(on, task)
	k := r.containers[name]
	if k == nil || !k.alive {
		return
	}
	if cause == Signalled || cause == Removed && k.started {
		c.signalSent(r, k)
	}
	r.fell = r.fell || cause == Itself
	c.ended(k)
}

func (c *Checker) ended(k *container) {
	r := k.of
	k.alive = false
	if r.alive--; r.alive > 0 {
		return
	}
	if r.task != nil {
		r.on.uses = minus(r.on.uses, r.task.def.need)
		for _, p := range r.task.ports {
			if use := (port{p.Protocol, p.HostPort}); r.on.ports[use] == r {
				delete(r.on.ports, use)
			}
		}
	}
	if r.task == nil || c.model.tasks[r.id] != r.task {
		delete(r.on.tasks, r.id) // nothing will be told of it any more
	}
}

// MachineOff says that a machine has lost power or restarts: nothing of its boot
// lives on.
func (c *Checker) MachineOff(id Machine) {
	c.tick()
	m := c.machines[id]
	if m == nil {
		return
	}
	for _, r := range m.tasks {
		for _, k := range r.containers {
			k.alive = false
		}
		r.alive = 0
	}
	delete(c.machines, id)
	all := c.byHost[id.Host]
	for i := range all {
		if all[i] == m {
			c.byHost[id.Host] = append(all[:i:i], all[i+1:]...)
			break
		}
	}
	if len(c.byHost[id.Host]) == 0 {
		delete(c.byHost, id.Host)
	}
}

// over reports whether the fleet knows the task to be over: its host said so, or
// it was declared and dropped.
func (r *remains) over() bool { return r.task == nil || r.task.hostSaid }

// forgetTask drops the traces of a task that State dropped, where nothing of it
// lives.
func (c *Checker) forgetTask(t *task) {
	if t.host == nil {
		return
	}
	for _, m := range c.byHost[t.host.id] {
		if r := m.tasks[t.id]; r != nil && r.alive == 0 {
			delete(m.tasks, t.id)
		}
	}
}
