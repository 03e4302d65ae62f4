package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// oneAttempt is a part of I6: a task is begun once in a boot. After a restart of
// the machine a cold start may begin it again, under a higher attempt. Source:
// cmd/skein/DESIGN.md I6, agent/converge/DESIGN.md.
func (c *Checker) oneAttempt(r *remains, attempt int) {
	c.hold(oneAttemptABoot, r.attempt == 0 || r.attempt == attempt, func() string {
		return fmt.Sprintf("%s: attempt %d of task %s begins in boot %s, in which attempt %d had begun", r.on.id.Host,
			attempt, r.id, r.on.id.Boot, r.attempt)
	})
}

// alone is a part of I6: nobody knows how far a standalone task had come when its
// machine restarted, so that it is never begun again. Source: cmd/skein/DESIGN.md
// "Task lifecycle".
func (c *Checker) alone(r *remains, attempt int) {
	t := r.task
	if t == nil || t.service != nil {
		return
	}
	c.hold(standaloneOnce, attempt == 1 && (t.began == "" || t.began == r.on.id.Boot), func() string {
		return fmt.Sprintf("%s: attempt %d of standalone task %s begins in boot %s; it had begun in boot %q", r.on.id.Host,
			attempt, r.id, r.on.id.Boot, t.began)
	})
	t.began = r.on.id.Boot
}

// RecordsLost says that a machine's disk has lost its records of starts: what it
// began, it does not know.
func (c *Checker) RecordsLost(id fleet.HostID) {
	for _, t := range c.model.tasks {
		if t.host != nil && t.host.id == id {
			t.began = ""
		}
	}
}

// recordFirst is a part of I6: the record of a container's start is durable before
// the container is created, so that no crash can start it twice. Source:
// agent/converge/DESIGN.md "What is on disk".
func (c *Checker) recordFirst(r *remains, k *container, attempt int) {
	c.hold(recordBeforeCreate, k.attempt == attempt && attempt > 0, func() string {
		return fmt.Sprintf("%s: container %s of task %s was created for attempt %d, and the durable record of this boot is "+
			"of attempt %d", r.on.id.Host, k.name, r.id, attempt, k.attempt)
	})
}

// onceABoot is a part of I6: no container of a task starts twice in one boot,
// whatever the attempt.
func (c *Checker) onceABoot(r *remains, k *container, attempt int) {
	c.hold(startedOnce, !k.started, func() string {
		return fmt.Sprintf("%s: container %s of task %s starts a second time in boot %s (attempt %d)", r.on.id.Host, k.name,
			r.id, r.on.id.Boot, attempt)
	})
	c.hold(recordBeforeCreate, k.alive && k.attempt == attempt, func() string {
		return fmt.Sprintf("%s: container %s of task %s starts under attempt %d; it was created: %v, recorded was attempt %d",
			r.on.id.Host, k.name, r.id, attempt, k.alive, k.attempt)
	})
}

// notOver is I6 on machines: what its host called STOPPED starts nowhere again,
// nor does what was dropped after it stopped. A machine whose identity was
// forgotten, or that goes by one with another, knows nothing of that word, so it
// is excepted; and so is what a cut log has lost.
func (c *Checker) notOver(r *remains, k *container) {
	if !c.known(r.on.id.Host) || c.cloned[r.on.id.Host] || r.task == nil && c.log.cut {
		return
	}
	c.hold(stoppedIsFinal, !r.over(), func() string {
		return fmt.Sprintf("%s: container %s of task %s starts, and the fleet has heard that it stopped", r.on.id.Host,
			k.name, r.id)
	})
}

// assignedHere is a part of I9: a machine makes containers only of tasks that a
// committed entry gave to it. Tasks that were dropped meanwhile are judged by
// notOver.
func (c *Checker) assignedHere(r *remains) {
	if _, ever := c.model.everTask[hashOf(r.id)]; r.task == nil && (ever || c.log.cut) {
		return
	}
	c.hold(onlyAssigned, r.task != nil && r.task.host != nil && r.task.host.id == r.on.id.Host, func() string {
		return fmt.Sprintf("%s makes a container of task %s, which no entry ever assigned to it", r.on.id.Host, r.id)
	})
}
